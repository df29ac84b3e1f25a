"""Times and gaps of a table of books: what stood at a moment, and where that is not known.

A segment is a run of rows without a gap between them. Nothing here looks from one segment into
another: what would is nan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.strategies.flow.flow import nanoseconds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHORTEST_BLOCK = 5_000_000_000
"""What is closer together than this is taken to say the same."""
Horizons = Sequence[Any] | str | timedelta
_MOST_STEPS = 5_000_000


def spans(horizons: Horizons) -> dict[str, int]:
    """Return horizons by their labels, in nanoseconds, the shortest first.

    Raises `SettingsError` for what is no time, and for none at all.
    """
    several = isinstance(horizons, Sequence) and not isinstance(horizons, str)
    given: list[Any] = list(horizons) if several else [horizons]  # type: ignore[arg-type]
    if not given:
        raise SettingsError('horizons is empty; give times such as ("1s", "5s")')
    found = {}
    for one in given:
        span = nanoseconds(one, "horizon")
        found[one if isinstance(one, str) else label(span, digits=12)] = span
    return dict(sorted(found.items(), key=lambda item: item[1]))


def label(span_ns: float, digits: int = 3) -> str:
    """Return a span of time in the unit that fits it: 100ms, 1s, 5min."""
    for unit, size in (("h", 3600e9), ("min", 60e9), ("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if span_ns >= size:
            return f"{span_ns / size:.{digits}g}{unit}"
    return f"{span_ns:.0f}ns"


def stamps(index: Any) -> Ints:
    """Return a time index as nanoseconds since the epoch; naive times are UTC."""
    if not isinstance(index, pd.DatetimeIndex):
        raise SettingsError(f"a table by time is needed, not one by {type(index).__name__}")
    found: Ints = index.as_unit("ns").asi8
    return found


class Timeline:
    """The rows of a table in order of time, and which of them no gap parts.

    Attributes:
        times: of receipt, in nanoseconds, ascending; shape (rows,).
        segments: the number of each row's segment, ascending with the rows.
        ends: the last time of each row's segment.
        order: the place of each row in the table, where that was not in order of time.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        times = stamps(table.index)
        broken = (
            table["gap"].to_numpy(bool).copy() if "gap" in table else np.zeros(len(table), bool)
        )
        broken[1:] |= times[1:] < times[:-1]  # a clock that was set back
        runs = np.cumsum(broken)
        self.order: Ints = np.argsort(times, kind="stable").astype(np.int64)
        self.times: Ints = times[self.order]
        sorted_runs = runs[self.order]
        changes = np.append(False, sorted_runs[1:] != sorted_runs[:-1]) if len(times) else broken
        self.segments: Ints = np.cumsum(changes).astype(np.int64)
        last = np.append(np.flatnonzero(changes) - 1, len(times) - 1)
        self.ends: Ints = self.times[last[self.segments]] if len(times) else self.times

    def rows_at(self, moments: Ints, *, before: bool = False) -> Ints:
        """Return the row in force at each moment, -1 where none is known.

        That is the last row not after the moment, or with `before` the last one before it. Behind
        the last row of a segment nothing is known.
        """
        if not len(self.times):
            return np.full(len(moments), -1, np.int64)
        rows = np.searchsorted(self.times, moments, side="left" if before else "right") - 1
        known = (rows >= 0) & (moments <= self.ends[rows])
        found: Ints = np.where(known, rows, -1)
        return found

    def rows_later(self, rows: Ints, moments: Ints) -> Ints:
        """Return the row in force at each moment, -1 where a gap parts it from the given row."""
        later = self.rows_at(moments)
        apart = (rows < 0) | (later < 0) | (self.segments[later] != self.segments[rows])
        found: Ints = np.where(apart, -1, later)
        return found


def taken(values: Floats, rows: Ints) -> Floats:
    """Return values at rows, nan at those that are -1."""
    if not len(values):
        return np.full(len(rows), np.nan)
    found: Floats = np.where(rows < 0, np.nan, values[rows])
    return found


def block_length(horizon: int) -> int:
    """Return how long a block of events is that look so far ahead, in nanoseconds."""
    return max(2 * horizon, SHORTEST_BLOCK)


def blocks(segments: Ints, times: Ints, length: int) -> tuple[Ints, int]:
    """Return the number of each point's block, and how many there are.

    A block is `length` nanoseconds of one segment. Numbers are from 0 on, none is left out.
    """
    if not len(times):
        return np.zeros(0, np.int64), 0
    firsts = np.zeros(int(segments.max()) + 1, np.int64)
    # From behind, so that the first time of each segment is what stays.
    firsts[segments[::-1]] = times[::-1]
    within = (times - firsts[segments]) // length
    keys = segments * (int(within.max()) + 1) + within
    found, numbers = np.unique(keys, return_inverse=True)
    return numbers.astype(np.int64), len(found)


def check_count(name: str, step: str, span_ns: int, step_ns: int) -> None:
    """Raise `SettingsError` where a span of time has more steps than memory is for."""
    count = span_ns // step_ns
    if count > _MOST_STEPS:
        raise SettingsError(
            f"{name} is {step!r}, of which the data have {count:,}; give one of at least "
            f"{label(span_ns / _MOST_STEPS)}"
        )


def options(given: Mapping[str, Any]) -> None:
    """Raise `SettingsError` for a whole number that is none or below the least: by name."""
    for name, (value, least) in given.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < least:
            raise SettingsError(f"{name} is {value!r}; give a whole number of at least {least}")
