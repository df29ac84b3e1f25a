"""Strategies as they are called: an instance for a symbol, its cost, and how it may fail."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mdkit.events import Gap, MarketEvent
from mdkit.strategies.contract import Strategy

_LONGEST = 16_384
"""Characters; a thousand texts are kept."""


@dataclass(slots=True)
class StrategyTimer:
    """Sampled cost of a strategy, in seconds; about one call in 64 is timed."""

    name: str
    samples: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one timed call."""
        self.samples += 1
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)

    @property
    def mean(self) -> float:
        """Mean seconds a call, 0.0 before the first."""
        return self.seconds / self.samples if self.samples else 0.0


class Handler:
    """One strategy's instance for one symbol (or for the session), and the cost of calling it."""

    __slots__ = ("awaiting_since", "call", "is_async", "name", "on_gap", "timer")

    def __init__(
        self, strategy: Strategy, call: Callable[[MarketEvent], Any], timer: StrategyTimer
    ):
        self.name = timer.name
        self.is_async = strategy.is_async
        self.call = call
        self.on_gap: Callable[[Gap], Any] | None = getattr(call, "on_gap", None)
        self.timer = timer
        self.awaiting_since: float | None = None
        """When the present await began, by the monotonic clock; None when there is none."""

    async def result(self, value: Any) -> Any:
        """Await what an async strategy's call gave."""
        self.awaiting_since = time.monotonic()
        try:
            return await value
        finally:
            self.awaiting_since = None

    def __str__(self) -> str:
        return f"Strategy {self.name}"


def ends_worker(error: BaseException) -> bool:
    """Whether an exception is meant for the worker, and is no failure of the code it called.

    A strategy that calls exit(), awaits something that is cancelled, or meets the panic of a
    library in Rust (a `BaseException`) has failed on a message: neither the loop nor the session
    ends with it. A worker ends when it is cancelled itself, when its coroutine is closed, and
    when somebody interrupts the thread that signals come to.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    return isinstance(error, GeneratorExit)


def shortened(text: str) -> str:
    """Return a text without its middle where it is long."""
    left_out = len(text) - _LONGEST
    if left_out <= 0:
        return text
    half = _LONGEST // 2
    return f"{text[:half]} [{left_out:,} characters left out] {text[-half:]}"


def described(error: BaseException) -> str:
    """Return an error in a line, even one that cannot say what it is."""
    try:
        text = str(error)
    except BaseException as worse:
        if ends_worker(worse):
            raise
        text = "(its message cannot be had)"
    return shortened(f"{type(error).__name__}: {text}")
