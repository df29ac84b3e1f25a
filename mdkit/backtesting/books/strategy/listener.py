"""A strategy over recorded events: what it says, and columns of what it was shown."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.books.account import BOOK, EVENT, LOST, TRADE
from mdkit.backtesting.books.columns import SIDES, sent_columns, true_levels
from mdkit.backtesting.books.strategy.decider import Decider, Voice
from mdkit.backtesting.books.strategy.heard import Heard
from mdkit.backtesting.runs import tell_gap, when
from mdkit.errors import SettingsError
from mdkit.events import Bar, Depth, Gap, Level, Ticker, Trade
from mdkit.strategies.contract import Strategy

_flat = chain.from_iterable


class _Symbol(Voice):
    """One symbol's instance and book."""

    __slots__ = ("has_book", "last", "mark")

    def __init__(self, number: int, call: Any) -> None:
        super().__init__(number, call)
        self.has_book = False
        self.mark = self.last = math.nan


class Listener(Decider):
    """A strategy over events; keeps a row of each for the account."""

    def __init__(self, strategy: Strategy, *, terms: Terms, recorded: bool, lowest: float) -> None:
        super().__init__(strategy, trades=terms.trade)
        self.terms = terms
        self.recorded = recorded
        # By their kinds: an attribute is read much faster than a class is tested.
        self.wanted = {"gap", *strategy.kinds}
        self.queued = terms.trade and terms.fills == "queue"
        if terms.trade:
            self.wanted |= {"depth", "trade"} if self.queued else {"depth"}
        self.lowest = lowest
        self.unpriced = self.market_trades = 0
        self.symbols: dict[str, _Symbol] = {}
        self.shared = strategy.instance() if strategy.per == "session" else None
        self.kinds, self.is_shown = array("b"), array("b")
        self.times, self.exchange, self.owner = array("q"), array("q"), array("q")
        self.prices, self.signals = array("d"), array("d")
        self.firsts, self.bids, self.asks = array("q"), array("q"), array("q")
        self.levels = array("d")
        """Price and size of each level, books one after the other."""

    def wants(self, event: Any) -> bool:
        """Whether an event is for the strategy, or for the market that the account trades in."""
        return event.kind in self.wanted

    def miss(self, gap: Gap) -> None:
        """Tell the strategy of a gap in what it is shown; a book is then not known any more."""
        channel = gap.channel.partition(":")[0]
        symbol = self._symbol(gap.symbol)
        if channel in self.strategy.kinds:
            tell_gap(self.strategy, symbol.call, gap)
        if channel == "depth" and self.trades:
            # What was due before the gap was filled at the book before it.
            time = max(min(gap.from_ns or self.now, gap.to_ns or self.now), self.now)
            self._add(LOST, time, 0, symbol, math.nan, False)
            self.firsts.append(-1)
            self.bids.append(0)
            self.asks.append(0)

    def take(self, event: Any, time: int) -> None:
        """Let the strategy decide on an event, and keep what it said and what there was."""
        if time < self.now:
            if not self.recorded:
                raise SettingsError(
                    f"the events are not in order of time: {event.symbol} at {when(time)} comes "
                    f"after {when(self.now)}; sort them by received_ns"
                )
            time = self.now  # the clock was set back while recording
        self.now = time
        symbol = self.symbols.get(event.symbol) or self._symbol(event.symbol)
        kind, first, bids, asks = EVENT, -1, 0, 0
        name = event.kind
        if name == "depth":
            kind = BOOK
            bid, ask = self._touch(event)
            mark = _mark(bid[0], ask[0])
            if mark == mark:
                symbol.mark = mark
                if not symbol.has_book and bid[1] > 0.0 and ask[1] > 0.0:
                    symbol.has_book = True
            if self.trades and symbol.has_book:
                first = len(self.levels) // 2
                sides = (event.bids, event.asks)
                if self.terms.fills == "touch":
                    sides = ((bid,) if bid[1] else (), (ask,) if ask[1] else ())
                bids, asks = len(sides[0]), len(sides[1])
                # From a list: half the time of extending by an iterator.
                levels = [*_flat(sides[0]), *_flat(sides[1])]
                if len(levels) != 2 * (bids + asks):
                    raise SettingsError(f"{event!r:.150} has levels that are no price and size")
                self.levels.fromlist(levels)
        else:
            symbol.last = _price(event)
            if name == "trade" and self.queued:
                kind, first, bids = TRADE, len(self.levels) // 2, SIDES.get(event.side, 0)
                self.levels.extend((event.price, event.size))
                self.market_trades += 1
        signal, sent = None, len(self.sent)
        if name in self.strategy.kinds:
            signal = self.decide(symbol, event, len(self.kinds))
        answered = signal is not None or len(self.sent) > sent
        shown = answered or (kind == BOOK and symbol.has_book) or not self.trades
        at = event.start_ns if name == "bar" else event.exchange_ns
        self.firsts.append(first)
        self.bids.append(bids)
        self.asks.append(asks)
        self._add(kind, time, at, symbol, math.nan if signal is None else signal, shown)

    def _add(
        self, kind: int, time: int, exchange: int, symbol: _Symbol, signal: float, shown: bool
    ) -> None:
        self.kinds.append(kind)
        self.is_shown.append(shown)
        self.times.append(time)
        self.exchange.append(exchange)
        self.owner.append(symbol.number)
        self.prices.append(symbol.mark if symbol.has_book else symbol.last)
        self.signals.append(signal)

    def _symbol(self, name: str) -> _Symbol:
        symbol = self.symbols.get(name)
        if symbol is None:
            call = self.shared or self.strategy.instance()
            symbol = self.symbols[name] = _Symbol(len(self.symbols), call)
        return symbol

    def _touch(self, book: Depth) -> tuple[Level, Level]:
        """Return the best bid and ask that have a size and a price, (nan, 0.0) where none has."""
        bids, asks = book.bids, book.asks
        bid = bids[0] if bids and bids[0][1] > 0.0 else _best(bids)
        ask = asks[0] if asks and asks[0][1] > 0.0 else _best(asks)
        if bid[0] <= self.lowest or ask[0] <= self.lowest:
            self.unpriced += 1
            bid = _NONE if bid[0] <= self.lowest else bid
            ask = _best(tuple(level for level in book.asks if level[0] > self.lowest))
        return bid, ask

    def heard(self) -> Heard:
        """Return all that was taken, in columns."""
        kinds = np.array(self.kinds, np.int64)
        levels = true_levels(
            kinds == BOOK,
            np.array(self.firsts, np.int64),
            np.array(self.bids, np.int64),
            np.array(self.asks, np.int64),
            np.array(self.levels, np.float64).reshape(-1, 2),
            self.lowest,
        )
        return Heard(
            strategy=self.strategy,
            terms=self.terms,
            names=tuple(self.symbols),
            has_book=np.array([symbol.has_book for symbol in self.symbols.values()], np.bool_),
            kinds=kinds,
            times=np.array(self.times, np.int64),
            exchange=np.array(self.exchange, np.int64),
            owners=np.array(self.owner, np.int64),
            is_shown=np.array(self.is_shown, np.int64),
            marks=np.array(self.prices, np.float64),
            signals=np.array(self.signals, np.float64),
            **levels._asdict(),
            sent=sent_columns(self.sent),
            market_trades=self.market_trades,
        )


def timed(events: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Yield events, and when each was received; a bar, with the event that made it complete.

    That one comes right after it. 0 where the events end before.
    """
    waiting: list[Any] = []
    for event in events:
        if event.kind in ("bar", "gap"):
            waiting.append(event)
            continue
        time = event.received_ns or event.exchange_ns
        if waiting:
            for earlier in waiting:
                yield earlier, time
            waiting.clear()
        yield event, time
    for earlier in waiting:
        yield earlier, 0


_NONE: Level = (math.nan, 0.0)


def _best(levels: tuple[Level, ...]) -> Level:
    """Return the best level that has a size, or (nan, 0.0)."""
    for level in levels:
        if level[1] > 0.0:
            return level
    return _NONE


def _mark(bid: float, ask: float) -> float:
    """Return the mid price, the one side where the other is empty, or nan."""
    if bid != bid:
        return ask
    return bid if ask != ask else (bid + ask) / 2.0


def _price(event: Trade | Ticker | Bar) -> float:
    if isinstance(event, Trade):
        return event.price
    return event.last if isinstance(event, Ticker) else event.close
