"""`Handover`: from one connection of a feed to the next; nothing is missed, and nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Protocol

from msgspec import Struct, structs

from mdkit.events import Gap, Level, Ticker, Trade
from mdkit.venues.assembly.builder import BookBuilder
from mdkit.venues.assembly.told import Built, Stretch
from mdkit.venues.normalized.messages import message

_MOST_HELD = 10_000


class HeldBook(Struct):
    """A book of the next connection: after which change, and when by the venue's clock."""

    number: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    exchange_ns: int


class _Books(Struct):
    """One symbol's books. `first` is the change at which the next one's came into step, and
    `faults` how many it had had by then; `time_ns` is of the last book of the old connection, and
    `before` are the best levels of the one before that."""

    is_given: bool = False
    first: int | None = None
    faults: int = 0
    time_ns: int = 0
    last: tuple[tuple[Level, ...], tuple[Level, ...]] | None = None
    before: tuple[tuple[Level, ...], tuple[Level, ...]] | None = None
    held: list[HeldBook] = []


class _Trades(Struct):
    """One symbol's trades by their keys, and the keys of those that the old connection gave."""

    is_given: bool = False
    held: dict[str, Trade] = {}
    passed: dict[str, None] = {}


class _Tickers(Struct):
    """One symbol's tickers, and the last one that the old connection gave."""

    is_given: bool = False
    last: Ticker | None = None
    held: list[Ticker] = []


class HandoverState(Struct):
    """All that a handover knows, by symbol."""

    books: dict[str, _Books] = {}
    trades: dict[str, _Trades] = {}
    tickers: dict[str, _Tickers] = {}


class Giver(Protocol):
    """A connection's `Assembler`, as far as a handover needs it."""

    builders: dict[str, BookBuilder]
    counts: Counter[str]
    handover: Handover | None
    recent: dict[str, dict[str, None]]
    repeated: dict[str, dict[str, None]]
    given_until: dict[str, int]

    def tell(self, symbol: str, told: Sequence[Built | Stretch]) -> list[bytes | Gap]:
        """Return what a builder tells as messages and gaps."""


