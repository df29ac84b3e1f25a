"""Exposures out of signals, and ranges for stops, computed from bars before an account runs.

Both engines take what is computed here, so that it cannot differ between them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.ranges import average_ranges
from mdkit.backtesting.account.sizing import ATRStop, RiskSize, VolatilityTarget
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.data.panel import Panel

Floats = npt.NDArray[np.float64]
_ROWS = 65_536
"""Windows that are looked at together: more would take memory for nothing."""


class Sized(NamedTuple):
    """Exposures of signals by symbol and bar, (symbols x bars,).

    `scales` is what a signal of each bar would be multiplied by, None where exposures are the
    signals; `is_new` is 0.0 where one only sizes anew what is held, None where none does.
    """

    flat: Floats
    scales: Floats | None = None
    is_new: Floats | None = None


def exposures(panel: Panel, terms: Terms, signals: Floats) -> Sized:
    """Return the exposures that an account trades to.

    A signal that is repeated is left out, since it makes no order, and one that cannot be sized
    waits until it can.
    """
    size = terms.size
    if size is None:
        return Sized(signals)
    scales = panel.spread([_scale(panel, terms, s) for s in range(len(panel.symbols))])
    wanted = signals.reshape(len(panel.symbols), -1)
    found, new = np.full(wanted.shape, np.nan), np.zeros(wanted.shape)
    rebalances = isinstance(size, VolatilityTarget) and size.rebalance
    for s, (said, scale) in enumerate(zip(wanted, scales.reshape(wanted.shape), strict=True)):
        found[s], new[s] = _sized(said, scale, rebalances)
    most = size.max_exposure
    flat = np.clip(found, -most, most).ravel()
    return Sized(flat, np.minimum(scales, most), new.ravel() if rebalances else None)


def _sized(said: Floats, scale: Floats, rebalances: bool) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return one symbol's exposures, and which of them are of new signals."""
    known = ~np.isnan(said)
    if not known.any():
        return said, known
    last = np.maximum.accumulate(np.where(known, np.arange(len(said)), -1))
    held = np.where(last >= 0, said[last], np.nan)
    before = np.concatenate([[0.0], held[:-1]])
    changed = known & (said != np.where(np.isnan(before), 0.0, before))
    with np.errstate(invalid="ignore"):
        sized = np.where(held == 0.0, 0.0, held * scale)
    can = ~np.isnan(sized)
    # What could not be sized when it was said is said on the first bar on which it can be.
    number = np.cumsum(changed)
    ready = np.maximum.accumulate(np.where(can, number, 0))
    first = can & (number > 0) & (np.concatenate([[0], ready[:-1]]) < number)
    if rebalances:
        return np.where((number > 0) & can, sized, np.nan), first
    return np.where(first, sized, np.nan), first


def _scale(panel: Panel, terms: Terms, s: int) -> Floats:
    """Return by what one symbol's signals are multiplied, on each of its own bars."""
    size, bars = terms.size, panel.bars[s]
    if isinstance(size, RiskSize):
        stop = terms.stop_loss
        assert stop is not None
        if not isinstance(stop, ATRStop):
            return np.full(len(bars.close), size.risk / stop)
        away = stop.multiple * average_ranges(bars.high, bars.low, bars.close, stop.period)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(away > 0.0, size.risk * np.abs(bars.close) / away, math.inf)
    assert isinstance(size, VolatilityTarget)
    found = volatilities(bars.close, size.period) * math.sqrt(bars_per_year(panel, s))
    with np.errstate(divide="ignore"):
        return size.volatility / found


def bars_per_year(panel: Panel, s: int) -> float:
    """Return how many bars of a symbol a year has: those of a return, times the returns of a year.

    Counted from its first bar to its last, so that it does not matter how long others had been
    there before, or will be after.
    """
    calendar, places, count = panel.calendar, panel.places[s], len(panel.bars[s].close)
    if not count:
        return calendar.returns_per_year
    first, last = (0, count - 1) if places is None else (places[0], places[-1])
    begin, end = np.searchsorted(calendar.ends, (first, last)).tolist()
    return float(count / (end - begin + 1) * calendar.returns_per_year)


def volatilities(closes: Floats, period: int) -> Floats:
    """Return the standard deviation (ddof=1) of the last `period` returns, nan before."""
    found = np.full(len(closes), np.nan)
    if len(closes) <= period:
        return found
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = closes[1:] / closes[:-1] - 1.0
    windows = np.lib.stride_tricks.sliding_window_view(returns, period)
    for begin in range(0, len(windows), _ROWS):
        some = windows[begin : begin + _ROWS]
        found[begin + period : begin + period + len(some)] = np.std(some, axis=1, ddof=1)
    return found


class Ranges(NamedTuple):
    """Average true ranges known before each bar, and one more after the last, by symbol."""

    flat: Floats
    multiples: tuple[float, float, float]
    """Of the stop-loss, the trailing stop and the take-profit; 0 where one is a fraction."""


def known_ranges(panel: Panel, terms: Terms) -> Ranges:
    """Return the ranges that stops need, nan before a symbol's first bar has completed."""
    bars, symbols = len(panel), len(panel.symbols)
    levels = (terms.stop_loss, terms.trailing_stop, terms.take_profit)
    stops = terms.atr_stops
    flat = np.full((symbols, bars + 1), np.nan if stops else 0.0)
    if stops:
        for row, own, places in zip(flat, panel.bars, panel.places, strict=True):
            found = average_ranges(own.high, own.low, own.close, stops[0].period)
            row[1 + (np.arange(bars) if places is None else places)] = found
            known = np.where(np.isnan(row), 0, np.arange(bars + 1))
            row[:] = row[np.maximum.accumulate(known)]
    multiples = [float(level.multiple) if isinstance(level, ATRStop) else 0.0 for level in levels]
    return Ranges(flat.ravel(), (multiples[0], multiples[1], multiples[2]))
