"""Recorded events backtested: what a strategy says of them, and the account that follows it.

The strategy goes through the events first, which leaves a row for each; then the account goes
through the rows, when it is known which symbols there are. With `trade=False` nothing is filled,
and the events may be of any kind: what a strategy says is then all there is.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.depth_account import NO_TOUCH, DepthAccount, Touch
from mdkit.backtesting.account.terms import BacktestWarning, Terms, check_rates
from mdkit.backtesting.compiled.native import Columns
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.data.recorded import steps_of
from mdkit.backtesting.notes import larger
from mdkit.backtesting.runs import Run, not_an_exposure, tell_gap
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Bar, Depth, Gap, Level, MarketEvent, Ticker, Trade
from mdkit.recording.reader import Recording
from mdkit.strategies.contract import Strategy, as_signal

if TYPE_CHECKING:
    from mdkit.backtesting.result import Result

_MS = 1_000_000
_EVENT, _BOOK, _LOST = 0, 1, 2
"""What a row is of: any event, a book, a gap after which the book is not known."""


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
        self.said = 0.0

    @property
    def price(self) -> float:
        """The mark, or before the first book the price of the last trade, ticker or bar."""
        return self.mark if self.has_book else self.last


def backtest_depth(
    strategy: Strategy,
    events: Iterable[Any],
    terms: Terms,
    *,
    latency_ms: float,
    engine: str,
    periods_per_year: float | None,
    risk_free: float,
    interval: str | None = None,
    allow_nonpositive: bool = False,
) -> Result:
    """Run a strategy over recorded books; the arguments are those of `backtest`.

    What a book leads to is filled `latency_ms` later, by the clock of `received_ns` (by
    `exchange_ns` where a book has no time of receipt): bought at the best ask, sold at the best
    bid; the rules stand in `depth_account`. Equity is marked at mid prices, one row of the result
    per book once there was one with both sides, and one for what is said on anything else. Events
    that the strategy does not want are passed over. An order that would come due after the last
    book is not filled, and one that is under way when the strategy changes its mind is filled
    first. Targets count as on bars: a repeated one is no order, and each is of
    its symbol's share of the equity, equal ones of all that have rows unless `weights` says
    otherwise. A level of size 0 is no level; neither is a price of zero or below, unless
    `allow_nonpositive`.

    Warns with `BacktestWarning` of fills larger than what the book showed. When nothing is traded
    there is a row per event that the strategy wants, of whatever kind.
    """
    from mdkit.backtesting.result import Result

    kinds = strategy.kinds
    in_python = f"{' and '.join(kinds)} {'run' if len(kinds) > 1 else 'runs'} in Python"
    if engine == "native":
        raise SettingsError(f'{in_python} only; use engine="auto"')
    if terms.trade and "depth" not in kinds:
        raise SettingsError(
            f"strategy {strategy.name} wants {' and '.join(kinds)}; backtests run on bar "
            "or on depth. To see what it says without trading it, use trade=False"
        )
    if not (isinstance(latency_ms, (int, float)) and 0 <= latency_ms < math.inf):
        raise SettingsError(f"latency_ms is {latency_ms!r}; give milliseconds, 0 or more")
    if terms.stop_loss is not None or terms.take_profit is not None:
        raise SettingsError("stop_loss and take_profit are for bars; decide it in the strategy")
    if isinstance(events, (bytes, pd.DataFrame)):
        raise SettingsError(
            f"strategy {strategy.name} wants {' and '.join(kinds)}: give such events, or a "
            "recording of them by its path"
        )
    check_rates(periods_per_year, risk_free)
    listener = _Listener(
        strategy,
        trades=terms.trade,
        recorded=isinstance(events, Recording),
        allow_nonpositive=allow_nonpositive,
    )
    if isinstance(events, Recording):
        events = steps_of(events, interval)
    wanted = (
        event
        for event in events
        if isinstance(event, Gap)
        or event.kind in kinds
        or (terms.trade and isinstance(event, Depth))
    )
    for event, time in _timed(wanted):
        if isinstance(event, Gap):
            listener.miss(event)
        else:
            listener.take(event, time)
    panel, run = listener.finish(terms, round(latency_ms * _MS))
    result = Result(
        strategy=strategy,
        panel=panel,
        run=run,
        terms=terms,
        engine="python",
        engine_reason=in_python,
        periods_per_year=periods_per_year,
        risk_free=risk_free,
    )
    if listener.unpriced:
        warnings.warn(
            f"{listener.unpriced:,} books have a touch at zero or below, which is taken for an "
            "empty side; where such prices are true, use allow_nonpositive=True",
            BacktestWarning,
            stacklevel=3,
        )
    note = larger(result.panel, result.run)
    if note:
        warnings.warn(note, BacktestWarning, stacklevel=3)
    return result


def _timed(events: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Yield events, and when each was received; a bar, with the event that made it complete.

    That one comes right after it. 0 where the events end before.
    """
    waiting: list[Any] = []
    for event in events:
        if isinstance(event, Bar | Gap):
            waiting.append(event)
            continue
        time = event.received_ns or event.exchange_ns
        for earlier in waiting:
            yield earlier, time
        waiting.clear()
        yield event, time
    for earlier in waiting:
        yield earlier, 0


