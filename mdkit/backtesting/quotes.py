"""Depth recordings backtested: decided on one book, filled at a later one's opposite touch.

With `trade=False` nothing is filled, and the events may be of any kind: what a strategy says is
then all there is.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.backtesting.engine import Run, Terms, not_an_exposure, tell_gap
from mdkit.backtesting.native import Columns
from mdkit.backtesting.panel import Panel
from mdkit.backtesting.recorded import steps_of
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Bar, Depth, Gap, MarketEvent, Ticker, Trade
from mdkit.strategies.contract import Strategy, as_signal
from mdkit.stream.recordings import Recording

if TYPE_CHECKING:
    from mdkit.backtesting.result import Result

_MS = 1_000_000


class _Symbol:
    """One symbol's instance, book and position. `number` is its place in the result."""

    __slots__ = ("ask", "bid", "call", "last", "name", "number", "said", "share", "units")

    def __init__(self, name: str, call: Any, share: float) -> None:
        self.name = name
        self.number = -1
        self.call = call
        self.share = share
        self.bid = self.ask = self.last = math.nan
        self.said = 0.0
        self.units = 0.0

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2.0

    @property
    def has_book(self) -> bool:
        return self.bid == self.bid

    @property
    def price(self) -> float:
        """The mid price, or before the first book that of the last trade, ticker or bar."""
        return self.mid if self.has_book else self.last


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
) -> Result:
    """Run a strategy over recorded books; the arguments are those of `backtest`.

    What a book leads to is filled `latency_ms` later, by the clock of `received_ns` (by
    `exchange_ns` where a book has no time of receipt): bought at the best ask, sold at the best
    bid of the book in force then, whatever its size. Equity is marked at mid prices, one row of
    the result per book with both sides, and one for what is said on anything else. Events that
    the strategy does not want are passed over. An order that would come due after the last book
    is not filled, nor one due before the first, and one that waits when the strategy changes its
    mind is filled first. Targets count as on bars: a repeated one is no order. What a position
    lacks of its target is measured at mid prices and bought or sold at the touch. Each symbol's
    target is of the whole equity unless `weights` says otherwise, since how many symbols will
    come is not known at the beginning.

    When nothing is traded there is a row per event that the strategy wants, of whatever kind.
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
    recorded = isinstance(events, Recording)
    replay = _Replay(strategy, terms, round(latency_ms * _MS), recorded)
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
            replay.miss(event)
        else:
            replay.take(event, time)
    panel, run = replay.finish()
    return Result(
        strategy=strategy,
        panel=panel,
        run=run,
        terms=terms,
        engine="python",
        engine_reason=in_python,
        periods_per_year=periods_per_year,
        risk_free=risk_free,
    )


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


class _Replay:
    """The account over a stream of books."""

    def __init__(
        self, strategy: Strategy, terms: Terms, latency_ns: int, recorded: bool = False
    ) -> None:
        self.recorded = recorded
        self.strategy = strategy
        self.terms = terms
        self.latency_ns = latency_ns
        self.cash = float(terms.cash)
        self.symbols: dict[str, _Symbol] = {}
        self.shown: list[_Symbol] = []
        """Those with rows in the result, by number."""
        self.due: list[tuple[int, int, str, float]] = []
        self.shared = strategy.instance() if strategy.per == "session" else None
        self.now = 0
        self.orders = 0
        self.times = array("q")
        self.owner = array("q")
        self.prices, self.equities, self.signals = array("d"), array("d"), array("d")
        self.fills: list[tuple[float, ...]] = []

    def miss(self, gap: Gap) -> None:
        """Tell the strategy of a gap in what it is shown."""
        if gap.channel.partition(":")[0] in self.strategy.kinds:
            tell_gap(self.strategy, self._symbol(gap.symbol).call, gap)

    def _symbol(self, name: str) -> _Symbol:
        symbol = self.symbols.get(name)
        if symbol is None:
            call = self.shared or self.strategy.instance()
            share = 1.0
            if self.terms.weights is not None:
                share = self.terms.weights.get(name, 0.0)
            symbol = self.symbols[name] = _Symbol(name, call, share)
        return symbol

    def take(self, event: MarketEvent, time: int) -> None:
        """Fill what is due before this event, put a book in force, let the strategy decide."""
        if time < self.now:
            if not self.recorded:
                raise SettingsError(
                    f"the events are not in order of time: {event.symbol} at {time} comes after "
                    f"{self.now}; sort them by received_ns"
                )
            time = self.now  # the clock was set back while recording
        self.now = time
        symbol = self._symbol(event.symbol)
        self._fill(before=time)
        if isinstance(event, Depth):
            if event.bids and event.asks:
                symbol.bid, symbol.ask = event.bids[0][0], event.asks[0][0]
        else:
            symbol.last = _price(event)
        wanted = event.kind in self.strategy.kinds
        signal = self._decide(symbol, event) if wanted else None
        shown = signal is not None or (isinstance(event, Depth) and symbol.has_book)
        if shown or not self.terms.trade:
            if symbol.number < 0:
                symbol.number = len(self.shown)
                self.shown.append(symbol)
            shown = True
        if self.terms.trade:
            if signal is not None and signal != symbol.said:
                symbol.said = signal
                self.orders += 1
                entry = (time + self.latency_ns, self.orders, event.symbol, signal)
                heapq.heappush(self.due, entry)
            self._fill(before=time + 1)
        if shown:
            self.times.append(time)
            self.owner.append(symbol.number)
            self.prices.append(symbol.price)
            self.signals.append(math.nan if signal is None else signal)
            self.equities.append(self._equity())

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
        if self.terms.trade and signal is not None and not -1.0 <= signal <= 1.0:
            raise not_an_exposure(self.strategy, signal, f"a {_noun(event)} of {event.symbol}")
        return signal

    def _equity(self) -> float:
        held = (s for s in self.symbols.values() if s.units != 0.0)
        return self.cash + math.fsum(s.units * s.mid for s in held)

    def _fill(self, before: int) -> None:
        """Fill the orders that came due before a time, each at its symbol's book in force."""
        while self.due and self.due[0][0] < before:
            _, _, name, target = heapq.heappop(self.due)
            symbol = self.symbols[name]
            if symbol.has_book:
                self._trade(symbol, target)

    def _trade(self, symbol: _Symbol, target: float) -> None:
        equity = self._equity()
        if equity <= 0.0 and target != 0.0:
            return
        missing = target * symbol.share * equity - symbol.units * symbol.mid
        buying = missing > 0.0 if target != 0.0 else symbol.units < 0.0
        slippage = self.terms.slippage
        paid = symbol.ask * (1.0 + slippage) if buying else symbol.bid * (1.0 - slippage)
        units = missing / (paid * (1.0 + self.terms.fee)) if target != 0.0 else -symbol.units
        if units == 0.0:
            return
        charge = self.terms.fee * abs(units * paid)
        self.cash -= units * paid + charge
        symbol.units += units
        if abs(symbol.units) < 1e-12 * abs(units):
            symbol.units = 0.0
        # A fill belongs to the row that the book in hand is about to write, or has written last.
        row = float(len(self.times))
        self.fills.append((row, float(symbol.number), units, paid, charge, 0.0))

    def finish(self) -> tuple[Panel, Run]:
        """Return the rows as a panel, and what happened; raise `SettingsError` without any."""
        if self.terms.trade and not any(symbol.has_book for symbol in self.shown):
            raise SettingsError("there is no book with both sides among the events")
        if not self.shown:
            raise SettingsError(f"there is no {' or '.join(self.strategy.kinds)} among the events")
        stamps = np.array(self.times, np.int64)
        # Rows of one nanosecond are told apart by their order.
        stamps = np.maximum.accumulate(stamps - np.arange(len(stamps))) + np.arange(len(stamps))
        index = pd.DatetimeIndex(stamps).tz_localize("UTC")
        owner = np.array(self.owner)
        prices, said = np.array(self.prices), np.array(self.signals)
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
            signals[symbol.number, own] = said[own]
        names = tuple(symbol.name for symbol in self.shown)
        panel = Panel(names, index, tuple(bars), tuple(places))
        last = float(len(stamps) - 1)
        fills = np.array(self.fills).reshape(-1, 6)
        fills[:, 0] = np.minimum(fills[:, 0], last)
        return panel, Run(signals.ravel(), np.array(self.equities), fills)


def _price(event: Trade | Ticker | Bar) -> float:
    if isinstance(event, Trade):
        return event.price
    return event.last if isinstance(event, Ticker) else event.close


def _noun(event: MarketEvent) -> str:
    return "book" if event.kind == "depth" else event.kind
