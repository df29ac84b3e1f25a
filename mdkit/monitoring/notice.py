"""Shows alerts where a person looks: below the cell, or in a terminal."""

from __future__ import annotations

import sys
import uuid
from collections import deque
from html import escape

from mdkit.monitoring.alerts import Notice
from mdkit.notebook.kernel import in_notebook

_SHOWN = 5


class Notices:
    """Shows notices: in a notebook in one output of the cell that makes this, which holds the
    last five; elsewhere as a line each on stderr."""

    def __init__(self) -> None:
        self._last: deque[Notice] = deque(maxlen=_SHOWN)
        self._output = ""
        if in_notebook():
            from IPython.display import display

            self._output = f"mdkit-notices-{uuid.uuid4().hex}"
            display(_bundle([]), raw=True, display_id=self._output)  # type: ignore[no-untyped-call]

    async def __call__(self, notice: Notice) -> None:
        """Show a notice besides the last ones."""
        if not self._output:
            sys.stderr.write(f"{notice.time:%H:%M:%S} {notice}\n")
            return
        self._last.append(notice)
        self.show()

    def show(self) -> None:
        """Have the output show the notices, in the name of the cell that runs.

        A program that runs notebooks ignores what background tasks of earlier cells publish.
        """
        if self._last:
            from IPython.display import update_display

            bundle = _bundle(list(self._last))
            update_display(bundle, raw=True, display_id=self._output)  # type: ignore[no-untyped-call]


def _bundle(notices: list[Notice]) -> dict[str, str]:
    text = "\n".join(map(str, notices)) or "No alert so far."
    return {"text/plain": text, "text/html": notices_html(notices)}


def notices_html(notices: list[Notice]) -> str:
    """Return notices as HTML, the newest first."""
    rows = "".join(
        f"<div><b>{notice.time:%H:%M:%S} UTC, {escape(notice.alert)}</b>: "
        f"{escape(notice.text)} <small>(session {escape(notice.session)})</small></div>"
        for notice in reversed(notices)
    )
    if not notices:
        return "<small>No alert so far.</small>"
    style = "border-left:4px solid #d9822b;padding:2px 8px;font-size:12px;line-height:1.45"
    return f'<div role="alert" style="{style}">{rows}</div>'
