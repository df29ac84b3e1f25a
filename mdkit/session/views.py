"""Live views of a session: tables and pictures that follow it on a clock."""

from __future__ import annotations

import asyncio
import concurrent.futures
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from mdkit.notebook.loops import running_loop
from mdkit.session.arguments import checked_count
from mdkit.session.tables.lookups import check_table
from mdkit.views.clock import Clock

if TYPE_CHECKING:
    import ipywidgets

    from mdkit.pipeline.pipeline import Pipeline
    from mdkit.views.view import View

T = TypeVar("T")


class SessionViews(ABC):
    """What follows a session on a clock."""

    pipeline: Pipeline
    _loop: asyncio.AbstractEventLoop | None
    _ended: concurrent.futures.Future[Any]
    _clock: Clock | None

    @abstractmethod
    def _look(self, function: Callable[[], T]) -> T:
        """Call a function in the session's loop; raise what made the session fail, once."""

    @property
    def clock(self) -> Clock:
        """What live views of this session are drawn on; `clock.hz` may be set."""
        if self._clock is None:
            self._clock = Clock(self.pipeline, self._look_later)
        return self._clock

    def view(self, view: View) -> ipywidgets.DOMWidget:
        """Have one view of `mdkit.views` follow this session; returns its widget."""
        self.clock.add(view)
        if running_loop() is None:
            self.clock.draw_now()
        return view.widget

    def live_frame(
        self, channel: str, symbol: str | None = None, rows: int = 10
    ) -> ipywidgets.DOMWidget:
        """Return a widget that shows the last rows of a frame and follows it."""
        from mdkit.views.tables import FrameView

        rows = checked_count("rows", rows, 1, "at least 1 is shown")
        self._look(lambda: check_table(self.pipeline, channel, symbol))
        return self.view(FrameView(channel, symbol, rows))

    async def _look_later(self, function: Callable[[], Any]) -> Any:
        """Run a function in the session's loop without blocking the loop that asks."""
        if self._loop is None or self._loop is running_loop() or self._ended.done():
            return function()

        async def look() -> Any:
            return function()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(look(), self._loop))
