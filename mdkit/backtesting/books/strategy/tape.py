"""Books in columns, with the trades and gaps between them: read once, gone through many times."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.books.account import BOOK, EVENT, LOST, TRADE
from mdkit.backtesting.books.columns import SIDES, Floats, Levels, Whole, true_levels
from mdkit.backtesting.runs import when
from mdkit.errors import SettingsError
from mdkit.events import Depth, Gap, Trade

Bools = npt.NDArray[np.bool_]
_flat = chain.from_iterable


@dataclass(frozen=True)
class Market:
    """What of a tape an account is shown, in columns as those of `heard.Heard`.

    Attributes:
        rows: the number that each event has on the tape.
        begun: whether its symbol had a book with both sides by then.
        unpriced: how many books have a touch at a price that is none.
    """

    rows: Whole
    names: tuple[str, ...]
    has_book: Bools
    kinds: Whole
    times: Whole
    exchange: Whole
    owners: Whole
    begun: Bools
    marks: Floats
    levels: Levels
    unpriced: int


class BookTape:
    """Books, and the trades and gaps between them, in columns; `load_books` makes one.

    Iterated, it gives them as events again; trades without their ids.

    Attributes:
        recorded: whether they are in the order of a recording, whatever its clock did.
        plain: whether every price and size is a float, so that columns hold all there is.
    """

    def __init__(self, events: Iterable[Any], *, recorded: bool) -> None:
        self.recorded = recorded
        self.numbers: dict[str, int] = {}
        self.gaps: dict[int, Gap] = {}
        """By their numbers."""
        self._markets: dict[tuple[bool, bool, float], Market] = {}
        kinds, owners = array("b"), array("q")
        exchange, received = array("q"), array("q")
        firsts, bids, asks = array("q"), array("q"), array("q")
        levels = array("d")
        numbers, plain = self.numbers, True
        add_kind, add_owner, add_first = kinds.append, owners.append, firsts.append
        add_bids, add_asks, add_levels = bids.append, asks.append, levels.fromlist
        add_exchange, add_received = exchange.append, received.append
        for event in events:
            try:
                kind = event.kind
                if kind == "depth":
                    many, few = event.bids, event.asks
                    flat = [*_flat(many), *_flat(few)]
                    if len(flat) != 2 * (len(many) + len(few)):
                        raise ValueError("a level is a price and a size")
                    if plain and not set(map(type, flat)) <= _FLOAT:
                        plain = False
                    add_kind(BOOK)
                    add_first(len(levels) // 2)
                    add_bids(len(many))
                    add_asks(len(few))
                    add_levels(flat)
                elif kind == "trade":
                    add_kind(TRADE)
                    add_first(len(levels) // 2)
                    add_bids(SIDES.get(event.side, 0))
                    add_asks(0)
                    add_levels([event.price, event.size])
                elif kind == "gap":
                    self.gaps[len(kinds)] = event
                    add_kind(LOST if event.channel.partition(":")[0] == "depth" else EVENT)
                    add_first(-1)
                    add_bids(0)
                    add_asks(0)
                else:
                    continue
                add_owner(numbers.setdefault(event.symbol, len(numbers)))
                add_exchange(0 if kind == "gap" else event.exchange_ns)
                add_received(0 if kind == "gap" else event.received_ns)
            except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
                raise SettingsError(
                    f"{event!r:.150} is no event of a market with prices, sizes and times that are "
                    f"numbers: {error}"
                ) from error
        self.plain = plain
        self.kinds, self.owners, self.exchange, self.received = map(
            _whole, (kinds, owners, exchange, received)
        )
        self.firsts, self.bids, self.asks = map(_whole, (firsts, bids, asks))
        self.levels = np.array(levels, np.float64).reshape(-1, 2)
        self.books = int((self.kinds == BOOK).sum())

    def __len__(self) -> int:
        return len(self.kinds)

    def __repr__(self) -> str:
        trades = int((self.kinds == TRADE).sum())
        return (
            f"<BookTape of {self.books:,} books, {trades:,} trades and {len(self.gaps):,} gaps of "
            f"{', '.join(self.numbers) or 'nothing'}>"
        )

    def __iter__(self) -> Iterator[Depth | Trade | Gap]:
        symbols = self.symbols()
        for number, kind in enumerate(self.kinds.tolist()):
            if kind == BOOK:
                yield self.book(number)
            elif kind == TRADE:
                price, size = self.levels[self.firsts[number]].tolist()
                yield Trade(
                    symbols[self.owners[number]], price, size, _SIDES[int(self.bids[number])], "",
                    int(self.exchange[number]), int(self.received[number]),
                )  # fmt: skip
            else:
                yield self.gaps[number]

    def __getitem__(self, part: slice) -> BookTape:
        """Return the events [begin, end) as a tape, over the same memory."""
        if not isinstance(part, slice) or part.step not in (None, 1):
            raise SettingsError(
                f"books[{part!r}]: give a stretch, such as books[:1000]; list(books) are the events"
            )
        begin, end, _ = part.indices(len(self))
        end = max(begin, end)
        cut = copy.copy(self)
        for name in ("kinds", "owners", "exchange", "received", "firsts", "bids", "asks"):
            setattr(cut, name, getattr(self, name)[begin:end])
        known = np.flatnonzero(cut.firsts >= 0)
        low = high = 0
        if len(known):
            last = known[-1]
            of_book = cut.kinds[last] == BOOK
            low = int(cut.firsts[known[0]])
            high = int(cut.firsts[last] + (cut.bids[last] + cut.asks[last] if of_book else 1))
        cut.levels = self.levels[low:high]
        cut.firsts = np.where(cut.firsts < 0, -1, cut.firsts - low)
        cut.gaps = {at - begin: gap for at, gap in self.gaps.items() if begin <= at < end}
        cut.books = int((cut.kinds == BOOK).sum())
        cut._markets = {}
        return cut

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols by their numbers."""
        return tuple(self.numbers)

    def book(self, number: int) -> Depth:
        """Return a book as an event, made of the columns; they are all there is where `plain`."""
        first, bids = int(self.firsts[number]), int(self.bids[number])
        levels = [
            (price, size)
            for price, size in self.levels[first : first + bids + int(self.asks[number])].tolist()
        ]
        return Depth(
            self.symbols()[int(self.owners[number])],
            tuple(levels[:bids]),
            tuple(levels[bids:]),
            int(self.exchange[number]),
            int(self.received[number]),
        )

    def market(self, terms: Terms, lowest: float) -> Market:
        """Return what an account on these terms is shown.

        Raises `SettingsError` where the events are not in order of time.
        """
        key = terms.fills == "queue", terms.fills == "touch", lowest
        if key not in self._markets:
            self._markets[key] = self._market(*key)
        return self._markets[key]

    def _market(self, queued: bool, touch: bool, lowest: float) -> Market:
        met = np.ones(len(self.kinds), np.bool_) if queued else self.kinds != TRADE
        rows = np.flatnonzero(met)
        # Symbols have numbers by when they are first met; a gap of whatever channel does.
        old, first = np.unique(self.owners[rows], return_index=True)
        old = old[np.argsort(first)]
        renumbered = np.zeros(len(self.numbers), np.int64)
        renumbered[old] = np.arange(len(old))
        symbols = self.symbols()
        names = tuple(symbols[number] for number in old)
        rows = rows[self.kinds[rows] != EVENT]
        kinds, owners = self.kinds[rows], renumbered[self.owners[rows]]
        times = self._times(rows, symbols)
        books, trades = kinds == BOOK, kinds == TRADE
        firsts, bids, asks = self.firsts[rows], self.bids[rows], self.asks[rows]
        bid, ask, unpriced = _touches(self.levels, books, firsts, bids, asks, lowest)
        marks, begun, has_book = self._marks(rows, owners, len(old), books, bid, ask)
        shown = books & begun
        levels = self.levels
        if touch:
            firsts, bids, asks, levels = _touch_alone(levels, shown, bid, ask)
        else:
            firsts = np.where(shown | trades, firsts, -1)
            bids, asks = np.where(shown | trades, bids, 0), np.where(shown, asks, 0)
        return Market(
            rows, names, has_book, kinds, times, self.exchange[rows], owners, begun, marks,
            true_levels(books, firsts, bids, asks, levels, lowest), unpriced,
        )  # fmt: skip

    def _times(self, rows: Whole, symbols: Sequence[str]) -> Whole:
        """Return when events were received, never before an earlier one; of gaps, when known."""
        stamps = np.where(self.received != 0, self.received, self.exchange)[rows]
        gaps = self.kinds[rows] == LOST
        times = np.maximum.accumulate(np.where(gaps, 0, stamps))
        back = np.flatnonzero(~gaps & (stamps < times))
        if len(back) and not self.recorded:
            at = back[0]
            raise SettingsError(
                f"the events are not in order of time: {symbols[self.owners[rows[at]]]} at "
                f"{when(int(stamps[at]))} comes after {when(int(times[at]))}; sort them by "
                "received_ns"
            )
        for at in np.flatnonzero(gaps):
            gap, now = self.gaps[int(rows[at])], int(times[at])
            times[at] = max(min(gap.from_ns or now, gap.to_ns or now), now)
        return times

    def _marks(
        self, rows: Whole, owners: Whole, symbols: int, books: Bools, bid: Whole, ask: Whole
    ) -> tuple[Floats, Bools, Bools]:
        """Return what a unit is worth, whether a symbol had a book by then, and whether ever."""
        prices = np.append(self.levels[:, 0], math.nan)  # the last stands for none
        low, high = prices[bid], prices[ask]
        mark = np.where(low != low, high, np.where(high != high, low, (low + high) / 2.0))
        trades = self.kinds[rows] == TRADE
        last = prices[np.where(trades, self.firsts[rows], -1)]
        both = (bid >= 0) & (ask >= 0) & (mark == mark)
        begun = np.zeros(len(rows), np.bool_)
        has_book = np.zeros(symbols, np.bool_)
        for number in range(symbols):
            own = np.flatnonzero(owners == number)
            full = np.flatnonzero(both[own])
            start = int(full[0]) if len(full) else len(own)
            begun[own[start:]] = True
            has_book[number] = bool(len(full))
            mark[own] = _carried(mark[own], books[own] & (mark[own] == mark[own]))
            mark[own[:start]] = _carried(last[own[:start]], trades[own[:start]])
        return mark, begun, has_book


