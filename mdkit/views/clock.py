"""The clock that tables are drawn on: steady, never faster than told, slower when that is slow.

They follow a clock and not the feed, since nobody reads a table that changes more than ten times
a second and a feed brings thousands of messages. The canvas has a `Ticker` of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from mdkit.errors import SettingsError
from mdkit.notebook.loops import running_loop
from mdkit.pipeline.pipeline import Pipeline
from mdkit.views.view import View

MAX_HZ = 10.0
_MOST = 0.20
_SLOWEST = 5.0
_FIRST = 3
_WEIGHT = 0.1  # of the newest picture in `share`: one with new scales must not slow the clock

Look = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function in the session's loop and gives its result."""


class Clock:
    """Draws views of one pipeline in the notebook's loop.

    Args:
        pipeline: what the views look at.
        look: runs a function in the pipeline's loop without blocking this one.
        hz: pictures a second, at most 10.

    Attributes:
        share: the part of the loop's time that drawing takes.
        interval: seconds between pictures now; longer than asked for while `share` is over 20%.
        drawn: pictures so far.
    """

    def __init__(self, pipeline: Pipeline, look: Look, hz: float = 4.0) -> None:
        self.pipeline = pipeline
        self.hz = hz
        self.share = 0.0
        self.drawn = 0
        self.interval = 1 / hz
        self.trouble = ""
        self._look = look
        self._views: list[View] = []
        self._stamp: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def hz(self) -> float:
        """Pictures a second that were asked for."""
        return self._hz

    @hz.setter
    def hz(self, value: float) -> None:
        if not 0 < value <= MAX_HZ:
            raise SettingsError(
                f"{value:g} pictures a second are not possible: choose up to {MAX_HZ:g}."
            )
        self._hz = value
        self.interval = 1 / value

    @property
    def slowed(self) -> bool:
        """Whether the clock goes slower than asked for, since drawing takes too long."""
        return self.interval > 1.01 / self.hz

    def add(self, *views: View) -> None:
        """Draw these views from now on; starts the clock if a loop runs in this thread."""
        self._views += [view for view in views if view not in self._views]
        self._stamp = None
        if (self._task is None or self._task.done()) and running_loop() is not None:
            self._task = asyncio.get_running_loop().create_task(self._turn(), name="mdkit clock")

    def remove(self, *views: View) -> None:
        """Draw these views no more."""
        self._views = [view for view in self._views if view not in views]

    def stop(self) -> None:
        """Draw no more."""
        if self._task is not None:
            self._task.cancel()

    async def _turn(self) -> None:
        due = time.monotonic()
        while self._views:
            over = self._over
            with contextlib.suppress(TimeoutError):
                await self.tick()
            if over:
                break
            due = max(due + self.interval, time.monotonic())
            await self._sleep_until(due)

    @property
    def _over(self) -> bool:
        return self.pipeline.finished.is_set()

    async def _sleep_until(self, due: float) -> None:
        """Sleep until then, or until shortly after the pipeline has ended."""
        # The pipeline may live in another loop, whose events cannot be awaited in this one.
        while (left := due - time.monotonic()) > 0 and not self._over:  # noqa: ASYNC110
            await asyncio.sleep(min(left, 0.1))

    async def last_picture(self, timeout: float = 5.0) -> None:
        """Wait until the views show the end of a pipeline that has ended."""
        task = self._task
        if task is not None and task.get_loop() is running_loop():
            await asyncio.wait([task], timeout=timeout)

    async def tick(self) -> None:
        """Look, and draw what has changed, one view after the other."""
        if not await self._look(self._has_changed):
            return
        spent = 0.0
        for view in list(self._views):
            seen = await self._look(partial(view.look, self.pipeline))
            # Of this thread's CPU: that another program is busy is no reason to draw less.
            began = time.thread_time()
            self._draw(view, seen)
            spent += time.thread_time() - began
            await asyncio.sleep(0)
        self.drawn += 1
        self._adapt(spent)

    def draw_now(self) -> None:
        """Look and draw at once, in a script without a running loop, or after the end."""
        for view in list(self._views):
            self._draw(view, view.look(self.pipeline))

    def _has_changed(self) -> bool:
        pipeline = self.pipeline
        stamp = (
            pipeline.metrics.total,
            pipeline.lanes.outcome.signals,
            pipeline.gap_count,
            pipeline.paused,
            pipeline.finished.is_set(),
            len(self._views),
        )
        changed = bool(stamp != self._stamp)
        self._stamp = stamp
        return changed

    def _draw(self, view: View, data: Any) -> None:
        try:
            view.draw(data)
        except Exception as error:  # one broken view must not stop the others, nor go unseen
            self.trouble = f"{type(view).__name__} failed: {type(error).__name__}: {error}"

    def _adapt(self, spent: float) -> None:
        if self.drawn <= _FIRST:  # first pictures make axes and fonts, later ones do not
            return
        self.share += _WEIGHT * (spent / self.interval - self.share)
        wanted = 1 / self._hz
        if self.share > _MOST:
            self.interval = min(_SLOWEST, self.interval * 1.5)
        elif self.slowed and self.share < _MOST / 2:
            self.interval = max(wanted, self.interval / 1.5)
