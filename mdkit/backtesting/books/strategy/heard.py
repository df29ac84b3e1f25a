"""What a strategy was shown and what it said, in columns; and what an account did of that."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.book_run import BookRun
from mdkit.backtesting.account.ranges import ranges_by_time
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.books.account import BOOK
from mdkit.backtesting.books.columns import (
    EventColumns,
    Floats,
    SentColumns,
    Whole,
    answer_columns,
)
from mdkit.backtesting.books.engines import run_books
from mdkit.backtesting.books.latency import Latency, delays_of, due_times
from mdkit.backtesting.compiled.native import Columns
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.runs import Run
from mdkit.errors import SettingsError
from mdkit.history.intervals import FIXED_MS
from mdkit.strategies.contract import Strategy
from mdkit.suggestions import instead


@dataclass(frozen=True)
class Heard:
    """Events in order of time, an entry each, and what a strategy said of them.

    Attributes:
        strategy, terms: of the run.
        names: the symbols, by their numbers.
        has_book: of each, whether there was a book with both sides.
        kinds: of the events, as `account` has them.
        times, exchange: ns UTC; 0 where an exchange's time is not known.
        owners: the numbers of the symbols.
        is_shown: 1 for those that are rows of the result.
        marks: what a unit is worth.
        signals: what was said, nan for nothing and for orders.
        firsts, bids, asks, prices, sizes: as in `EventColumns`; levels without a size and those at
            a price that is none are left out.
        sent: the answers that change something.
        market_trades: how many trades there are.
    """

    strategy: Strategy
    terms: Terms
    names: tuple[str, ...]
    has_book: npt.NDArray[np.bool_]
    kinds: Whole
    times: Whole
    exchange: Whole
    owners: Whole
    is_shown: Whole
    marks: Floats
    signals: Floats
    firsts: Whole
    bids: Whole
    asks: Whole
    prices: Floats
    sizes: Floats
    sent: SentColumns
    market_trades: int

    def finish(self, latency: Latency, engine: str) -> tuple[Panel, Run]:
        """Return the rows as a panel, and what happened; raise `SettingsError` without any."""
        terms, trades = self.terms, self.terms.trade
        kept = np.flatnonzero(self.is_shown)
        owner = self.owners[kept]
        numbers, first = np.unique(owner, return_index=True)
        shown = numbers[np.argsort(first)]  # by their first rows
        if trades and not self.has_book[shown].any():
            raise SettingsError("there is no book with both sides among the events")
        for name in terms.contracts or ():
            if name not in self.names:
                there = instead(name, self.names)
                raise SettingsError(f"contracts: {name!r} is not among the events: {there}")
        if not len(shown):
            raise SettingsError(f"there is no {' or '.join(self.strategy.kinds)} among the events")
        stamps = self.times[kept]
        # Rows of one nanosecond are told apart by their order.
        stamps = np.maximum.accumulate(stamps - np.arange(len(stamps))) + np.arange(len(stamps))
        prices, said = self.marks[kept], self.signals[kept]
        bars, places = [], []
        signals = np.full((len(shown), len(stamps)), np.nan)
        for row, number in zip(signals, shown, strict=True):
            own = np.flatnonzero(owner == number)
            price = prices[own]
            # Nothing is held before the first price, so which one stands there is only for show.
            known = np.flatnonzero(price == price)
            if len(known):
                price[: known[0]] = price[known[0]]
            bars.append(Columns(price, price, price, price, np.zeros(len(own)), stamps[own]))
            places.append(None if len(own) == len(stamps) else own)
            row[own] = said[own]
        names = tuple(self.names[number] for number in shown)
        index = pd.DatetimeIndex(stamps).tz_localize("UTC")
        panel = Panel(names, index, tuple(bars), tuple(places))
        if not trades:
            equity = np.full(len(stamps), float(terms.cash))
            return panel, Run(signals.ravel(), equity, np.empty((0, 6)))
        done = self._run(names, shown, latency, engine)
        fills = done.fills[:, :6].copy()
        fills[:, 0] = np.minimum(fills[:, 0], float(len(stamps) - 1))
        times = done.fills[:, 10].astype(np.int64) + done.origin
        return panel, Run(signals.ravel(), done.equity, fills, times, done.fills[:, 6], done)

    def _run(self, names: tuple[str, ...], shown: Whole, latency: Latency, engine: str) -> BookRun:
        """Return what an account did over the columns."""
        places = np.full(len(self.names), -1, np.int64)
        places[shown] = np.arange(len(shown))
        delays, note = delays_of(latency, self.exchange, self.times)
        events = EventColumns(
            self.kinds, self.times, places[self.owners], self.is_shown, self.marks, self.firsts,
            self.bids, self.asks, self.prices, self.sizes,
        )  # fmt: skip
        # What comes after the last row could be filled, but not be shown.
        last = int(np.flatnonzero(self.is_shown)[-1]) + 1
        events = events.until(last)
        sent = self.sent
        due = due_times(self.times[sent.event], delays[sent.event], places[sent.symbol])
        answers = answer_columns(sent, places, self.times, due)
        delays = delays[:last]
        ranges = _ranges(events, self.terms)

        def again(terms: Terms) -> BookRun:
            fitting = self._fitting(terms, shown)
            return run_books(names, fitting, events, answers, delays, ranges, engine)

        return dataclasses.replace(
            again(self.terms), market_trades=self.market_trades, latency_note=note, again=again
        )

    def _fitting(self, terms: Terms, shown: Whole) -> Terms:
        """Return the terms without the weights of symbols that were met, but never with a row."""
        weights = terms.weights
        if weights is None:
            return terms
        rowless = set(self.names) - {self.names[number] for number in shown}
        kept = {name: share for name, share in weights.items() if name not in rowless}
        return dataclasses.replace(terms, weights=kept)


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