class _Listener:
    """A strategy over events; keeps a row of each for the account."""

    def __init__(
        self, strategy: Strategy, *, trades: bool, recorded: bool, allow_nonpositive: bool
    ) -> None:
        self.strategy = strategy
        self.trades = trades
        self.recorded = recorded
        self.lowest = -math.inf if allow_nonpositive else 0.0
        self.unpriced = 0
        self.symbols: dict[str, _Symbol] = {}
        self.shown: list[_Symbol] = []
        """Those with rows in the result, by their place there."""
        self.shared = strategy.instance() if strategy.per == "session" else None
        self.now = 0
        self.kinds, self.is_shown = array("b"), array("b")
        self.times, self.owner = array("q"), array("q")
        self.prices, self.signals = array("d"), array("d")
        self.touches: list[Touch] = []
        """Of the rows of books, in order."""

    def miss(self, gap: Gap) -> None:
        """Tell the strategy of a gap in what it is shown; a book is then not known any more."""
        channel = gap.channel.partition(":")[0]
        symbol = self._symbol(gap.symbol)
        if channel in self.strategy.kinds:
            tell_gap(self.strategy, symbol.call, gap)
        if channel == "depth" and self.trades:
            # What was due before the gap was filled at the book before it.
            time = max(min(gap.from_ns or self.now, gap.to_ns or self.now), self.now)
            self._add(_LOST, time, symbol, math.nan, shown=False)

    def take(self, event: MarketEvent, time: int) -> None:
        """Let the strategy decide on an event, and keep what it said and what there was."""
        if time < self.now:
            if not self.recorded:
                raise SettingsError(
                    f"the events are not in order of time: {event.symbol} at {time} comes after "
                    f"{self.now}; sort them by received_ns"
                )
            time = self.now  # the clock was set back while recording
        self.now = time
        symbol = self._symbol(event.symbol)
        is_book = isinstance(event, Depth)
        if isinstance(event, Depth):
            touch = self._touch(event)
            mark = _mark(touch)
            symbol.has_book = symbol.has_book or (touch.bid == touch.bid and touch.ask == touch.ask)
            if mark == mark:
                symbol.mark = mark
        else:
            symbol.last = _price(event)
        wanted = event.kind in self.strategy.kinds
        signal = self._decide(symbol, event) if wanted else None
        shown = signal is not None or (is_book and symbol.has_book) or not self.trades
        if shown and symbol.shown < 0:
            symbol.shown = len(self.shown)
            self.shown.append(symbol)
        if is_book:
            self.touches.append(touch if symbol.has_book else NO_TOUCH)
        said = math.nan if signal is None else signal
        self._add(_BOOK if is_book else _EVENT, time, symbol, said, shown=shown)

    def _add(self, kind: int, time: int, symbol: _Symbol, signal: float, *, shown: bool) -> None:
        self.kinds.append(kind)
        self.is_shown.append(shown)
        self.times.append(time)
        self.owner.append(symbol.number)
        self.prices.append(symbol.price)
        self.signals.append(signal)

    def _symbol(self, name: str) -> _Symbol:
        symbol = self.symbols.get(name)
        if symbol is None:
            call = self.shared or self.strategy.instance()
            symbol = self.symbols[name] = _Symbol(name, len(self.symbols), call)
        return symbol

    def _touch(self, book: Depth) -> Touch:
        bid, bid_size = _best(book.bids)
        ask, ask_size = _best(book.asks)
        if bid <= self.lowest or ask <= self.lowest:
            self.unpriced += 1
            if bid <= self.lowest:
                bid, bid_size = NO_TOUCH.bid, 0.0
            if ask <= self.lowest:
                ask, ask_size = NO_TOUCH.ask, 0.0
        return Touch(bid, ask, bid_size, ask_size)

    def _decide(self, symbol: _Symbol, event: MarketEvent) -> float | None:
        try:
            signal = as_signal(symbol.call(event), self.strategy.name)
        except StrategyError:
            raise
        except Exception as error:
            raise StrategyError(
                f"strategy {self.strategy.name} failed on a {_noun(event)} of {event.symbol} at "
                f"{self.now}: {type(error).__name__}: {error}"
            ) from error
        if self.trades and signal is not None and not -1.0 <= signal <= 1.0:
            raise not_an_exposure(self.strategy, signal, f"a {_noun(event)} of {event.symbol}")
        return signal

    def finish(self, terms: Terms, latency_ns: int) -> tuple[Panel, Run]:
        """Return the rows as a panel, and what happened; raise `SettingsError` without any."""
        if self.trades and not any(symbol.has_book for symbol in self.shown):
            raise SettingsError("there is no book with both sides among the events")
        if not self.shown:
            raise SettingsError(f"there is no {' or '.join(self.strategy.kinds)} among the events")
        names = tuple(symbol.name for symbol in self.shown)
        kept = np.flatnonzero(np.array(self.is_shown))
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
            equity = np.full(len(stamps), float(terms.cash))
            return panel, Run(signals.ravel(), equity, np.empty((0, 6)))
        account, equity = self._run(self._fitting(terms), latency_ns)
        fills, times, shown = account.fill_rows()
        fills[:, 0] = np.minimum(fills[:, 0], float(len(stamps) - 1))
        return panel, Run(signals.ravel(), equity, fills, times, shown)

    def _fitting(self, terms: Terms) -> Terms:
        """Return the terms without the weights of symbols that were met, but never with a row."""
        if terms.weights is None:
            return terms
        rowless = {symbol.name for symbol in self.symbols.values() if symbol.shown < 0}
        weights = {name: share for name, share in terms.weights.items() if name not in rowless}
        return dataclasses.replace(terms, weights=weights)

    def _run(self, terms: Terms, latency_ns: int) -> tuple[DepthAccount, npt.NDArray[np.float64]]:
        """Return an account that went through the rows, and its equity at those shown."""
        shares = terms.shares(tuple(symbol.name for symbol in self.shown))
        account = DepthAccount(terms, shares, latency_ns)
        place = [symbol.shown for symbol in self.symbols.values()]
        said = [0.0] * len(shares)
        touches = iter(self.touches)
        equities = np.empty(sum(self.is_shown))
        rows = zip(
            self.kinds, self.is_shown, self.times, self.owner, self.prices, self.signals,
            strict=True,
        )  # fmt: skip
        begun = ended = now = 0
        for kind, shown, time, owner, price, signal in rows:
            if time != now:
                # An instant is over, and with it all that was due then.
                account.advance(before=now + 1)
                equities[begun:ended] = account.settle(now)
                account.advance(before=time)
                begun = account.row = ended
                now = time
            ended += shown
            s = place[owner]
            touch = next(touches) if kind == _BOOK else NO_TOUCH
            if s < 0:
                continue
            if kind == _LOST:
                account.lose(s)
            elif kind == _BOOK:
                account.update(s, touch, price)
            if signal == signal and signal != said[s]:
                said[s] = signal
                account.order(s, time, signal)
        account.advance(before=now + 1)
        equities[begun:ended] = account.settle(now)
        return account, equities


def _best(levels: tuple[Level, ...]) -> Level:
    """Return the best level that has a size, or (nan, 0.0)."""
    for level in levels:
        if level[1] > 0.0:
            return level
    return math.nan, 0.0


def _mark(touch: Touch) -> float:
    """Return the mid price, the one side where the other is empty, or nan."""
    if touch.bid != touch.bid:
        return touch.ask
    return touch.bid if touch.ask != touch.ask else (touch.bid + touch.ask) / 2.0


def _price(event: Trade | Ticker | Bar) -> float:
    if isinstance(event, Trade):
        return event.price
    return event.last if isinstance(event, Ticker) else event.close


def _noun(event: MarketEvent) -> str:
    return "book" if event.kind == "depth" else event.kind
