"""What strategies did not see of a recording, told from its markers, and what the recording lacks.

The markers may stand behind the messages that they tell of, so they are read first; then the
messages are counted, apart for each symbol and channel, as the session counted them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from mdkit.events import DROPPED, Gap
from mdkit.recording.format import Base, Lost, Marker, Missed, Refused, Subscribed, UnseenMarker
from mdkit.sources.connection import RawMessage
from mdkit.venues.routes import ANSWER, SEVERAL, Route, Router

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


class Unseen:
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
        if isinstance(marker, UnseenMarker):
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
    """Spans looked up by numbers that only grow.

    No number below `next` is in any of those that are left.
    """

    __slots__ = ("_rest", "next")

    def __init__(self, spans: list[_Span]) -> None:
        self._rest = sorted(spans, key=lambda span: span.first, reverse=True)
        self.next: float = self._rest[-1].first if self._rest else inf

    def find(self, number: int) -> _Span | None:
        """Return the span that holds a number, or None."""
        rest = self._rest
        while rest and rest[-1].end <= number:
            rest.pop()
        self.next = rest[-1].first if rest else inf
        return rest[-1] if number >= self.next else None


@dataclass(slots=True)
class _Seen:
    """Where the counting of one symbol and channel stands, and the gaps not told yet."""

    symbol: str
    channel: str
    is_wanted: bool
    refused: _Spans
    given_up: _Spans
    received: int = 0
    admitted: int = 0
    last_ns: int = 0
    absent: int = 0
    is_torn: bool = False  # messages may be absent, and nobody counted them
    is_miscounted: bool = False  # since the counts were told last
    drops: list[int] = field(default_factory=list)  # first and last time of receipt, and how many

    def passes(self, received_ns: int) -> bool:
        """Count a message; return whether strategies saw it and it is wanted."""
        self.received += 1
        span = None
        if self.received >= self.refused.next:
            span = self.refused.find(self.received)
        if span is None:
            self.admitted += 1
            if self.admitted >= self.given_up.next:
                span = self.given_up.find(self.admitted)
            if span is None:
                return self.is_wanted
        if span.is_drop:
            if self.drops:
                self.drops[1] = received_ns
                self.drops[2] += 1
            else:
                self.drops = [received_ns, received_ns, 1]
        return False

    def gaps(self, received_ns: int) -> Iterator[Gap]:
        """Yield what is to be told before a message received then, and forget it."""
        if self.absent or self.is_torn:
            yield Gap(
                self.symbol,
                self.channel,
                NOT_RECORDED,
                self.last_ns,
                received_ns,
                lost=None if self.is_torn else self.absent,
            )
            self.absent = 0
            self.is_torn = False
        yield from self.dropped()

    def dropped(self) -> Iterator[Gap]:
        """Yield the drops that were not told yet."""
        if self.drops:
            first_ns, last_ns, count = self.drops
            yield Gap(self.symbol, self.channel, DROPPED, first_ns, last_ns, lost=count)
            self.drops = []


class SeenFilter:
    """Lets the messages of one recording pass that its strategies saw, and gaps for the others.

    Where messages had come that the recording lacks, there is a gap as well. `router` must know
    the symbols that the session's did, and be nobody else's. `symbols` lets only those through.
    """

    def __init__(
        self, unseen: Unseen, router: Router[_Seen], symbols: Iterable[str] | None = None
    ) -> None:
        self._unseen = unseen
        self._router = router
        self._symbols = None if symbols is None else set(symbols)
        self._accounts: dict[Key, _Seen] = {}

    def messages(self, run: Iterable[RawMessage]) -> Iterator[list[RawMessage] | Gap]:
        """Yield what is seen of messages, some of it perhaps in parts, and gaps in their places."""
        route_of = self._router.route
        seen: list[RawMessage] = []
        for message in run:
            raw, received_ns = message
            route = route_of(raw)
            account = route.place
            views: Sequence[RawMessage] = (message,)
            gaps: Sequence[Gap] = ()
            if account is None:
                if route.channel == ANSWER:
                    if self._symbols is not None:
                        continue
                elif route is SEVERAL:
                    views, gaps = self._parts(message)
                else:
                    account = self._place(route)
            if account is not None:
                if not account.passes(received_ns):
                    continue
                if account.absent or account.is_torn or account.drops:
                    gaps = list(account.gaps(received_ns))
                account.last_ns = received_ns
            for gap in gaps:
                if seen:
                    yield seen
                    seen = []
                yield gap
            seen += views
        if seen:
            yield seen

    def _parts(self, message: RawMessage) -> tuple[Sequence[RawMessage], Sequence[Gap]]:
        """Return what is seen of a message about several symbols, and the gaps before it."""
        raw, received_ns = message
        parts = list(self._router.split(raw))
        seen: list[RawMessage] = []
        gaps: list[Gap] = []
        for route, part in parts:
            account = route.place or self._place(route)
            if account.passes(received_ns):
                gaps += account.gaps(received_ns)
                account.last_ns = received_ns
                seen.append((part, received_ns))
        return (message,) if len(seen) == len(parts) else seen, gaps

    def marker(self, marker: Marker) -> Iterator[Gap]:
        """Yield the gaps that a marker stands for, and take new counts into account."""
        if isinstance(marker, Missed):
            if self._wants(marker.symbol):
                account = self._accounts.get((marker.symbol, marker.channel))
                # A gap that REST has filled is none to the strategies, and parts no run of drops.
                if account is not None and marker.lost != 0:
                    yield from account.dropped()
                yield marker.gap()
        elif isinstance(marker, Base):
            account = self._account((marker.symbol, marker.channel))
            # The counts tell how many are absent, but not where lines could not be read.
            if account.received and not account.is_miscounted:
                account.absent += max(0, marker.received - account.received)
                account.is_torn = False
            account.is_miscounted = False
            account.received, account.admitted = marker.received, marker.admitted
        elif isinstance(marker, Subscribed):
            self._router.expect(marker.symbols)
        elif isinstance(marker, Lost):
            self.interrupt()

    def interrupt(self, *, miscounted: bool = False) -> None:
        """Mark that messages of any channel may be absent here.

        Counts that follow say which and how many, unless this made them wrong: `miscounted`.
        """
        for account in self._accounts.values():
            account.is_miscounted = account.is_miscounted or miscounted
            # What REST filled in is counted apart, and is no stretch of its own.
            if account.symbol and account.last_ns and ":" not in account.channel:
                account.is_torn = True

    def end(self) -> Iterator[Gap]:
        """Yield the gaps that nothing came after."""
        for account in self._accounts.values():
            if account.is_wanted:
                yield from account.dropped()

    def _place(self, route: Route[_Seen]) -> _Seen:
        account = route.place = self._account((route.symbol, route.account))
        return account

    def _account(self, key: Key) -> _Seen:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Seen(
                *key, self._wants(key[0]), self._unseen.refused(key), self._unseen.given_up(key)
            )
        return account

    def _wants(self, symbol: str) -> bool:
        return self._symbols is None or symbol in self._symbols
