"""What strategies did not see of a recording, told from its markers.

The markers may stand behind the messages that they tell of, so they are read first; then the
messages are counted, apart for each symbol and channel, as the session counted them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mdkit.events import DROPPED, Gap
from mdkit.stream.connection import RawMessage
from mdkit.stream.markers import Base, Lost, Marker, Missed, Refused, Unseen
from mdkit.wire.tickdb import ANSWER, SEVERAL, Route, Router

Key = tuple[str, str]
"""(symbol, channel), as the ledger names its accounts."""

NOT_RECORDED = "not recorded"
"""The reason of a gap that is one of the recording alone: it lacks messages that had come."""


@dataclass(slots=True)
class _Span:
    """Messages numbered [first, end), and whether they were dropped (or conflated, or left)."""

    first: int
    end: int
    is_drop: bool


class Losses:
    """An index of the messages that no strategy saw: a span for each run of them."""

    def __init__(self, markers: Iterable[Marker] = ()) -> None:
        self.counts: dict[str, int] = {}
        """Messages by marker: "refused", "dropped", "conflated", "left"."""
        self.not_recorded = 0
        self._refused: dict[Key, list[_Span]] = {}
        self._given_up: dict[Key, list[_Span]] = {}
        for marker in markers:
            self.add(marker)

    def __bool__(self) -> bool:
        return bool(self.counts or self.not_recorded)

    def add(self, marker: Marker) -> None:
        """Take a marker into account, whatever it is."""
        if isinstance(marker, Unseen):
            tag = str(marker.__struct_config__.tag)
            self.counts[tag] = self.counts.get(tag, 0) + marker.count
            spans = self._refused if isinstance(marker, Refused) else self._given_up
            own = spans.setdefault((marker.symbol, marker.channel), [])
            is_drop = tag in ("refused", "dropped")
            if own and own[-1].end == marker.first and own[-1].is_drop == is_drop:
                own[-1].end += marker.count
            else:
                own.append(_Span(marker.first, marker.first + marker.count, is_drop))
        elif isinstance(marker, Lost):
            self.not_recorded += marker.count

    def refused(self, key: Key) -> _Spans:
        """Return the arrivals that were refused."""
        return _Spans(self._refused.get(key, []))

    def given_up(self, key: Key) -> _Spans:
        """Return the admitted messages that were given up."""
        return _Spans(self._given_up.get(key, []))


class _Spans:
    """Spans looked up by numbers that only grow."""

    def __init__(self, spans: list[_Span]) -> None:
        self._rest = sorted(spans, key=lambda span: span.first, reverse=True)

    def find(self, number: int) -> _Span | None:
        """Return the span that holds a number, or None."""
        rest = self._rest
        while rest and rest[-1].end <= number:
            rest.pop()
        return rest[-1] if rest and rest[-1].first <= number else None


@dataclass(slots=True)
class _Account:
    """Where the counting of one symbol and channel stands, and the drops not told yet."""

    refused: _Spans
    given_up: _Spans
    received: int = 0
    admitted: int = 0
    last_ns: int = 0
    absent: int = 0
    drops: list[int] = field(default_factory=list)  # first and last time of receipt, and how many


class Viewer:
    """Lets the messages of one recording pass that its strategies saw, and gaps for the others.

    `router` must know the symbols that the session's did. `symbols` lets only those through.
    """

    def __init__(
        self, losses: Losses, router: Router, symbols: Iterable[str] | None = None
    ) -> None:
        self._losses = losses
        self._router = router
        self._symbols = None if symbols is None else set(symbols)
        self._accounts: dict[Key, _Account] = {}

    def message(self, message: RawMessage) -> Iterator[RawMessage | Gap]:
        """Yield what is seen of a message: itself, some of its parts, or nothing; gaps first."""
        raw, received_ns = message
        route = self._router.route(raw)
        if route.channel == ANSWER:
            return
        if route is not SEVERAL:
            if self._passes(route, received_ns):
                yield from self._gaps(route, received_ns)
                yield message
            return
        parts = list(self._router.split(raw))
        seen: list[RawMessage] = []
        for route, part in parts:
            if self._passes(route, received_ns):
                yield from self._gaps(route, received_ns)
                seen.append((part, received_ns))
        if len(seen) == len(parts):
            yield message
        else:
            yield from seen

    def marker(self, marker: Marker) -> Iterator[Gap]:
        """Yield the gaps that a marker stands for, and take new counts into account."""
        if isinstance(marker, Missed):
            if self._wants(marker.symbol):
                account = self._accounts.get((marker.symbol, marker.channel))
                # A gap that REST has filled is none to the strategies, and parts no run of drops.
                if account is not None and marker.lost != 0:
                    yield from self._dropped(marker.symbol, marker.channel, account)
                yield marker.gap()
        elif isinstance(marker, Base):
            account = self._account((marker.symbol, marker.channel))
            if account.received:
                account.absent += max(0, marker.received - account.received)
            account.received, account.admitted = marker.received, marker.admitted

    def end(self) -> Iterator[Gap]:
        """Yield the gaps that nothing came after."""
        for (symbol, channel), account in self._accounts.items():
            if self._wants(symbol):
                yield from self._dropped(symbol, channel, account)

    def _account(self, key: Key) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            account = _Account(self._losses.refused(key), self._losses.given_up(key))
            self._accounts[key] = account
        return account

    def _wants(self, symbol: str) -> bool:
        return self._symbols is None or symbol in self._symbols

    def _passes(self, route: Route, received_ns: int) -> bool:
        """Count a message; return whether strategies saw it and it is wanted."""
        account = self._account((route.symbol, route.account))
        account.received += 1
        span = account.refused.find(account.received)
        if span is None:
            account.admitted += 1
            span = account.given_up.find(account.admitted)
            if span is None:
                return self._wants(route.symbol)
        if span.is_drop:
            if account.drops:
                account.drops[1] = received_ns
                account.drops[2] += 1
            else:
                account.drops = [received_ns, received_ns, 1]
        return False

    def _gaps(self, route: Route, received_ns: int) -> Iterator[Gap]:
        """Yield what is to be told before a message that was seen."""
        symbol, channel = route.symbol, route.account
        account = self._accounts[symbol, channel]
        if account.absent:
            yield Gap(
                symbol, channel, NOT_RECORDED, account.last_ns, received_ns, lost=account.absent
            )
            account.absent = 0
        if account.drops:
            yield from self._dropped(symbol, channel, account)
        account.last_ns = received_ns

    def _dropped(self, symbol: str, channel: str, account: _Account) -> Iterator[Gap]:
        if account.drops:
            first_ns, last_ns, count = account.drops
            yield Gap(symbol, channel, DROPPED, first_ns, last_ns, lost=count)
            account.drops = []
