"""The intervals of bars that the exchange serves. Where their periods begin: as in `history`."""

from __future__ import annotations

from mdkit.history.intervals import DAY_MS, FIXED_MS, period_start
from mdkit.history.intervals import KLINE_INTERVALS as INTERVALS
from mdkit.history.intervals import period_end as following

LATEST_INTERVALS = ("1m", "3m", *INTERVALS[1:])
FIXED = tuple(name for name in LATEST_INTERVALS if FIXED_MS.get(name, DAY_MS) < DAY_MS)
"""The intervals that are a number of minutes and never cross midnight."""

__all__ = ["DAY_MS", "FIXED", "INTERVALS", "LATEST_INTERVALS", "following", "period_start"]
