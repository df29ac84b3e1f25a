"""What `session.stop()` gives: something to await, to wait for, or to leave alone."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from mdkit.errors import SessionError
from mdkit.notebook.loops import running_loop
from mdkit.pipeline.receipt import Receipt
from mdkit.workers.watchdog import Watchdog

R = TypeVar("R", bound=Receipt)


def awaitable(future: concurrent.futures.Future[R]) -> asyncio.Future[R]:
    """Return a session's end as a future of this loop, which may be left alone when it fails.

    asyncio would complain of a failure that nobody took from it, though the session tells it.
    """

    def take(done: asyncio.Future[R]) -> None:
        if not done.cancelled():
            done.exception()

    ended = asyncio.wrap_future(future)
    ended.add_done_callback(take)
    return ended


class Stopping(Generic[R]):
    """A stop under way: `await` it, or in a plain script call `result()`; or leave it alone."""

    def __init__(
        self,
        future: concurrent.futures.Future[R],
        loop: asyncio.AbstractEventLoop | None,
        show_end: Callable[[], Awaitable[None]],
        watchdog: Watchdog | None = None,
        timeout: float = 0.0,
    ) -> None:
        self._future = future
        self._loop = loop
        self._show_end = show_end
        self._watchdog = watchdog
        self._timeout = timeout

    def __await__(self) -> Generator[Any, None, R]:
        return self._wait().__await__()

    async def _wait(self) -> R:
        # Shielded: interrupting the cell that waits must not cancel the stop.
        ended = awaitable(self._future)
        while not ended.done():
            await asyncio.wait([ended], timeout=1.0)
            self._check_loop()
        receipt = ended.result()
        await self._show_end()
        return receipt

    async def settled(self, timeout: float) -> None:
        """Wait for the end, whatever it was, for up to `timeout` seconds; raise nothing of it."""
        ended = awaitable(self._future)
        deadline = time.monotonic() + timeout
        with contextlib.suppress(Exception):
            while not ended.done() and (left := deadline - time.monotonic()) > 0:
                await asyncio.wait([ended], timeout=min(1.0, left))
                self._check_loop()
            if ended.done() and not ended.cancelled() and ended.exception() is None:
                await asyncio.wait_for(self._show_end(), max(0.0, deadline - time.monotonic()))

    def result(self, timeout: float | None = None) -> R:
        """Block until the session has stopped and return its receipt.

        Raises `SessionError` when a strategy that does not return keeps it from stopping.
        """
        if not self._future.done() and self._loop is not None and running_loop() is self._loop:
            raise SessionError(
                "The session runs in this very loop, so waiting would block it: write "
                "`await session.stop()`."
            )
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._future.done():
            left = 1.0 if deadline is None else min(1.0, max(0.0, deadline - time.monotonic()))
            concurrent.futures.wait([self._future], timeout=left)
            if self._future.done():
                break
            self._check_loop()
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"The session has not stopped within {timeout:g} s.")
        return self._future.result()

    def _check_loop(self) -> None:
        """Raise `SessionError` when a strategy holds the loop for longer than stopping may take."""
        held = self._watchdog.held if self._watchdog is not None else None
        if held is not None and held.seconds > self._timeout and not self._future.done():
            raise SessionError(f"The session cannot stop: {held}. Make it return, or interrupt it.")

    def __repr__(self) -> str:
        if not self._future.done():
            return "<Stopping: under way>"
        if self._future.cancelled():
            return "<Stopping: cancelled>"
        return f"<Stopping: {self._future.exception() or self._future.result()}>"