class Handover:
    """Passes on what two connections of the same feed give, as if they were one.

    What the old connection gives passes and what the next one gives is held, until a symbol's
    channel is handed over; from then on it is the other way round, and the old one's is left out.

    - A book is handed over when both are in step with the venue at the same change. Where updates
      are numbered, that is once the old book's number lies between the one at which the next book
      came into step and the one at which it is. Elsewhere it is once the next connection has given
      the same best levels as the old one last, of the same time by the venue's clock; where each
      connection tells the time by its own (Coinbase), the same two books one after the other.
      The books held that are later pass. So no book is left out, and none comes twice.
    - A book that is out of step on the old connection is handed over when the next one's is in
      step; the stretch is told.
    - Trades are handed over when both have given the same one, known by its id. Held ones that the
      old connection did not give pass.
    - Tickers are handed over when both have given the same figures, no earlier; later ones pass.
    - At the end of the old connection all that is left is handed over: the last book and ticker,
      if they are later, and all trades that are held. Whoever knows how it ended tells whether
      something is missing; of a book that `rests`, nothing is.

    Pure: the same frames of both connections, in the same order, give the same messages.
    """

    def __init__(self, old: Giver, new: Giver, state: HandoverState | None = None) -> None:
        self.old = old
        self.new = new
        self._state = state or HandoverState()
        new.recent = {symbol: dict(keys) for symbol, keys in old.recent.items()}
        old.handover = new.handover = self

    def save(self) -> HandoverState:
        """Return all that is known, so that another can go on from there."""
        return deepcopy(self._state)

    def is_given(self, channel: str, symbol: str) -> bool:
        """Whether the next connection carries this already."""
        return symbol in self._given(channel)

    def carrier(self, channel: str, symbol: str) -> Giver:
        """Return the connection whose messages pass."""
        return self.new if self.is_given(channel, symbol) else self.old

    def rests(self, symbol: str) -> bool:
        """Whether both books are in step and have the same best levels now, as quiet ones do."""
        books = self._state.books.get(symbol)
        old, new = self.old.builders.get(symbol), self.new.builders.get(symbol)
        if books is None or old is None or new is None or not self._is_fit(symbol, books):
            return False
        return old.state == "in step" and old.published == new.published

    @property
    def given(self) -> list[tuple[str, str]]:
        """The (channel, symbol) that the next connection carries already."""
        return [
            (channel, s) for channel in ("depth", "trade", "ticker") for s in self._given(channel)
        ]

    def _given(self, channel: str) -> list[str]:
        state = self._state
        lines: Mapping[str, Mapping[str, _Books | _Trades | _Tickers]]
        lines = {"depth": state.books, "trade": state.trades, "ticker": state.tickers}
        return [symbol for symbol, line in lines[channel].items() if line.is_given]

    def detach(self) -> None:
        """Leave both connections to themselves."""
        self.old.handover = self.new.handover = None

    def finish(self) -> list[bytes]:
        """Hand over what is left, since the old connection has ended; return what that gives."""
        outputs: list[bytes] = []
        for symbol, books in self._state.books.items():
            if books.is_given:
                continue
            if self.rests(symbol):
                self._pass_books(symbol, books, [])
            elif self._is_fit(symbol, books) and books.held[-1].exchange_ns > books.time_ns:
                outputs += self._pass_books(symbol, books, books.held[-1:])
            else:  # the old connection was ahead
                self._forget(self.new.builders.get(symbol), books)
                self.new.given_until[symbol] = books.time_ns
        for trades in self._state.trades.values():
            if not trades.is_given and trades.held:
                outputs.append(message(list(trades.held.values())))
        for symbol, tickers in self._state.tickers.items():
            if not tickers.is_given:
                last_ns = tickers.last.exchange_ns if tickers.last is not None else -1
                later = [t for t in tickers.held if t.exchange_ns > last_ns]
                outputs += self._pass_tickers(symbol, tickers, later[-1:])
        self.new.repeated = {s: t.passed for s, t in self._state.trades.items() if t.passed}
        self.detach()
        return outputs

    # -- what connections give ------------------------------------------------------------------

    def take_books(
        self,
        giver: Giver,
        symbol: str,
        told: Sequence[Built | Stretch],
        received_ns: int,
    ) -> list[bytes | Gap]:
        """Take what a frame of a book gave; return what passes."""
        books = self._state.books.setdefault(symbol, _Books())
        builder = giver.builders[symbol]
        made = [built for built in told if isinstance(built, Built)]
        if books.is_given:
            if giver is self.new:
                return giver.tell(symbol, told)
            leave_out(giver, builder, len(made))
            return []
        passed: list[bytes | Gap] = []
        if giver is self.old:
            passed = giver.tell(symbol, told)
            for built in made:
                books.time_ns = built.exchange_ns
                books.before, books.last = books.last, (built.bids, built.asks)
        else:
            if builder.faults != books.faults or builder.state != "in step":
                self._forget(builder, books)
            if builder.state == "in step" and books.first is None:
                books.first = builder.last
            books.held += [HeldBook(builder.last, *built) for built in made]
            builder.books -= len(made)  # until they are passed on
            if len(books.held) > _MOST_HELD:
                leave_out(giver, builder, 1, were_counted=False)
                del books.held[0]
        return passed + self._try_books(symbol, books, received_ns)

    def take_trades(self, giver: Giver, symbol: str, events: Sequence[Trade]) -> list[Trade]:
        """Take trades; return those that pass."""
        trades = self._state.trades.setdefault(symbol, _Trades())
        fresh: list[Trade] = []
        left_out = 0
        for trade in events:
            key = trade_key(trade)
            if giver is self.new:
                if not trades.is_given and key in trades.passed:
                    fresh += self._rest(trades)
                if not trades.is_given:
                    trades.held[key] = trade
                    if len(trades.held) > _MOST_HELD:  # nothing comes by the old one any more
                        fresh += self._rest(trades)
                elif key in trades.passed:
                    left_out += 1
                else:
                    fresh.append(trade)
            elif trades.is_given:
                left_out += 1
            else:
                trades.passed[key] = None
                if key in trades.held:
                    self.new.counts["duplicate"] += 1
                    fresh += self._rest(trades)  # with this one in its place
                else:
                    fresh.append(trade)
        if left_out:
            giver.counts["duplicate"] += left_out
        return fresh

    def take_ticker(self, giver: Giver, symbol: str, event: Ticker) -> list[bytes]:
        """Take a ticker; return what passes."""
        tickers = self._state.tickers.setdefault(symbol, _Tickers())
        if (giver is self.new) == tickers.is_given:
            passed = [message(event)]
            if tickers.is_given:
                return passed
            tickers.last = event
        elif tickers.is_given:
            giver.counts["duplicate"] += 1
            return []
        else:
            passed = []
            tickers.held = [*tickers.held[-_MOST_HELD:], event]
        if tickers.last is not None:
            for at, held in enumerate(tickers.held):
                if _same(held, tickers.last) and held.exchange_ns >= tickers.last.exchange_ns:
                    return passed + self._pass_tickers(symbol, tickers, tickers.held[at + 1 :])
        return passed

    # -- in detail ------------------------------------------------------------------------------

    def _is_fit(self, symbol: str, books: _Books) -> bool:
        """Whether the next connection's book is in step, and has been since the first one held."""
        new = self.new.builders.get(symbol)
        return (
            new is not None
            and new.state == "in step"
            and books.first is not None
            and new.faults == books.faults
            and bool(books.held)
        )

    def _try_books(self, symbol: str, books: _Books, received_ns: int) -> list[bytes | Gap]:
        """Hand a book over if both are where they can be."""
        if not self._is_fit(symbol, books):
            return []
        old, new = self.old.builders.get(symbol), self.new.builders[symbol]
        told: list[bytes | Gap] = []
        if old is None or old.state != "in step":
            stretch = old.end(received_ns) if old is not None else None
            if stretch is not None:
                told.append(Gap(symbol, "depth", *stretch))
            later = books.held[-1:]
        elif new.last:
            assert books.first is not None
            if old.last == new.last:  # also where numbers have begun anew meanwhile
                later = []
            elif books.first <= old.last < new.last:
                later = [held for held in books.held if held.number > old.last]
            else:
                return []
        else:
            at = _where_same(books, old)
            if at is None:
                return []
            later = books.held[at + 1 :]
        told += self._pass_books(symbol, books, later)
        return told

    def _pass_books(self, symbol: str, books: _Books, later: Sequence[HeldBook]) -> list[bytes]:
        builder = self.new.builders[symbol]
        leave_out(self.new, builder, len(books.held) - len(later), were_counted=False)
        builder.books += len(later)
        books.is_given, books.held = True, []
        return [
            told
            for held in later
            for told in self.new.tell(symbol, [Built(held.bids, held.asks, held.exchange_ns)])
            if isinstance(told, bytes)
        ]

    def _forget(self, builder: BookBuilder | None, books: _Books) -> None:
        """Forget the books that are held: of a book that fell out of step, or that are old."""
        if builder is not None:
            leave_out(self.new, builder, len(books.held), were_counted=False)
            books.held, books.first, books.faults = [], None, builder.faults

    def _rest(self, trades: _Trades) -> list[Trade]:
        """Hand over: return what is held, of which the old connection gave one at the most."""
        trades.is_given = True
        rest = list(trades.held.values())
        trades.held = {}
        return rest

    def _pass_tickers(self, symbol: str, tickers: _Tickers, later: Sequence[Ticker]) -> list[bytes]:
        self.new.counts["duplicate"] += len(tickers.held) - len(later)
        tickers.is_given, tickers.held = True, []
        return [message(event) for event in later]


def trade_key(trade: Trade) -> str:
    """Return what tells a trade from others of its symbol: its id, or else all of it."""
    return trade.id or f"{trade.exchange_ns} {trade.price!r} {trade.size!r} {trade.side}"


def _where_same(books: _Books, old: BookBuilder) -> int | None:
    """Return the place of the held book that is the old one's last."""
    for at, held in enumerate(books.held):
        if (held.bids, held.asks) != old.published:
            continue
        if old.rule.shares_clock:
            if held.exchange_ns == books.time_ns:
                return at
        elif at and (books.held[at - 1].bids, books.held[at - 1].asks) == books.before:
            return at
    return None


def _same(one: Ticker, other: Ticker) -> bool:
    return structs.replace(one, exchange_ns=0) == structs.replace(other, exchange_ns=0)


def leave_out(giver: Giver, builder: BookBuilder, count: int, *, were_counted: bool = True) -> None:
    """Count books that the other connection gives."""
    giver.counts["duplicate"] += count
    builder.duplicates += count
    if were_counted:
        builder.books -= count
