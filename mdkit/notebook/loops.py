"""Where a session's loop lives: the running one, or one of its own in a daemon thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

from mdkit.errors import SessionError
from mdkit.machine import in_browser

T = TypeVar("T")


class LoopThread:
    """Runs a coroutine in an event loop of its own, in a daemon thread.

    A busy caller does not stop it; interpreter exit does not wait for it. The loop is uvloop's
    where that is installed, unless MDKIT_UVLOOP is 0. Raises what keeps a loop from being made,
    such as `OSError` where no more files may be open.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._work = work
        made: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._turn, args=(made,), name=name, daemon=True)
        self._thread.start()
        self.loop = made.result()

    def _turn(self, made: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
        runner = asyncio.Runner(loop_factory=_loop_factory())
        try:
            made.set_result(runner.get_loop())
        except BaseException as error:
            made.set_exception(error)
            return
        with runner:
            runner.run(self._work())

    def join(self, timeout: float = 10.0) -> None:
        """Wait for the thread to end, unless called in it."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a thread's loop; None leaves it to asyncio."""
    if os.environ.get("MDKIT_UVLOOP") == "0":
        return None
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def check_loop(*, may_use_running: bool) -> None:
    """Raise `SessionError` where a session would have no loop: in a browser without a running one.

    `may_use_running` is False for one that wants a thread.
    """
    if in_browser() and not (may_use_running and running_loop() is not None):
        raise SessionError(
            "Python in a browser has no threads, so a session can only run in the page's own "
            "loop: write `session.start()` or `await session.run(seconds)` in a cell."
        )


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

    try:
        loop.call_soon_threadsafe(run)
    except RuntimeError:  # closed since it was looked at
        return function()
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
            # None stands for one that is not Python's own, which cannot be put back.
            signal.signal(name, signal.SIG_DFL if handler is None else handler)
