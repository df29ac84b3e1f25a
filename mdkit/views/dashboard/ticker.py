"""The clock that a canvas is fed on: steady, in the session's loop, slower when it takes long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

_SHARE = 0.05
"""Of the loop's time that pictures may take."""
_SLOWEST = 5.0
_WEIGHT = 0.1


class Ticker:
    """Calls `tick` some times a second in a loop, until `stop`.

    Args:
        tick: collects and sends; returns False once there is nothing more to do.
        hz: times a second.
        at_end: called once ticks end by themselves, or because the loop does.

    Attributes:
        spent: seconds of the thread that a tick takes, as a sliding mean.
        interval: seconds between ticks now.
        waits: set by a tick that could not send yet; `wake` then brings the next one forward.
    """

    def __init__(
        self, tick: Callable[[], bool], hz: float, at_end: Callable[[], None] = lambda: None
    ) -> None:
        self.hz = hz
        self._at_end = at_end
        self.spent = 0.0
        self.ticks = 0
        self.trouble = ""
        self.waits = False
        self._tick = tick
        self._sleeper: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    @property
    def interval(self) -> float:
        """Seconds between ticks."""
        return min(_SLOWEST, max(1 / self.hz, self.spent / _SHARE))

    @property
    def running(self) -> bool:
        """Whether ticks come."""
        return self._task is not None and not self._task.done()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tick in this loop from now on; from any thread."""
        with self._lock:
            if self._stopped or self._loop is loop:
                return
            before, self._loop = self._loop, loop
        if not _call_in(loop, lambda: self._begin(loop)):
            with self._lock:  # it goes on where it is, if that is anywhere
                self._loop = before if self._loop is loop else self._loop

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._stopped or self._loop is not loop:
                return  # it was stopped, or moved on, before this loop came to it
            before = self._task
            self._task = loop.create_task(self._turn(), name="mdkit canvas")
        if before is not None:
            _call_in(before.get_loop(), before.cancel)

    def stop(self) -> None:
        """Tick no more; from any thread."""
        with self._lock:
            self._stopped = True
            task = self._task
        if task is not None:
            _call_in(task.get_loop(), task.cancel)

    def wake(self) -> None:
        """Tick at once if the last tick could not send; from any thread."""
        sleeper = self._sleeper
        if self.waits and sleeper is not None:
            _call_in(sleeper.get_loop(), self._rouse)

    def _rouse(self) -> None:
        sleeper = self._sleeper
        if self.waits and sleeper is not None and sleeper.get_loop() is asyncio.get_running_loop():
            _end(sleeper)

    async def _sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        sleeper = self._sleeper = loop.create_future()
        alarm = loop.call_later(seconds, _end, sleeper)
        try:
            await sleeper
        finally:
            alarm.cancel()

    async def _turn(self) -> None:
        try:
            await self._tick_on()
        finally:
            if not self._stopped and self._loop is asyncio.get_running_loop():
                self._at_end()

    async def _tick_on(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopped:
            # Of this thread's CPU: that another program is busy is no reason to draw less.
            began = time.thread_time()
            try:
                goes_on = self._tick()
            except Exception as error:  # a picture that fails must not stop those after it
                self.trouble = f"{type(error).__name__}: {error}"
                goes_on = True
            spent = time.thread_time() - began
            self.ticks += 1
            if self.ticks > 3:  # first pictures hold everything, later ones what is new
                self.spent += _WEIGHT * (min(spent, 4 * self.spent or spent) - self.spent)
            if not goes_on:
                return
            due = max(due + self.interval, loop.time())
            await self._sleep(due - loop.time())
            due = min(due, loop.time())


def _call_in(loop: asyncio.AbstractEventLoop, action: Callable[[], Any]) -> bool:
    """Call an action in a loop, from any thread; False where it is closed, its tasks ended."""
    try:
        loop.call_soon_threadsafe(action)
    except RuntimeError:  # it may close at any moment
        return False
    return True


def _end(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def call_soon(loop: asyncio.AbstractEventLoop | None, action: Callable[[], Any]) -> None:
    """Run an action in a loop, or here where there is none that turns."""
    if loop is None or not loop.is_running() or not _call_in(loop, action):
        action()