_FLOAT = {float}
_SIDES = {1: "buy", -1: "sell", 0: "neutral"}


def _whole(column: Any) -> Whole:
    return np.array(column, np.int64)


def _carried(values: Floats, known: Bools) -> Floats:
    """Return the last known value at each place, nan before the first."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last >= 0, values[last], math.nan) if len(values) else values


def _touches(
    levels: Floats, books: Bools, firsts: Whole, bids: Whole, asks: Whole, lowest: float
) -> tuple[Whole, Whole, int]:
    """Return the numbers of each book's best levels that have a size and a price, -1 for none.

    And how many books have a touch that has no price. Mirrors `Listener._touch`.
    """
    middle = firsts + bids
    sized = np.flatnonzero(levels[:, 1] > 0.0)
    bid = np.where(books, _next(sized, firsts, middle), -1)
    ask = np.where(books, _next(sized, middle, middle + asks), -1)
    if lowest == -math.inf and not np.isneginf(levels[:, 0]).any():
        return bid, ask, 0
    padded = np.append(levels[:, 0], math.nan)
    below, above = padded[bid] <= lowest, padded[ask] <= lowest
    either = below | above
    if either.any():
        good = np.flatnonzero((levels[:, 1] > 0.0) & (levels[:, 0] > lowest))
        ask = np.where(either, np.where(books, _next(good, middle, middle + asks), -1), ask)
        bid = np.where(below, -1, bid)
    return bid, ask, int(either.sum())


def _next(good: Whole, begin: Whole, end: Whole) -> Whole:
    """Return the first of the numbers `good` in each [begin, end), -1 where there is none."""
    if not len(good):
        return np.full(len(begin), -1, np.int64)
    places = np.searchsorted(good, begin)
    found = good[np.minimum(places, len(good) - 1)]
    return np.where((places < len(good)) & (found < end), found, -1)


def _touch_alone(
    levels: Floats, shown: Bools, bid: Whole, ask: Whole
) -> tuple[Whole, Whole, Whole, Floats]:
    """Return columns of books that have their best levels alone."""
    has_bid, has_ask = shown & (bid >= 0), shown & (ask >= 0)
    bids, asks = has_bid.astype(np.int64), has_ask.astype(np.int64)
    count = bids + asks
    firsts = np.where(shown, np.cumsum(count) - count, -1)
    both = np.stack([np.where(has_bid, bid, -1), np.where(has_ask, ask, -1)], axis=1).ravel()
    return firsts, bids, asks, levels[both[both >= 0]]
