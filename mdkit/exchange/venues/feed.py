"""The simulated market as one venue sees it: deep books, numbered updates, streams of frames."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

from mdkit.events import Depth, Ticker, Trade
from mdkit.exchange.config import ExchangeConfig
from mdkit.exchange.market.simulator import SimulatedFeed
from mdkit.exchange.messages import Key, Message
from mdkit.exchange.venues.book import VenueBook
from mdkit.exchange.venues.instruments import listing
from mdkit.exchange.venues.orders import FaultOrders
from mdkit.exchange.venues.wire import Day, Execution, Stream, WireMessage

if TYPE_CHECKING:
    from mdkit.exchange.market.history import History

_NS = 1_000_000_000
_FIRST_TRADE = 70_000_000
_RECENT = 50
"""Trades of a symbol that new subscribers may get."""


class VenueFeed:
    """A market that speaks in a venue's frames: a `Feed`.

    `make_stream` makes the stream of a key. Streams live while somebody holds them, which
    `is_wanted` tells.
    """

    def __init__(
        self, config: ExchangeConfig, opened_ms: int, book_levels: int, id_gap: int = 0
    ) -> None:
        self.inner = SimulatedFeed(config, opened_ms, lambda symbol: listing(symbol, config.venue))
        self.instruments = self.inner.instruments
        self.tapes = self.inner.tapes
        self.opened_ms = self.inner.opened_ms
        self.paced = self.inner.paced
        self.problems = self.inner.problems
        self.orders = FaultOrders()
        self.make_stream: Callable[[Key], Stream] = _no_stream
        self.is_wanted: Callable[[Key], bool] = lambda key: False
        self._config = config
        self._id_gap = id_gap
        self._levels = config.book_levels or book_levels
        self._books: dict[str, VenueBook] = {}
        self._trade_ids: dict[str, int] = {}
        self._recent: dict[str, deque[Execution]] = {}
        self._streams: dict[Key, Stream] = {}
        self._due: dict[Key, float] = {}
        self._began_ns = opened_ms * 1_000_000
        self._clock = 0.0
        self._lap = 0.0
        self._last_offset = 0.0

    # -- what a feed is asked ------------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols traded, in the venue's form."""
        return self.inner.symbols

    @property
    def histories(self) -> dict[str, History]:
        """Their past."""
        return self.inner.histories

    @property
    def now_ms(self) -> int:
        """The market's clock."""
        return self.inner.now_ms

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        self.inner.now_ms = value

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.inner.finished and not self._due

    def admit(self, symbol: str) -> bool:
        """Return whether a symbol is traded, from now on if it is listed only."""
        return self.inner.admit(symbol)

    def prepare(self) -> bool:
        """Make a part of an opening beforehand."""
        return self.inner.prepare()

    def settle(self) -> None:
        """Bring the tapes up to date."""
        self.inner.settle()

    def catch_up(self, offset: float) -> None:
        """Let the clock come to `offset` seconds after the beginning."""
        self.inner.catch_up(offset)

    def depth(self, symbol: str) -> Depth:
        """Return the simulated top of the book."""
        return self.inner.depth(symbol)

    def trades(self, symbol: str) -> list[Trade]:
        """Return the last trades."""
        return self.inner.trades(symbol)

    def ticker(self, symbol: str) -> Ticker:
        """Return the day's figures."""
        return self.inner.ticker(symbol)

    def begin(self, now_ms: int) -> None:
        """Start the market's clock."""
        self._began_ns = now_ms * 1_000_000
        self.inner.begin(now_ms)

    def next_offset(self) -> float | None:
        """Return when something is due, in seconds: a change, or a push of what has changed."""
        due = self.inner.next_offset()
        # An unpaced market has no time of its own; what has changed goes with what changes next.
        if self._due and (self.paced or due is None):
            first = min(self._due.values())
            return first if due is None else min(first, due)
        return due

    def take(self, until: float, most: int) -> list[Message]:
        """Return the frames that are due at `until` seconds, about `most` at most."""
        taken: list[WireMessage] = []
        for _ in range(most):
            due = self.inner.next_offset()
            flush = min(self._due.values()) if self._due else None
            if flush is not None and (due is None or (self.paced and flush <= due)):
                if flush > until and self.paced:
                    break
                taken += self._flush(flush)
            elif due is None or due > until:
                break
            else:
                for message in self.inner.take(due, 1):
                    taken += self._absorb(message, due)
            if len(taken) >= most:
                break
        return list(self._disturbed(taken))

    # -- books and streams -----------------------------------------------------------------------

    def now_ns(self) -> int:
        """Return the market's time in ns; before it has begun, that of the wall clock."""
        return max(self.inner.now_ms * 1_000_000, self._began_ns + int(self._clock * _NS))

    def book(self, symbol: str) -> VenueBook:
        """Return a symbol's whole book, which begins when it is first needed."""
        book = self._books.get(symbol)
        if book is None:
            random = Random(f"{self._config.seed}|{symbol}|venue")
            first = int(1e9 * (1 + 60 * random.random()))
            book = self._books[symbol] = VenueBook(
                self.instruments[symbol],
                self.inner.depth(symbol),
                self._levels,
                random,
                first,
                self.now_ns(),
                self._id_gap,
            )
        return book

    def recent(self, symbol: str) -> deque[Execution]:
        """Return a symbol's last trades, oldest first; the list goes on with the market."""
        return self._recent.setdefault(symbol, deque(maxlen=_RECENT))

    def day(self, symbol: str) -> Day:
        """Return a symbol's figures of the last 24 hours."""
        return self._day(symbol, self.inner.ticker(symbol))

    def _day(self, symbol: str, ticker: Ticker) -> Day:
        spec = self.instruments[symbol]
        last, change = spec.ticks(ticker.last), ticker.change_24h or 0.0
        return Day(
            last,
            max(1, last - round(change * 10**spec.decimals / spec.step)),
            spec.ticks(ticker.high_24h or ticker.last),
            spec.ticks(ticker.low_24h or ticker.last),
            spec.units(ticker.volume_24h or 0.0),
        )

    def stream(self, key: Key) -> Stream:
        """Return the stream of a key, which begins now if nobody holds it yet."""
        stream = self._streams.get(key)
        if stream is None or not self.is_wanted(key):
            stream = self._streams[key] = self.make_stream(key)
            self._due.pop(key, None)
        return stream

    def pending(self, key: Key) -> list[WireMessage]:
        """Return what a stream has still to push; a snapshot of now comes after that."""
        if key not in self._due or not self.is_wanted(key):
            return []
        del self._due[key]
        return self._drain(self._streams[key], self.now_ns())

    def deepen(self, symbol: str, levels: int) -> list[WireMessage]:
        """Grow a book to `levels` a side; return what is pushed for it."""
        change = self.book(symbol).deepen(levels, self.now_ns())
        for stream in self._of(symbol):
            stream.on_change(change)
        return self._push(symbol, change.ns)

    def empties(self, symbol: str) -> list[WireMessage]:
        """Return frames that tell of no change of a symbol's book, after what is still to push."""
        pushed: list[WireMessage] = []
        for stream in self._of(symbol):
            if frames := stream.empty():
                pushed += self.pending(stream.key)
                frames = stream.empty()
                ns = self.now_ns()
                pushed += [
                    WireMessage(self._clock, stream.key, ns, f, is_diff=True) for f in frames
                ]
        return pushed

    def _absorb(self, message: Message, due: float) -> list[WireMessage]:
        """Let the book and the streams of a symbol take in what the market says."""
        assert message.key is not None
        symbol = message.key[1]
        pushed = self._advance(message.offset, due)
        ns = self._began_ns + int(self._clock * _NS)
        for event in message.told():
            if isinstance(event, Depth):
                change = self.book(symbol).move(event, ns)
                for stream in self._of(symbol):
                    stream.on_change(change)
                ns = change.ns
            elif isinstance(event, Ticker):
                for stream in self._of(symbol):
                    stream.on_day(self._day(symbol, event))
        trades = [e for e in message.told() if isinstance(e, Trade)]
        if trades:
            executions = [self._execution(symbol, trade, ns) for trade in trades]
            self.recent(symbol).extend(executions)
            for stream in self._of(symbol):
                stream.on_trades(executions)
        return pushed + self._push(symbol, ns)

    def _advance(self, offset: float, due: float) -> list[WireMessage]:
        """Let the clock come to a message; return what was to be pushed before it."""
        if self.paced:
            self._clock = max(self._clock, due)
            return []
        if offset < self._last_offset:
            self._lap += self._last_offset  # what is repeated comes later than the first time
        self._last_offset = offset
        self._clock = self._lap + offset
        pushed: list[WireMessage] = []
        while self._due and (flush := min(self._due.values())) <= self._clock:
            pushed += self._flush(flush)
        return pushed

    def _push(self, symbol: str, ns: int) -> list[WireMessage]:
        """Push what is pushed at once; note when the rest is due."""
        pushed: list[WireMessage] = []
        for stream in self._of(symbol):
            if not stream.every:
                pushed += self._drain(stream, ns)
            elif stream.key not in self._due:
                turns = int(self._clock / stream.every) + 1
                self._due[stream.key] = turns * stream.every
        return pushed

    def _flush(self, at: float) -> list[WireMessage]:
        self._clock = max(self._clock, at)
        ns = self._began_ns + int(self._clock * _NS)
        pushed: list[WireMessage] = []
        for key in [key for key, due in self._due.items() if due <= at]:
            del self._due[key]
            if not self.is_wanted(key):
                self._streams.pop(key, None)
                continue
            pushed += self._drain(self._streams[key], ns)
        return pushed

    def _drain(self, stream: Stream, ns: int) -> list[WireMessage]:
        return [
            WireMessage(self._clock, stream.key, ns, encode, is_diff=stream.is_book)
            for encode in stream.take(ns)
        ]

    def _of(self, symbol: str) -> list[Stream]:
        """Return the streams of a symbol that somebody holds."""
        found = []
        for key, stream in list(self._streams.items()):
            if key[1] != symbol:
                continue
            if self.is_wanted(key):
                found.append(stream)
            else:
                del self._streams[key]
                self._due.pop(key, None)
        return found

    def _execution(self, symbol: str, trade: Trade, ns: int) -> Execution:
        spec = self.instruments[symbol]
        number = self._trade_ids.get(symbol, _FIRST_TRADE) + 1
        self._trade_ids[symbol] = number
        return Execution(
            spec.ticks(trade.price), max(1, spec.units(trade.size)), trade.side, number, ns
        )

    def _disturbed(self, messages: Iterable[WireMessage]) -> Iterable[WireMessage]:
        """Yield the frames as the faults that were ordered leave them."""
        now = time.monotonic()
        for message in messages:
            yield self.orders.spoil(message, now) if message.is_diff else message


def _no_stream(key: Key) -> Stream:
    raise NotImplementedError(key)
