"""What came of the messages that lanes handled, besides the counts of the ledger."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mdkit.workers.failures import Failures

_logger = logging.getLogger("mdkit")

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


def warn_of_failure(letter: DeadLetter) -> None:
    """Log that a strategy fails, for nothing else would say so: the feed goes on."""
    if letter.strategy:
        at = f" ({letter.where})" if letter.where else ""
        _logger.warning(
            "mdkit: strategy %s failed on a %s message of %s%s: %s. Every message on which it "
            "fails becomes a dead letter: see session.dead_letters().",
            *(letter.strategy, letter.channel, letter.symbol, at, letter.error),
        )


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
class Outcome:
    """Signals, failures and unusable messages of a session. Bounded, newest kept."""

    signals: int = 0
    dead_letters: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=1000))
    failures: Failures = field(default_factory=Failures)
    invalid: deque[Invalid] = field(default_factory=lambda: deque(maxlen=100))
    invalid_reasons: Counter[str] = field(default_factory=Counter)
    callback_errors: deque[str] = field(default_factory=lambda: deque(maxlen=100))
    busy_seconds: float = 0.0
    retries: int = 0
