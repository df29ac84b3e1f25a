"""From start to stop: what a session in this process and one on a cluster have in common."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Generic, Literal, Self

from mdkit.errors import SessionError
from mdkit.notebook.kernel import check_kernel
from mdkit.notebook.loops import LoopThread, running_loop, stop_signals
from mdkit.session.arguments import how_long
from mdkit.session.stopping import R, Stopping, awaitable

State = Literal["not started", "running", "failing", "paused", "stopped", "failed"]

_REPLACED_SECONDS = 8.0
"""How long a session waits for the one whose name it takes."""


class SessionLife(ABC, Generic[R]):
    """Begins once, ends once, and gives a receipt. A failure is raised once, by the next call.

    Methods may be called from any thread.
    """

    def __init__(self, name: str, predecessor: SessionLife[Any] | None) -> None:
        self.name = name
        self._predecessor = predecessor
        self._thread: LoopThread | threading.Thread | None = None
        self._begun = threading.Event()
        self._failure_told = False
        self._is_stopping = False
        self._ended: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._ended.set_running_or_notify_cancel()  # whoever waits for it cannot cancel it

    # -- what each kind does in its own way -----------------------------------------------------

    @abstractmethod
    def _begin(self) -> None:
        """Begin the work that ends with a result or an exception for `_ended`."""

    @abstractmethod
    def _ask_to_stop(self, timeout: float) -> None:
        """Have the work end soon; called in any thread, and more than once."""

    @abstractmethod
    def _stopping(self, timeout: float) -> Stopping[R]:
        """Return what waits for the end."""

    @abstractmethod
    def _pause(self, on: bool) -> None:
        """Stop taking from the feed, or go on."""

    @property
    @abstractmethod
    def _failure(self) -> BaseException | None:
        """What made it fail."""

    @property
    @abstractmethod
    def _paused(self) -> bool:
        """Whether nothing is taken from the feed."""

    @property
    @abstractmethod
    def _failing(self) -> bool:
        """Whether most of the last messages became dead letters."""

    @property
    @abstractmethod
    def receipt(self) -> R | None:
        """What the session did, once it has stopped."""

    def _before_beginning(self) -> None:
        """Raise `SessionError` where it could not run."""

    def _before_blocking(self) -> None:
        """Make ready for a caller who waits; raise `SessionError` where that cannot be."""

    def _why_not_ended(self) -> str:
        return "it did not stop within 5 s"

    # -- beginning and running ------------------------------------------------------------------

    def start(self) -> Self:
        """Begin; returns at once, also when the first connection is still being made.

        What has begun goes on. Raises `SessionError` for a session that has ended, or is about to
        end since it was stopped: outside a loop this waits for that.
        """
        if self._begun.is_set():
            self._tell_failure()
            if self._is_stopping and not self._ended.done():
                if self._thread is None or running_loop() is not None:
                    raise SessionError(
                        "This session is being stopped: `await session.stop()`, and make a new one "
                        "with md.live(...)."
                    )
                concurrent.futures.wait([self._ended])
            if self._ended.done():
                raise SessionError("This session has ended; make a new one with md.live(...).")
            return self
        self._before_beginning()
        check_kernel()
        self._begun.set()
        try:
            self._begin()
        except BaseException:  # no thread, or no loop: it can be tried again
            self._begun.clear()
            raise
        return self

    async def run(self, seconds: float | None = None) -> R:
        """Start if need be, go on for `seconds` (None: to the source's end), stop; the receipt.

        Raises what made the session fail, and `SettingsError` for what is no time.
        """
        lasts = how_long(seconds)
        self.start()
        ended = awaitable(self._ended)
        due = time.monotonic() + lasts
        # In short stretches: an ipykernel whose loop sleeps takes no notice of an interrupt.
        while not ended.done() and (left := due - time.monotonic()) > 0:
            await asyncio.wait([ended], timeout=min(left, 0.25))
        self._failure_told = True
        return await self.stop()

    def run_blocking(self, seconds: float | None = None) -> R:
        """As `run`, for plain scripts and for cells that should block.

        The session runs in a thread of its own, so this works inside a notebook as well. In
        the main thread SIGINT (Ctrl-C) and SIGTERM end it early, with everything drained; a
        second one leaves at once.
        """
        lasts = how_long(seconds)
        if not self._ended.done():
            self._before_blocking()
            self._check_predecessor()
        with stop_signals() as asked_to_stop:
            self.start()
            due = time.monotonic() + lasts
            while not asked_to_stop.is_set() and (left := due - time.monotonic()) > 0:
                # Short waits, since signals are handled between them on every platform.
                concurrent.futures.wait([self._ended], timeout=min(left, 0.1))
                if self._ended.done():
                    break
            self._failure_told = True
            receipt = self._begin_to_stop(10.0).result()
        if self._thread is not None:
            self._thread.join(10.0)
        return receipt

    def _check_predecessor(self) -> None:
        """Raise `SessionError` where the one whose name it takes could not end meanwhile."""
        former = self._predecessor
        if former is not None and former.running and former._thread is None and running_loop():
            raise SessionError(
                f"Another session {self.name!r} still runs in this very loop, and could not end "
                "while this one blocks it: `await` its stop() first, or give this one a name of "
                "its own, as in md.live(..., name='second')."
            )

    def pause(self) -> None:
        """Take nothing from the feed until `resume()`; the connection feels backpressure.

        A dashboard's Pause is another thing: it keeps the picture, and the feed goes on.
        """
        self._pause(True)

    def resume(self) -> None:
        """Go on after `pause()`."""
        self._pause(False)

    # -- ending -----------------------------------------------------------------------------------

    def stop(self, timeout: float = 10.0) -> Stopping[R] | R:
        """Stop reading, handle what is queued for up to `timeout` seconds; gives the receipt.

        In a script, where no loop runs, this waits and returns the receipt. Where one does, as in
        a notebook, it returns at once something to await, `receipt = await session.stop()`, or to
        leave alone. (A receipt can be awaited as well, and asked for its `result()`.)

        A session that has not started has nothing to stop: it can still be started.

        Raises, where it waits, what made the session fail.
        """
        stopping = self._begin_to_stop(timeout)
        # Whether a loop that is not this thread's turns at all is only known of our own thread.
        may_wait = self._thread is not None and running_loop() is None
        return stopping.result() if self._begun.is_set() and may_wait else stopping

    def _begin_to_stop(self, timeout: float) -> Stopping[R]:
        """Stop, and return at once what waits for the end."""
        if not self._begun.is_set():
            nothing: concurrent.futures.Future[R] = concurrent.futures.Future()
            nothing.set_exception(
                SessionError(
                    "The session was stopped before it started: there is no receipt, and it can "
                    "still be started."
                )
            )
            return Stopping(nothing, None, _nothing_to_show)
        self._is_stopping = True
        if not self._ended.done():
            self._ask_to_stop(timeout)
        if self._ended.done() and self._ended.exception() is not None:
            self._failure_told = True
        return self._stopping(timeout)

    def _never_begin(self, why: str) -> None:
        self._begun.set()
        self._ended.set_exception(SessionError(why))
        self._failure_told = True

    async def _end(self) -> None:
        """Stop and wait for a while, whatever its state: another takes its name."""
        if not self._begun.is_set():
            self._never_begin("The session was replaced before it started.")
            return
        # One that has ended has shown that. To show it again would wait for its loop, which may be
        # the one that the successor's `run_blocking` blocks.
        if not self._ended.done():
            # Whatever it died of is its own, and not raised in its successor.
            await self._begin_to_stop(1.0).settled(_REPLACED_SECONDS)
        self._let_go()

    def _let_go(self) -> None:
        """Free what was shown of it, once it has been replaced."""

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def close_at_exit(self) -> None:
        """End a session that still runs in a thread, and say on stderr what it did."""
        if self.running and self._thread is not None:
            self._begin_to_stop(2.0)
            self._thread.join(5.0)
            told = self.receipt or self._why_not_ended()
            with contextlib.suppress(OSError, ValueError):  # there may be no stderr any more
                sys.stderr.write(f"mdkit: session {self.name!r} ended with Python: {told}\n")

    # -- looking ----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the session has started and not ended."""
        return self._begun.is_set() and not self._ended.done()

    @property
    def state(self) -> State:
        """How far it is: "not started", "running", "paused", "stopped" or "failed"; and
        "failing" in place of "running" when most of the last messages became dead letters.
        """
        if self._ended.done():
            return "failed" if self._failure else "stopped"
        if not self._begun.is_set():
            return "not started"
        if self._paused:
            return "paused"
        return "failing" if self._failing else "running"

    def _tell_failure(self) -> None:
        if self._failure is not None and not self._failure_told:
            self._failure_told = True
            raise self._failure


async def _nothing_to_show() -> None:
    return
