"""Indicators: small objects that take one value at a time.

    average = SMA(10)
    average.update(bar.close)          # returns the new value, nan until ready
    if average.ready: average.value

Every one has `update`, `ready` (whether its whole period has been seen) and `value`, and takes
constant time per update, some on average over a period. Their state is plain numbers and
fixed-length lists of floats, and they compute with scalar arithmetic in a fixed order, so that
the same object gives the same bits live, in the Python engine and compiled by numba.

How the moving windows stay exact. A running total that adds what enters and subtracts what
leaves drifts, and never recovers from one huge value. Here nothing is ever subtracted: a window
is split into values that arrived since the last turn and older ones, for which the totals of
every suffix were made at that turn, once per period, as a queue is made of two stacks. What has
left a window has left no trace, and the error is that of adding up the window afresh. The same
split serves sums, extremes and, merged by Chan's formula, variances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdkit.strategies.indicators.averages import EMA, SMA, VWAP, WMA
from mdkit.strategies.indicators.crossing import Crossover
from mdkit.strategies.indicators.dispersion import Bollinger, StandardDeviation, ZScore
from mdkit.strategies.indicators.wilder import ATR, RSI
from mdkit.strategies.indicators.windows import Lag, RollingMax, RollingMin

INDICATORS: Mapping[str, Any] = {
    indicator.__name__: indicator
    for indicator in (
        SMA,
        EMA,
        WMA,
        StandardDeviation,
        ZScore,
        Bollinger,
        RSI,
        ATR,
        VWAP,
        RollingMin,
        RollingMax,
        Lag,
        Crossover,
    )
}
"""Every indicator, by name; one suite of tests runs over them."""

__all__ = [
    "ATR",
    "EMA",
    "INDICATORS",
    "RSI",
    "SMA",
    "VWAP",
    "WMA",
    "Bollinger",
    "Crossover",
    "Lag",
    "RollingMax",
    "RollingMin",
    "StandardDeviation",
    "ZScore",
]
