"""A plain picture in place of the canvas, for hosts in which the widget does not answer.

anywidget's own loader is not in every host, and in some it comes from a network that may not be
there. Core ipywidgets are, wherever there are widgets at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import ipywidgets

from mdkit.notebook.kernel import Cells

ANSWER_SECONDS = 3.0
"""How long the page has to answer before a plain picture takes its place."""
_SECONDS = 1.0
_SHARE = 0.05
_TOLD = (
    "The live canvas did not answer within 3 s in this notebook, so this is a plain picture, drawn "
    "about once a second. session.explain() and the tables work as ever."
)


class PlainPicture:
    """Watches for the page's answer; without one shows a picture about once a second.

    Args:
        picture: draws a PNG.
        answered: whether the page has answered.
        show: shows a widget in place of the canvas; None puts the canvas back.
    """

    def __init__(
        self,
        picture: Callable[[], bytes],
        answered: Callable[[], bool],
        show: Callable[[ipywidgets.DOMWidget | None], None],
    ) -> None:
        self._picture = picture
        self._answered = answered
        self._show = show
        self._cells = Cells()
        self.box: ipywidgets.VBox | None = None
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="mdkit picture")

    def close(self) -> None:
        """Watch and draw no more."""
        self._task.cancel()
        self._cells.close()
        if self.box is not None:
            parts = [self.box, *self.box.children]
            for part in parts:
                layout = part.layout
                part.close()
                layout.close()
            self.box = None

    async def _watch(self) -> None:
        # While a cell runs the page's answers wait, so that nothing follows from silence.
        quiet = 0.0
        while quiet < ANSWER_SECONDS:
            await asyncio.sleep(0.25)
            if self._answered():
                return
            quiet = 0.0 if self._cells.running else quiet + 0.25
        image = ipywidgets.Image(format="png")
        self.box = ipywidgets.VBox([ipywidgets.HTML(_TOLD), image])
        self._show(self.box)
        while not self._answered():
            began = time.thread_time()
            image.value = self._picture()
            spent = time.thread_time() - began
            await asyncio.sleep(max(_SECONDS, spent / _SHARE))
        self._show(None)
