"""What lanes work with: strategies, how a slot's messages are read, and what came of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mdkit.events import Gap, MarketEvent
from mdkit.frames import EventFrame
from mdkit.strategies.contract import Strategy
from mdkit.stream.backfill import Recent
from mdkit.stream.failures import Failures
from mdkit.stream.folding import Fold
from mdkit.stream.quality import Watch
from mdkit.wire.tickdb import LIVE, Read

_MOST_TOLD = 16_384
"""Characters; a thousand texts are kept."""

SignalRow = tuple[int, str, str, float, int]
"""(received_ns, symbol, strategy, value, exchange_ns)"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on which a strategy failed, with what was tried and what went wrong.

    `where` is the line of the strategy's code, "" where there is none.
    """

    received_ns: int
    symbol: str
    channel: str
    strategy: str
    error: str
    attempts: int
    traceback: str
    raw: bytes
    where: str = ""


@dataclass(frozen=True, slots=True)
class Invalid:
    """A message that could not be used: why, and its first 512 bytes."""

    received_ns: int
    symbol: str
    channel: str
    reason: str
    sample: bytes


class SignalSink(Protocol):
    """Where signals go."""

    def extend(self, rows: Sequence[SignalRow], /) -> None:
        """Take signals, in order by symbol."""


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


@dataclass(slots=True, eq=False)
class Reading:
    """The context of a slot: how to decode its messages and who sees their events.

    `table` is None where no message can be valid. `fold` makes bars of the events, which
    `bar_handlers` see before `handlers` see the event. `recent` leaves out trades that REST
    has filled in already. `origin` is "live" or "rest".
    """

    symbol: str
    channel: str
    read: Read
    handlers: list[Handler]
    table: EventFrame[MarketEvent] | None
    fold: Fold | None = None
    bar_handlers: list[Handler] = field(default_factory=list)
    recent: Recent | None = None
    origin: str = LIVE
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.symbol, self.channel)

    @property
    def is_sampled(self) -> bool:
        """Whether its times tell of the exchange's clock: history was made long before it came."""
        return self.origin == LIVE and self.channel != "bar"

    def decode(self, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        """Return a message's events; raise `InvalidMessage` with the reason."""
        return self.read(self.symbol, raw, received_ns)

    def fills(self, other: Reading) -> bool:
        """Whether this is what REST gives for the gaps of what the other pushes."""
        return (
            self.origin != LIVE
            and other.origin == LIVE
            and (self.symbol, self.channel) == (other.symbol, other.channel)
        )


@dataclass(slots=True)
class Outcome:
    """What the lanes have to tell besides the ledger. Bounded, newest kept."""

    signals: int = 0
    dead_letters: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=1000))
    failures: Failures = field(default_factory=Failures)
    invalid: deque[Invalid] = field(default_factory=lambda: deque(maxlen=100))
    invalid_reasons: Counter[str] = field(default_factory=Counter)
    callback_errors: deque[str] = field(default_factory=lambda: deque(maxlen=100))
    busy_seconds: float = 0.0
    retries: int = 0


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
    left_out = len(text) - _MOST_TOLD
    if left_out <= 0:
        return text
    half = _MOST_TOLD // 2
    return f"{text[:half]} [{left_out:,} characters left out] {text[-half:]}"


def said(error: BaseException) -> str:
    """Return an error in a line, even one that cannot say what it is."""
    try:
        text = str(error)
    except BaseException as worse:
        if ends_worker(worse):
            raise
        text = "(its message cannot be had)"
    return shortened(f"{type(error).__name__}: {text}")
