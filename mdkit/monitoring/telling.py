"""Calls what an alert does, in order, and off the loop: a slow web service holds nothing up."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import threading
from collections.abc import Callable
from typing import Any

from mdkit.machine import in_browser
from mdkit.redaction import safe_text
from mdkit.strategies.contract import is_async

MOST_WAITING = 100
"""How many notices of one alert may wait to be told."""

Do = Callable[[Any], Any]
Done = Callable[[str], None]
"""Takes what went wrong, or an empty text; called in the loop."""


class Teller:
    """Calls one function with notices, one after the other.

    A coroutine function runs in the loop; any other in a thread of its own, which begins with the
    first notice. Where there are no threads, as in a browser, it is called in the loop.
    """

    def __init__(self, do: Do, name: str) -> None:
        self._do = do
        self._name = name
        self._is_called_in_loop = is_async(do) or in_browser()
        self._calls: queue.SimpleQueue[tuple[Any, Done] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waiting = 0
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, notice: Any, done: Done) -> None:
        """Have the function called; `done` is told of its end. Call this in the loop."""
        if self._waiting >= MOST_WAITING:
            done(f"{MOST_WAITING} notices of this alert wait already to be told")
            return
        self._waiting += 1
        self._loop = asyncio.get_running_loop()
        if self._is_called_in_loop:
            self._last = self._loop.create_task(
                self._await(notice, done, self._last), name=f"mdkit alert {self._name}"
            )
            self._tasks.add(self._last)
            self._last.add_done_callback(self._tasks.discard)
        else:
            self._calls.put((notice, done))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._turn, name=f"mdkit alert {self._name}", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """End; what a thread has in hand it ends first, what the loop has is cancelled.

        What still waits is not told.
        """
        self._is_closed = True
        self._calls.put(None)
        for task in self._tasks:
            task.cancel()

    async def _await(self, notice: Any, done: Done, before: asyncio.Task[None] | None) -> None:
        said = "it was cancelled"
        try:
            if before is not None:
                await asyncio.wait([before])
            result = self._do(notice)
            if inspect.isawaitable(result):
                await result
            said = ""
        except (Exception, SystemExit) as error:  # a notice ends no loop
            said = described(error)
        finally:
            self._ended(done, said)

    def _turn(self) -> None:
        while (call := self._calls.get()) is not None and not self._is_closed:
            notice, done = call
            said = _call(lambda notice=notice: self._do_here(notice))  # type: ignore[misc]
            loop = self._loop
            with contextlib.suppress(RuntimeError):  # the loop is gone, and the session with it
                if loop is not None:
                    loop.call_soon_threadsafe(self._ended, done, said)

    def _do_here(self, notice: Any) -> None:
        result = self._do(notice)
        if inspect.isawaitable(result) and self._loop is not None:

            async def wait() -> Any:
                task = asyncio.current_task()
                assert task is not None
                self._tasks.add(task)
                try:
                    return await result
                finally:
                    self._tasks.discard(task)

            asyncio.run_coroutine_threadsafe(wait(), self._loop).result()

    def _ended(self, done: Done, said: str) -> None:
        self._waiting -= 1
        done(said)


def _call(function: Callable[[], Any]) -> str:
    """Return what went wrong in a call, or an empty text."""
    try:
        function()
    except BaseException as error:  # also SystemExit: a notice ends no thread
        return described(error)
    return ""


def described(error: BaseException) -> str:
    """Return an error as a text without keys."""
    return safe_text(f"{type(error).__name__}: {error}")
