"""Bars as the engines take them: plain columns on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.calendar import DAY, Calendar
from mdkit.backtesting.compiled.native import Columns
from mdkit.backtesting.data.bar_frames import checked_bars
from mdkit.events import Bar
from mdkit.history.intervals import FIXED_MS

_MS = 1_000_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """The bars of some symbols on one time axis.

    Attributes:
        symbols: in the order of the columns.
        index: every point in time at which any symbol has a bar (its start), UTC, (bars,).
        bars: each symbol's own bars, without holes; a stretch of a panel may hold none of one.
        places: where a symbol's own bars lie on the common axis; None where they fill it.
        zone: the time zone in which the bars came, whose midnights part the days; None for UTC.
        positive: whether every price is known to be above zero.
        single: the time from a bar's start to its end where there is only one, ns.
    """

    symbols: tuple[str, ...]
    index: pd.DatetimeIndex
    bars: tuple[Columns, ...]
    places: tuple[npt.NDArray[np.int64] | None, ...]
    zone: Any = None
    positive: bool = True
    single: int = DAY

    def __len__(self) -> int:
        return len(self.index)

    def __getstate__(self) -> dict[str, Any]:
        """Return what it was made of, without what was computed from that."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Starts of the bars in nanoseconds, UTC, (bars,)."""
        return self.index.as_unit("ns").asi8

    @cached_property
    def calendar(self) -> Calendar:
        """When the bars begin, and which of them end a day."""
        return Calendar(self.starts, self.zone, self.single)

    @property
    def interval(self) -> str:
        """The usual length of a bar: "1m", "4h", "1d", "1M"."""
        return self.calendar.interval

    def end_of(self, bar: int) -> pd.Timestamp:
        """Return when a bar ends, UTC."""
        return pd.Timestamp(self.calendar.end_of(bar), tz="UTC")

    def cut(self, begin: int, end: int) -> Panel:
        """Return the points [begin, end) of the time axis, of the same symbols."""
        bars: list[Columns] = []
        at: list[npt.NDArray[np.int64] | None] = []
        for columns, places in zip(self.bars, self.places, strict=True):
            if places is None:
                bars.append(columns.cut(begin, end))
                at.append(None)
            else:
                low, high = np.searchsorted(places, (begin, end)).tolist()
                bars.append(columns.cut(low, high))
                at.append(None if high - low == end - begin else places[low:high] - begin)
        return replace(self, index=self.index[begin:end], bars=tuple(bars), places=tuple(at))

    def flat(self, column: str) -> Floats:
        """Return one column of all symbols, one symbol after the other, nan where one has no bar.

        Shape (symbols x bars,).
        """
        return self.spread([getattr(columns, column) for columns in self.bars])

    def spread(self, values: list[Floats]) -> Floats:
        """Put each symbol's own values on the common axis, one symbol after the other."""
        if len(values) == 1 and self.places[0] is None:
            return values[0]
        whole = np.full((len(values), len(self)), np.nan)
        for row, own, places in zip(whole, values, self.places, strict=True):
            row[slice(None) if places is None else places] = own
        return whole.ravel()

    @cached_property
    def closes(self) -> Floats:
        """The last close of each symbol so far, nan before its first bar, (symbols, bars)."""
        whole = self.flat("close").reshape(len(self.symbols), -1)
        if all(places is None for places in self.places):
            return whole
        known = np.where(np.isnan(whole), 0, np.arange(len(self)))
        return np.take_along_axis(whole, np.maximum.accumulate(known, axis=1), axis=1)

    @cached_property
    def held(self) -> Floats:
        """What 1.0 is worth at each close, held in equal shares from each first open on, (bars,).

        Without costs. Before a symbol's first bar its share waits in cash; nan throughout where
        a first open is not above zero.
        """
        worth = np.zeros(len(self))
        for own, columns in zip(self.closes, self.bars, strict=True):
            if not len(columns.open):
                worth += 1.0
                continue
            first = float(columns.open[0])
            grown = own / first if first > 0.0 else np.full(len(own), np.nan)
            worth += np.where(np.isnan(own), 1.0, grown) if first > 0.0 else grown
        return worth / len(self.symbols)

    @cached_property
    def last_bars(self) -> tuple[int, ...]:
        """Where on the time axis each symbol's last bar lies, -1 where it has none."""
        last = []
        for columns, places in zip(self.bars, self.places, strict=True):
            count = len(columns.close)
            last.append(count - 1 if places is None or not count else int(places[-1]))
        return tuple(last)


def bar_columns(bars: Sequence[Bar]) -> Columns:
    """Return one symbol's bars, in order, as columns."""
    columns = [np.array([getattr(bar, name) for bar in bars]) for name in Columns._fields]
    return Columns._make(columns)


def make_panel(bars: Any, *, allow_nonpositive: bool = False) -> Panel:
    """Return checked bars; raise `SettingsError` that says what is wrong and how to mend it.

    Takes a DataFrame with an index of bar starts in a time zone and the columns `open high low
    close volume`; several symbols as a dict of such frames, or as one frame with a symbol level.
    The zone is that of the market, by whose clock its days begin; that of several which differ
    is UTC. A bar with a price of zero or below is left out with a `BacktestWarning` unless
    `allow_nonpositive`.
    """
    checked = checked_bars(bars, allow_nonpositive=allow_nonpositive)
    index = checked[0].index
    for other in checked[1:]:
        if not other.index.equals(index):
            index = index.union(other.index)
    places = tuple(
        None if len(own.index) == len(index) else index.get_indexer(own.index).astype(np.int64)
        for own in checked
    )
    zones = {str(own.zone): own.zone for own in checked}
    return Panel(
        tuple(own.symbol for own in checked),
        index,
        tuple(own.columns for own in checked),
        places,
        zone=next(iter(zones.values())) if len(zones) == 1 else None,
        positive=all(own.positive for own in checked),
        single=FIXED_MS.get(str(getattr(bars, "attrs", {}).get("interval")), DAY // _MS) * _MS,
    )
