"""Shows alerts where a person looks: below the cell, or in a terminal."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable
from html import escape

from mdkit.monitoring.alerts import Notice
from mdkit.notebook.kernel import in_notebook

_SHOWN = 5


def shown_notices() -> Callable[[Notice], Awaitable[None]]:
    """Return what shows notices: in a notebook a box below the cell that calls this, which holds
    the last five; elsewhere a line each on stderr."""
    return _notebook() if in_notebook() else _line


async def _line(notice: Notice) -> None:
    sys.stderr.write(f"{notice.time:%H:%M:%S} {notice}\n")


def _notebook() -> Callable[[Notice], Awaitable[None]]:
    import ipywidgets
    from IPython.display import display

    box = ipywidgets.HTML()
    display(box)  # type: ignore[no-untyped-call]
    last: deque[Notice] = deque(maxlen=_SHOWN)

    async def show(notice: Notice) -> None:
        last.append(notice)
        box.value = notices_html(list(last))

    return show


def notices_html(notices: list[Notice]) -> str:
    """Return notices as HTML, the newest first."""
    rows = "".join(
        f"<div><b>{notice.time:%H:%M:%S} UTC, {escape(notice.alert)}</b>: "
        f"{escape(notice.text)} <small>(session {escape(notice.session)})</small></div>"
        for notice in reversed(notices)
    )
    style = "border-left:4px solid #d9822b;padding:2px 8px;font-size:12px;line-height:1.45"
    return f'<div role="alert" style="{style}">{rows}</div>'
