"""A strategy over recorded events: what it says, and columns of what it was shown."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.answers import OCO, Limit, Quote, Stop
from mdkit.backtesting.account.book_run import BookRun
from mdkit.backtesting.account.ranges import ranges_by_time
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.books.account import BOOK, EVENT, LOST, TRADE
from mdkit.backtesting.books.columns import Answer, EventColumns, Sent, answer_columns
from mdkit.backtesting.books.engines import run_books
from mdkit.backtesting.books.latency import Latency, delays_of, due_times
from mdkit.backtesting.compiled.native import Columns
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.runs import Run, not_an_exposure, tell_gap
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Bar, Depth, Gap, Level, MarketEvent, Ticker, Trade
from mdkit.history.intervals import FIXED_MS
from mdkit.strategies.contract import Strategy, as_signal
from mdkit.suggestions import instead

_flat = chain.from_iterable
_ORDERS = (Quote, Limit, Stop, OCO)
_SIDES = {"buy": 1, "sell": -1}


class _Symbol:
    """One symbol's instance and book. `number` is its place among all, `shown` in the result."""

    __slots__ = ("call", "has_book", "last", "mark", "name", "number", "said", "shown")

    def __init__(self, name: str, number: int, call: Any) -> None:
        self.name = name
        self.number = number
        self.shown = -1
        self.call = call
        self.has_book = False
        self.mark = self.last = math.nan
        self.said: Answer = 0.0


