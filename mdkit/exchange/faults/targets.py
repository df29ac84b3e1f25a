"""What faults act on.

The `AdmissionGate` decides about new connections and REST calls; the `Outbox` decides what becomes
of messages between the market, which never waits, and the connections.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from mdkit.exchange.config import Fault
from mdkit.exchange.messages import Message


class Connections(Protocol):
    """What faults may do to the open connections."""

    def disconnect(self, code: int, reason: str) -> None:
        """Close every connection with a close frame."""

    def drop(self) -> None:
        """Abort every connection's TCP without a close frame."""

    def freeze(self, seconds: float) -> None:
        """Read nothing, so answer nothing, on any connection for a while."""

    def hurry(self, count: int) -> None:
        """Say the market's next messages at once, and have its clock run ahead by as much."""


class VenueTargets(Protocol):
    """What faults may do to a venue's dialect."""

    def order(self, fault: Fault, params: dict[str, Any], now: float) -> None:
        """Have the next frames, answers or subscriptions go wrong."""

    def stop_as_planned(self, notice: float) -> None:
        """Give notice of a stop on every connection, and close them `notice` seconds later."""

    def cut_at_age(self, seconds: float) -> None:
        """Cut every connection, also later ones, when it is that old."""

    def deepen(self, symbol: str | None, size: int) -> None:
        """Make books so deep that their snapshots have about `size` bytes."""

    def cross(self, symbol: str | None, count: int) -> None:
        """Have the true book be crossed for so many updates."""

    def send_empty(self, symbol: str | None) -> None:
        """Send frames of books that tell of no change."""

    def restart_ids(self, symbol: str | None) -> None:
        """Let books go on from lower numbers."""

    def sample(self) -> bytes:
        """Return a well-formed frame."""


class AdmissionGate:
    """What happens to new connections and REST calls. Times are of the loop's clock."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, dict[str, Any]]] = {}
        self._left: dict[str, tuple[int, dict[str, Any]]] = {}

    def shut(self, what: str, until: float, params: dict[str, Any]) -> None:
        """Apply `what` to everybody who comes before `until`."""
        self._until[what] = (until, params)

    def shut_for(self, what: str, count: int, params: dict[str, Any]) -> None:
        """Apply `what` to the next `count` who come."""
        left = self._left.get(what, (0, params))[0]
        self._left[what] = (left + count, params)

    def check(self, what: str, now: float) -> tuple[float, dict[str, Any]] | None:
        """Return (seconds left, parameters) if `what` applies to somebody who comes now."""
        if what in self._until:
            until, params = self._until[what]
            if now < until:
                return until - now, params
            del self._until[what]
        if what in self._left:
            count, params = self._left.pop(what)
            if count > 1:
                self._left[what] = (count - 1, params)
            return 0.0, params
        return None


class Outbox:
    """The way out: delays, repeats, swaps and spoils messages as the faults ask."""

    def __init__(self) -> None:
        self._held: deque[Message] = deque()
        self._stalled_until = 0.0
        self._stall_holds = False
        self._slow_until = 0.0
        self._pause = 0.0
        self._next_free = 0.0
        self._repeats: list[list[Any]] = []
        self._swaps: list[list[Any]] = []
        self._waiting: dict[Any, Message] = {}
        self._extra: deque[Message] = deque()
        self._skewed_until = 0.0
        self._skew_ns = 0
        self.withheld = 0

    def stall(self, until: float, hold: bool) -> None:
        """Send nothing until then; with `hold` send it afterwards, else never."""
        self._stalled_until, self._stall_holds = until, hold

    def slow(self, until: float, pause: float) -> None:
        """Let at least `pause` seconds pass between two messages until then."""
        self._slow_until, self._pause = until, pause

    def repeat(self, symbol: str | None, count: int) -> None:
        """Send each of the next `count` messages twice."""
        self._repeats.append([symbol, count])

    def swap(self, symbol: str | None, count: int) -> None:
        """Send the next `count` messages after their successors of the same channel."""
        self._swaps.append([symbol, count])

    def skew(self, until: float, seconds: float) -> None:
        """Have what the market says tell a time that is `seconds` off until then."""
        self._skewed_until, self._skew_ns = until, round(seconds * 1000) * 1_000_000

    def add(self, messages: Iterable[Message]) -> None:
        """Put messages in front of whatever comes next."""
        self._extra.extend(messages)

    def blocks(self, now: float) -> bool:
        """Whether a feed that can wait should: nothing new would be sent now."""
        if now < self._slow_until:
            return bool(self._held) or now < self._next_free or now < self._stalled_until
        return now < self._stalled_until

    def is_stalled(self, now: float) -> bool:
        """Whether nothing at all is sent now."""
        return now < self._stalled_until

    def wake_at(self, now: float) -> float | None:
        """Return when there is something to do without a new message; None if never."""
        if self._extra:
            return now
        if now < self._stalled_until:
            return self._stalled_until
        if now < self._slow_until:
            return min(max(now, self._next_free) if self._held else math.inf, self._slow_until)
        return now if self._held else None

    def pass_on(self, messages: list[Message], now: float) -> list[Message]:
        """Return what is to be sent now, given what the market has just said."""
        if now < self._skewed_until:
            messages = [message.shifted(self._skew_ns) for message in messages]
        if self._repeats or self._swaps or self._waiting:
            messages = self._disturb(messages)
        if self._extra:
            messages = [*self._extra, *messages]
            self._extra.clear()
        if now < self._stalled_until:
            if self._stall_holds:
                self._held.extend(messages)
                return []
            self.withheld += len(messages)
            # Some are missed all the same: a venue may number what a connection is sent.
            lost = [message.withheld() for message in messages]
            return [message for message in lost if message is not None]
        if now < self._slow_until:
            self._held.extend(messages)
            if now < self._next_free or not self._held:
                return []
            self._next_free = now + self._pause
            return [self._held.popleft()]
        if self._held:
            messages = [*self._held, *messages]
            self._held.clear()
        return messages

    def _disturb(self, messages: list[Message]) -> list[Message]:
        disturbed: list[Message] = []
        for message in messages:
            if message.key in self._waiting:
                disturbed += (message, self._waiting.pop(message.key))
                continue
            if _claim(self._swaps, message):
                self._waiting[message.key] = message
                continue
            disturbed.append(message)
            if _claim(self._repeats, message):
                disturbed.append(message)
        return disturbed


def _claim(orders: list[list[Any]], message: Message) -> bool:
    """Return whether one of the (symbol, count) orders is for this message, counting it."""
    for order in orders:
        if order[0] is None or (message.key is not None and message.key[1] == order[0]):
            order[1] -= 1
            if order[1] <= 0:
                orders.remove(order)
            return True
    return False


class FaultTargets(NamedTuple):
    """What a fault acts on, and when."""

    gate: AdmissionGate
    outbox: Outbox
    connections: Connections
    now: float
    seed: int
    symbols: Sequence[str]
    venue: VenueTargets | None = None
