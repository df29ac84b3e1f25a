"""The widget: numbered pictures to the page, at most two acknowledgements of them outstanding.

jupyter_server drops messages beyond a limit, and a tab may be slow or hidden. So pictures are sent
only as the page takes them in, and a page that finds a hole in the numbers asks for everything
anew. Where the page's answers cannot come, as during a cell that awaits, some pictures a second
are sent all the same.

An answer costs more than a picture: at each JupyterLab shows the kernel as busy and as idle again,
icons, status bar and all, and loads the page's icon anew. So pictures that follow each other
closely share one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import numpy as np
from comm import create_comm
from ipywidgets.widgets.widget import __protocol_version__

from mdkit.canvas.module import page_module, page_style
from mdkit.canvas.outbox import Outbox
from mdkit.canvas.rings import Rows

UNANSWERED = 2
"""How many pictures that ask for an answer may wait for it."""
ANSWER_SECONDS = 0.125
"""Pictures that follow one that asks for an answer so soon do not ask for another."""
SHARING = 4
"""How many pictures share an answer at most."""
BLIND_SECONDS = 1.0
"""How long to wait for an answer before sending without one."""
BLIND_INTERVAL = 0.25
UNSEEN_INTERVAL = 2.0
"""Seconds between whole pictures while no page has answered."""


class CanvasWidget(anywidget.AnyWidget):
    """Shows pictures; `on_ask` is called with what the page asks for, in whatever thread.

    Attributes:
        number: of the last picture sent, from 1.
        acked: number of the last picture that the page has said to have taken in.
        greeted: whether a page has ever answered.
        visible: whether somebody can see it, as far as is known.
        anew: whether the next picture must hold everything.
    """

    # A plain string: with a path a closed widget would never be freed.
    _esm = page_module()
    _css = page_style()

    def __init__(self, on_ask: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        super().__init__()
        _keep_thread()
        _answer_in_thread(self.comm)
        self.number = 0
        self.acked = 0
        self.greeted = False
        self.visible = True
        self.anew = True
        self.bytes_sent = 0
        self._sent_at = 0.0
        self._asked: list[int] = []  # numbers of pictures whose answers have not come
        self._asked_last = 0
        self._asked_at = 0.0
        self._answered_at = 0.0
        self._on_ask = on_ask
        self._outbox = Outbox(self.send) if _is_of_ipykernel(self.comm) else None
        self.on_msg(self._on_message)

    def __repr__(self) -> str:
        return f"<CanvasWidget: {self.number:,} pictures sent, {self.acked:,} taken in>"

    @property
    def ready(self) -> bool:
        """Whether a picture may be sent now."""
        if not self.visible or (self._outbox is not None and len(self._outbox)):
            return False
        now = time.monotonic()
        if not self.greeted:  # there may be no page at all
            return now - self._sent_at >= UNSEEN_INTERVAL
        if len(self._asked) < UNANSWERED:
            return True
        if now - self._answered_at > BLIND_SECONDS:
            return now - self._sent_at >= BLIND_INTERVAL
        return not (self.anew or self._asks(now))

    def _asks(self, now: float) -> bool:
        """Return whether the next picture asks for an answer."""
        is_late = now - self._asked_at >= ANSWER_SECONDS
        return is_late or self.number - self._asked_last >= SHARING - 1

    def send_picture(
        self, collect: Callable[[bool], tuple[Mapping[str, Any], Mapping[str, Rows]]]
    ) -> None:
        """Send a picture: a header that JSON can hold, and series of rows of numbers.

        `collect` returns both, and is told whether they must hold everything. A page that asks
        for that meanwhile, in another thread, gets it with the next picture; and so does one that
        has asked, where `collect` fails.
        """
        anew = self.anew
        self.anew = anew and not self.greeted
        try:
            head, parts = collect(anew)
        except BaseException:
            self.anew |= anew
            raise
        self._put(head, parts, anew)

    def _put(self, head: Mapping[str, Any], parts: Mapping[str, Rows], anew: bool) -> None:
        now = self._sent_at = time.monotonic()
        asks = anew or self._asks(now)
        self.number += 1
        if asks:
            self._asked = [*self._asked[1 - UNANSWERED :], self.number]
            self._asked_last, self._asked_at = self.number, now
        # As little-endian float64, which is what every page reads.
        buffer = b"".join(np.ascontiguousarray(rows, "<f8").tobytes() for rows in parts.values())
        self.bytes_sent += len(buffer)
        message = {
            "kind": "picture",
            "n": self.number,
            "anew": anew,
            "asks": asks,
            "head": head,
            "parts": [(name, *rows.shape) for name, rows in parts.items()],
        }
        if self._outbox is None:
            self.send(message, [buffer])
        else:
            self._outbox.put(message, [buffer])

    def close(self) -> None:
        """Close the widget and its layout, and let go of who made it."""
        self._on_ask = None
        if self._outbox is not None:
            self._outbox.close()
            self._outbox = None
        layout = self.layout
        super().close()
        if layout is not None:  # as in a widget that is closed already
            layout.close()

    def _on_message(self, widget: Any, content: Any, buffers: Any) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        self._answered_at = time.monotonic()
        if kind == "ack":
            self.acked = max(self.acked, min(int(content["n"]), self.number))
            self._asked = [number for number in self._asked if number > self.acked]
        elif kind in ("hello", "hole"):
            self.greeted = True
            self.visible = True
            self.acked = self.number
            self._asked.clear()
            self.anew = True
        elif kind == "visible":
            self.visible = bool(content.get("on"))
        if self._on_ask is not None and kind is not None:
            self._on_ask({**content, "buffers": [bytes(one) for one in buffers]})


_kept: list[Any] = []
_LAYOUT = {
    "_model_module": "@jupyter-widgets/base",
    "_model_module_version": "2.0.0",
    "_model_name": "LayoutModel",
    "_view_module": "@jupyter-widgets/base",
    "_view_module_version": "2.0.0",
    "_view_name": "LayoutView",
}


def _keep_thread() -> None:
    """Keep one widget's comm open for as long as the kernel lives.

    JupyterLab takes what pages say in a thread of the kernel, and ends that with the last widget:
    what was still on its way then is told as an error in whatever cell runs.
    """
    if not _kept:
        state = {"state": _LAYOUT, "buffer_paths": []}
        version = {"version": __protocol_version__}
        _kept.append(create_comm(target_name="jupyter.widget", data=state, metadata=version))


def _answer_in_thread(comm: Any) -> None:
    """Have answers of the page handled in the thread that the page chose.

    ipykernel 7.4 has them handled beside the running cell, since that cell may wait for them, and
    afterwards takes what runs for that cell still: where the next one has begun meanwhile, its
    output and its end are lost. No cell waits for what this widget's page says.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, chosen: chosen


def _is_of_ipykernel(comm: Any) -> bool:
    """Whether messages may be sent from any thread: other kernels do not say so."""
    return type(comm).__module__.partition(".")[0] == "ipykernel"


def widget_view(widget: Any) -> dict[str, Any]:
    """Return the part of a cell's output that shows a widget where there are any."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view}