class Listener:
    """A strategy over events; keeps a row of each for the account."""

    def __init__(
        self, strategy: Strategy, *, terms: Terms, recorded: bool, allow_nonpositive: bool
    ) -> None:
        self.strategy = strategy
        self.terms = terms
        self.trades = terms.trade
        self.recorded = recorded
        # By their kinds: an attribute is read much faster than a class is tested.
        self.wanted = {"gap", *strategy.kinds}
        self.queued = terms.trade and terms.fills == "queue"
        if terms.trade:
            self.wanted |= {"depth", "trade"} if self.queued else {"depth"}
        self.lowest = -math.inf if allow_nonpositive else 0.0
        self.unpriced = self.market_trades = 0
        self.symbols: dict[str, _Symbol] = {}
        self.shown: list[_Symbol] = []
        """Those with rows in the result, by their place there."""
        self.shared = strategy.instance() if strategy.per == "session" else None
        self.now = 0
        self.latency_note = ""
        self.kinds, self.is_shown = array("b"), array("b")
        self.times, self.exchange, self.owner = array("q"), array("q"), array("q")
        self.prices, self.signals = array("d"), array("d")
        self.firsts, self.bids, self.asks = array("q"), array("q"), array("q")
        self.levels = array("d")
        """Price and size of each level, books one after the other."""
        self.sent: list[tuple[int, int, Answer]] = []
        """The event, the symbol's number and the answer, of those that change something."""

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
                    f"the events are not in order of time: {event.symbol} at {time} comes after "
                    f"{self.now}; sort them by received_ns"
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
                self.levels.fromlist([*_flat(sides[0]), *_flat(sides[1])])
        else:
            symbol.last = _price(event)
            if name == "trade" and self.queued:
                kind, first, bids = TRADE, len(self.levels) // 2, _SIDES.get(event.side, 0)
                self.levels.extend((event.price, event.size))
                self.market_trades += 1
        signal, sent = None, len(self.sent)
        if name in self.strategy.kinds:
            signal = self._decide(symbol, event)
        answered = signal is not None or len(self.sent) > sent
        shown = answered or (kind == BOOK and symbol.has_book) or not self.trades
        if shown and symbol.shown < 0:
            symbol.shown = len(self.shown)
            self.shown.append(symbol)
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
            symbol = self.symbols[name] = _Symbol(name, len(self.symbols), call)
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

    def _decide(self, symbol: _Symbol, event: MarketEvent) -> float | None:
        """Return the target or value that a strategy says; keep it if it is an order."""
        try:
            said = symbol.call(event)
            ordered = self.trades and type(said) is not float and isinstance(said, _ORDERS)
            signal = None if ordered else as_signal(said, self.strategy.name)
        except StrategyError:
            raise
        except Exception as error:
            raise StrategyError(
                f"strategy {self.strategy.name} failed on a {_noun(event)} of {event.symbol} at "
                f"{self.now}: {type(error).__name__}: {error}"
            ) from error
        if not self.trades:
            return signal
        if ordered:
            self._check_order(said, event)
            # A limit that is repeated is no order; a quote stands for what there should be.
            if isinstance(said, Quote) or said != symbol.said:
                symbol.said = said
                self.sent.append((len(self.kinds), symbol.number, said))
        elif signal is not None:
            if not -1.0 <= signal <= 1.0:
                raise not_an_exposure(self.strategy, signal, f"a {_noun(event)} of {event.symbol}")
            if signal != symbol.said:  # nor is a target that is repeated
                symbol.said = signal
                self.sent.append((len(self.kinds), symbol.number, signal))
        return signal

    def _check_order(self, said: Any, event: MarketEvent) -> None:
        """Raise `StrategyError` for an order that is of bars alone."""
        if isinstance(said, Stop | OCO) or getattr(said, "exposure", None) is not None:
            raise StrategyError(
                f"strategy {self.strategy.name} answered {said!r} to a {_noun(event)} of "
                f"{event.symbol}; on books orders are md.Quote, or md.Limit with a size, and stops "
                "are stop_loss= and trailing_stop="
            )

    def finish(self, latency: Latency, engine: str) -> tuple[Panel, Run]:
        """Return the rows as a panel, and what happened; raise `SettingsError` without any."""
        if self.trades and not any(symbol.has_book for symbol in self.shown):
            raise SettingsError("there is no book with both sides among the events")
        for name in self.terms.contracts or ():
            if name not in self.symbols:
                there = instead(name, self.symbols)
                raise SettingsError(f"contracts: {name!r} is not among the events: {there}")
        if not self.shown:
            raise SettingsError(f"there is no {' or '.join(self.strategy.kinds)} among the events")
        names = tuple(symbol.name for symbol in self.shown)
        is_shown = np.array(self.is_shown, np.int64)
        kept = np.flatnonzero(is_shown)
        stamps = np.array(self.times, np.int64)[kept]
        # Rows of one nanosecond are told apart by their order.
        stamps = np.maximum.accumulate(stamps - np.arange(len(stamps))) + np.arange(len(stamps))
        owner = np.array(self.owner)[kept]
        prices, said = np.array(self.prices)[kept], np.array(self.signals)[kept]
        bars, places = [], []
        signals = np.full((len(self.shown), len(stamps)), np.nan)
        for symbol in self.shown:
            own = np.flatnonzero(owner == symbol.number)
            price = prices[own]
            # Nothing is held before the first price, so which one stands there is only for show.
            known = np.flatnonzero(price == price)
            if len(known):
                price[: known[0]] = price[known[0]]
            bars.append(Columns(price, price, price, price, np.zeros(len(own)), stamps[own]))
            places.append(None if len(own) == len(stamps) else own)
            signals[symbol.shown, own] = said[own]
        index = pd.DatetimeIndex(stamps).tz_localize("UTC")
        panel = Panel(names, index, tuple(bars), tuple(places))
        if not self.trades:
            equity = np.full(len(stamps), float(self.terms.cash))
            return panel, Run(signals.ravel(), equity, np.empty((0, 6)))
        done = self._run(names, is_shown, latency, engine)
        fills = done.fills[:, :6].copy()
        fills[:, 0] = np.minimum(fills[:, 0], float(len(stamps) - 1))
        times = done.fills[:, 10].astype(np.int64) + done.origin
        return panel, Run(signals.ravel(), done.equity, fills, times, done.fills[:, 6], done)

    def _run(self, names: tuple[str, ...], is_shown: Any, latency: Latency, engine: str) -> BookRun:
        """Return what an account did over the columns."""
        place = np.array([symbol.shown for symbol in self.symbols.values()], np.int64)
        times = np.array(self.times, np.int64)
        delays, self.latency_note = delays_of(latency, np.array(self.exchange, np.int64), times)
        levels = np.array(self.levels, np.float64).reshape(-1, 2)
        kinds = np.array(self.kinds, np.int64)
        events = EventColumns(
            kinds,
            times,
            place[np.array(self.owner, np.int64)],
            is_shown,
            np.array(self.prices, np.float64),
            np.array(self.firsts, np.int64),
            np.array(self.bids, np.int64),
            np.array(self.asks, np.int64),
            levels[:, 0],
            levels[:, 1],
        ).without_empty(kinds == BOOK, self.lowest)
        # What comes after the last row could be filled, but not be shown.
        last = int(np.flatnonzero(is_shown)[-1]) + 1
        events = events.until(last)
        sent = [Sent(event, int(place[number]), answer) for event, number, answer in self.sent]
        which = np.array([each.event for each in sent], np.int64)
        owners = np.array([each.symbol for each in sent], np.int64)
        due = due_times(times[which], delays[which], owners)
        answers = answer_columns(sent, times, due)
        delays = delays[:last]
        ranges = _ranges(events, self.terms)

        def again(terms: Terms) -> BookRun:
            return run_books(names, self._fitting(terms), events, answers, delays, ranges, engine)

        return dataclasses.replace(
            again(self.terms),
            market_trades=self.market_trades,
            latency_note=self.latency_note,
            again=again,
        )

    def _fitting(self, terms: Terms) -> Terms:
        """Return the terms without the weights of symbols that were met, but never with a row."""
        weights = terms.weights
        if weights is None:
            return terms
        rowless = {symbol.name for symbol in self.symbols.values() if symbol.shown < 0}
        kept = {name: share for name, share in weights.items() if name not in rowless}
        return dataclasses.replace(terms, weights=kept)


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


def _ranges(events: EventColumns, terms: Terms) -> Any:
    """Return the average true range known at each event; nothing without such stops."""
    if not terms.atr_stops:
        return np.zeros(0)
    stop = terms.atr_stops[0]
    found = np.full(len(events.times), np.nan)
    for owner in range(int(events.owners.max(initial=-1)) + 1):
        own = np.flatnonzero((events.owners == owner) & (events.kinds == BOOK))
        step = FIXED_MS[stop.interval or "1m"] * 1_000_000
        found[own] = ranges_by_time(events.times[own], events.marks[own], stop.period, step)
    return found


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


def _noun(event: MarketEvent) -> str:
    return "book" if event.kind == "depth" else event.kind
