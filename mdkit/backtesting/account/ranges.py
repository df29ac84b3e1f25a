"""Average true ranges, of bars and of prices by time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdkit.strategies.indicators import ATR

Floats = npt.NDArray[np.float64]


def average_ranges(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Return Wilder's average true range after each bar; of fewer than `period`, their mean."""
    count = len(close)
    before = np.concatenate([close[:1], close[:-1]])
    ranges = np.maximum(high, before) - np.minimum(low, before)
    ranges[:1] = high[:1] - low[:1]
    update = ATR(period).update
    rows = zip(high.tolist(), low.tolist(), close.tolist(), strict=True)
    found = np.array([update(*row) for row in rows], np.float64)
    early = min(count, period - 1)
    found[:early] = np.cumsum(ranges[:early]) / np.arange(1, early + 1)
    return found


def ranges_by_time(times: Any, prices: Floats, period: int, step: int) -> Floats:
    """Return the average true range that is known at each of these times, nan before the first.

    It is that of the bars of the prices, `step` ns long, which have ended by then; a bar without a
    price is none.
    """
    found = np.full(len(times), np.nan)
    known = np.flatnonzero(prices == prices)
    if not len(known):
        return found
    bar = times[known] // step
    begins = np.flatnonzero(np.concatenate([[True], bar[1:] != bar[:-1]]))
    own = prices[known]
    closes = own[np.append(begins[1:], len(own)) - 1]
    averages = average_ranges(
        np.maximum.reduceat(own, begins), np.minimum.reduceat(own, begins), closes, period
    )
    # Of the bars that began before that of a time, the last one.
    last = np.searchsorted(bar[begins], times // step) - 1
    found[last >= 0] = averages[last[last >= 0]]
    return found
