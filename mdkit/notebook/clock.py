"""The clock that views are drawn on: steady, never faster than told, slower when drawing is slow.

Views follow a clock and not the feed, since a browser can take some ten pictures a second and a
feed brings thousands of messages.
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
from mdkit.notebook.views.view import View
from mdkit.stream.pipeline import Pipeline

MAX_HZ = 10.0
_MOST = 0.20
_SLOWEST = 5.0
_FIRST = 3

Look = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function in the session's loop and gives its result."""


class Clock:
    """Draws views of one pipeline in the notebook's loop.

    Args:
        pipeline: what the views look at.
        look: runs a function in the pipeline's loop without blocking this one.
        hz: pictures a second, at most 10.

    Attributes:
        frozen: while True, nothing is drawn; the feed goes on.
        share: the part of the loop's time that drawing takes.
        interval: seconds between pictures now; longer than asked for while `share` is over 20%.
        drawn: pictures so far.
    """

    def __init__(self, pipeline: Pipeline, look: Look, hz: float = 4.0) -> None:
        self.pipeline = pipeline
        self.hz = hz
        self.frozen = False
        self.share = 0.0
        self.drawn = 0
        self.interval = 1 / hz
        self.after_draw: list[Callable[[], None]] = []
        self.at_end: list[Callable[[], None]] = []
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

    def touch(self) -> None:
        """Have the next tick draw, also when nothing has arrived."""
        self._stamp = None

    def stop(self) -> None:
        """Draw no more."""
        if self._task is not None:
            self._task.cancel()

    async def _turn(self) -> None:
        try:
            while self._views:
                over = self.pipeline.finished.is_set()
                if not self.frozen or over:
                    with contextlib.suppress(TimeoutError):
                        await self.tick()
                if over:
                    break
                await self._pause()
        finally:
            for callback in list(self.at_end):
                callback()

    async def _pause(self) -> None:
        """Sleep until the next picture, or until shortly after the pipeline has ended."""
        due = time.monotonic() + self.interval
        # The pipeline may live in another loop, whose events cannot be awaited in this one.
        while (left := due - time.monotonic()) > 0 and not self.pipeline.finished.is_set():  # noqa: ASYNC110
            await asyncio.sleep(min(left, 0.1))

    async def last_picture(self, timeout: float = 5.0) -> None:
        """Wait until the views show the end of a pipeline that has ended."""
        task = self._task
        if task is not None and task.get_loop() is running_loop():
            await asyncio.wait([task], timeout=timeout)

    async def tick(self) -> None:
        """Look, and draw what has changed."""
        if not await self._look(self._has_changed):
            return
        spent = 0.0
        for view in list(self._views):
            seen = await self._look(partial(view.look, self.pipeline))
            if self.frozen and not self.pipeline.finished.is_set():
                return  # paused between two views: what is shown stays as it is
            spent += self._draw(view, seen)
            await asyncio.sleep(0)  # others in this loop have a turn between pictures
        self.drawn += 1
        self._adapt(spent)
        for callback in list(self.after_draw):
            callback()

    def draw_now(self) -> None:
        """Look and draw at once, in a script without a running loop, or after the end."""
        views = list(self._views)
        for view in views:
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

    def _draw(self, view: View, data: Any) -> float:
        # Of this thread's CPU: that another program is busy is no reason to draw less.
        began = time.thread_time()
        try:
            view.draw(data)
        except Exception as error:  # one broken view must not stop the others, nor go unseen
            self.trouble = f"{type(view).__name__} failed: {type(error).__name__}: {error}"
        return time.thread_time() - began

    def _adapt(self, spent: float) -> None:
        if self.drawn <= _FIRST:  # first pictures make axes and fonts, later ones do not
            return
        self.share += 0.3 * (spent / self.interval - self.share)
        wanted = 1 / self._hz
        if self.share > _MOST:
            self.interval = min(_SLOWEST, self.interval * 1.5)
        elif self.slowed and self.share < _MOST / 2:
            self.interval = max(wanted, self.interval / 1.5)
