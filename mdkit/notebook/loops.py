"""Where a session's loop lives: the running one, or one of its own in a daemon thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

from mdkit.errors import SessionError

T = TypeVar("T")


class LoopThread:
    """An event loop that turns in a daemon thread, so that a busy caller does not stop it."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._turn, name=name, daemon=True)
        self._thread.start()

    def _turn(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """Stop the loop and wait for its thread, unless called from within it."""
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], T], timeout: float = 10.0) -> T:
    """Call a function inside a loop, from wherever, and return its result.

    Raises `SessionError` when the loop does not get to it within `timeout` seconds.
    """
    if running_loop() is loop or not loop.is_running():
        return function()
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        if not result.set_running_or_notify_cancel():
            return
        try:
            result.set_result(function())
        except BaseException as error:
            result.set_exception(error)

    loop.call_soon_threadsafe(run)
    try:
        return result.result(timeout)
    except concurrent.futures.TimeoutError:
        result.cancel()
        raise SessionError(
            f"The session's loop has not answered for {timeout:g} s: a strategy or callback "
            "blocks it. Make it return, or interrupt it."
        ) from None


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event, once; a second one acts as it did before."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    names = [signal.SIGINT, signal.SIGTERM]
    before = {name: signal.getsignal(name) for name in names}

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            sys.stderr.write("mdkit: leaving at once\n")
            raise KeyboardInterrupt
        asked.set()

    for name in names:
        signal.signal(name, on_signal)
    try:
        yield asked
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
