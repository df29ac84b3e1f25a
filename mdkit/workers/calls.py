"""Calls of strategies: timed, awaited, tried again; and which one is under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from mdkit.channels.handlers import Handler, ends_worker
from mdkit.errors import TransientError
from mdkit.events import Event, MarketEvent, Signal
from mdkit.strategies.contract import as_signal
from mdkit.workers.outcome import Outcome

Call = tuple["Handler | str", "Event | Signal"]
"""Who was called, and with what."""

_RETRY_BASE = 0.010


class Calls:
    """Calls the strategies of some lanes.

    Args:
        outcome: its `retries` are counted.
        max_retries: how often a call is tried again after a `TransientError`, after
            10, 20, 40, ... ms.
        sleep: awaited between retries; replaced in tests.
    """

    def __init__(
        self,
        outcome: Outcome,
        max_retries: int = 3,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self.max_retries = max_retries
        self.sleep = sleep
        self.calling: Handler | str | None = None
        """What is being called, for whoever watches from another thread; None between calls."""
        self.called_with: Event | Signal | None = None
        self._outcome = outcome
        self._awaiting: dict[asyncio.Task[Any] | None, tuple[Handler, Event]] = {}

    @property
    def running(self) -> Call | None:
        """The strategy or callback that the loop is in, if any; for a thread that watches it."""
        called, event = self.calling, self.called_with
        if called is not None and event is not None:
            return called, event
        for task in list(self._awaiting):
            if task is not None:  # of all that await, the one whose turn it is
                return self._awaiting.get(asyncio.current_task(task.get_loop()))
        return None

    async def call(self, handler: Handler, event: MarketEvent, *, timed: bool = False) -> Any:
        """Call a strategy, await if need be, and note how long that took if it is `timed`."""
        began = time.perf_counter()
        self.called_with, self.calling = event, handler
        try:
            value = handler.call(event)
        finally:
            self.calling = None
        if handler.is_async:
            value = await self.result(handler, event, value)
        if timed:
            handler.timer.add(time.perf_counter() - began)
        return value

    async def result(self, handler: Handler, event: Event, value: Any) -> Any:
        """Await what a call gave; other calls may be made meanwhile."""
        task = asyncio.current_task()
        self._awaiting[task] = (handler, event)
        try:
            return await handler.result(value)
        finally:
            del self._awaiting[task]

    async def retry(
        self, handler: Handler, event: MarketEvent, error: BaseException
    ) -> tuple[float | None, BaseException | None, int]:
        """Try an event again while its error is transient.

        Returns the value, the error that remained (None: it went well) and the attempts made.
        """
        attempts = 1
        while isinstance(error, TransientError) and attempts <= self.max_retries:
            await self.sleep(_RETRY_BASE * 2 ** (attempts - 1))
            self._outcome.retries += 1
            attempts += 1
            try:
                value = await self.call(handler, event)
                return as_signal(value, handler.name), None, attempts
            except BaseException as again:
                if ends_worker(again):
                    raise
                error = again
        return None, error, attempts
