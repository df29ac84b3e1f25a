"""Bars as the engines take them: checked, and as plain columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.metrics import Calendar
from mdkit.backtesting.native import Columns
from mdkit.errors import SettingsError
from mdkit.events import Bar

COLUMNS = ("open", "high", "low", "close", "volume")
SYMBOL = "asset"
"""What a single frame's symbol is called unless `bars.attrs["symbol"]` names it."""


@dataclass(frozen=True)
class Panel:
    """The bars of some symbols on one time axis.

    Attributes:
        symbols: in the order of the columns.
        index: every point in time at which any symbol has a bar (its start), UTC, (bars,).
        bars: each symbol's own bars, without holes.
        places: where a symbol's own bars lie on the common axis; None where they fill it.
    """

    symbols: tuple[str, ...]
    index: pd.DatetimeIndex
    bars: tuple[Columns, ...]
    places: tuple[npt.NDArray[np.int64] | None, ...]

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Starts of the bars in nanoseconds, UTC, (bars,)."""
        return self.index.as_unit("ns").asi8

    @cached_property
    def step(self) -> pd.Timedelta:
        """The usual time from one bar to the next; a day if there is only one bar."""
        if len(self) < 2:
            return pd.Timedelta(days=1)
        return pd.Timedelta(int(np.median(np.diff(self.starts))), "ns")

    @cached_property
    def calendar(self) -> Calendar:
        """When the bars begin, and which of them end a day."""
        return Calendar(self.starts, self.step.value)

    def cut(self, begin: int, end: int) -> Panel:
        """Return the points [begin, end) of the time axis; symbols without a bar there stay out."""
        kept: list[tuple[str, Columns, npt.NDArray[np.int64] | None]] = []
        for symbol, columns, places in zip(self.symbols, self.bars, self.places, strict=True):
            if places is None:
                kept.append((symbol, columns.cut(begin, end), None))
                continue
            low, high = np.searchsorted(places, (begin, end)).tolist()
            if low < high:
                kept.append((symbol, columns.cut(low, high), places[low:high] - begin))
        symbols, bars, at = zip(*kept, strict=True)
        return Panel(symbols, self.index[begin:end], bars, at)

    def flat(self, column: str) -> npt.NDArray[np.float64]:
        """Return one column of all symbols, one symbol after the other, nan where one has no bar.

        Shape (symbols x bars,).
        """
        return self.spread([getattr(columns, column) for columns in self.bars])

    def spread(self, values: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """Put each symbol's own values on the common axis, one symbol after the other."""
        if len(values) == 1 and self.places[0] is None:
            return values[0]
        whole = np.full((len(values), len(self)), np.nan)
        for row, own, places in zip(whole, values, self.places, strict=True):
            row[slice(None) if places is None else places] = own
        return whole.ravel()


def bar_columns(bars: Sequence[Bar]) -> Columns:
    """Return one symbol's bars, in order, as columns."""
    columns = [np.array([getattr(bar, name) for bar in bars]) for name in Columns._fields]
    return Columns._make(columns)


def make_panel(bars: Any) -> Panel:
    """Return checked bars; raise `SettingsError` that says what is wrong and how to mend it.

    Takes a DataFrame with a UTC index of bar starts and the columns `open high low close
    volume`; several symbols as a dict of such frames, or as one frame with a symbol level.
    """
    frames = _by_symbol(bars)
    symbols = tuple(frames)
    checked = [_checked(frame, symbol, several=len(frames) > 1) for symbol, frame in frames.items()]
    index = checked[0][0]
    for other, _ in checked[1:]:
        if not other.equals(index):
            index = index.union(other)
    places = tuple(
        None if len(own) == len(index) else index.get_indexer(own).astype(np.int64)
        for own, _ in checked
    )
    return Panel(symbols, index, tuple(columns for _, columns in checked), places)


def _by_symbol(bars: Any) -> dict[str, pd.DataFrame]:
    if isinstance(bars, Mapping):
        if not bars:
            raise SettingsError("bars is an empty dict; give at least one symbol's bars")
        frames = {str(symbol): frame for symbol, frame in bars.items()}
    elif isinstance(bars, pd.DataFrame) and isinstance(bars.index, pd.MultiIndex):
        levels = list(bars.index.names)
        if bars.index.nlevels != 2:
            raise SettingsError(f"bars has {bars.index.nlevels} index levels; give symbol and time")
        level = levels.index("symbol") if "symbol" in levels else 0
        groups = bars.groupby(level=level, sort=False)
        frames = {str(symbol): frame.droplevel(level) for symbol, frame in groups}
    else:
        symbol = getattr(bars, "attrs", {}).get("symbol", SYMBOL)
        frames = {str(symbol): bars}
    for frame in frames.values():
        if not isinstance(frame, pd.DataFrame):
            raise SettingsError(
                f"bars is a {type(frame).__name__}; give a DataFrame, as md.klines returns it, "
                "or a dict of them by symbol"
            )
    return frames


def _checked(
    frame: pd.DataFrame, symbol: str, *, several: bool
) -> tuple[pd.DatetimeIndex, Columns]:
    whose = f"bars of {symbol}" if several else "bars"
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise SettingsError(
            f"{whose}: no column {', '.join(missing)}; the columns are "
            f"{', '.join(map(str, frame.columns))}, and needed are {' '.join(COLUMNS)}"
        )
    if not len(frame):
        raise SettingsError(f"{whose}: no rows")
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        raise SettingsError(
            f"{whose}: the index holds {index.dtype}; give bar starts as a DatetimeIndex in UTC"
        )
    if index.tz is None:
        raise SettingsError(
            f"{whose}: the index has no time zone; if it is UTC, use bars.tz_localize('UTC')"
        )
    if index.hasnans:
        raise SettingsError(f"{whose}: the index has missing times; drop those rows")
    if not index.is_monotonic_increasing:
        raise SettingsError(f"{whose}: times are not in order; use bars.sort_index()")
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise SettingsError(
            f"{whose}: {twice} occurs twice; use bars[~bars.index.duplicated(keep='last')]"
        )
    index = index.tz_convert("UTC")
    columns = {}
    for name in COLUMNS:
        try:
            values = np.ascontiguousarray(frame[name].to_numpy(np.float64))
        except (TypeError, ValueError):
            raise SettingsError(f"{whose}: column {name} holds more than numbers") from None
        least = values.min()
        # One look for the ordinary case: any nan makes the minimum nan.
        if not (least >= 0.0 if name == "volume" else least > 0.0) or values.max() == np.inf:
            wrong = ~(np.isfinite(values) & (values >= 0 if name == "volume" else values > 0))
            first = int(np.argmax(wrong))
            needs = "not negative" if name == "volume" else "positive"
            raise SettingsError(
                f"{whose}: {name} is {values[first]:g} at {index[first]} ({int(wrong.sum())} such "
                f"values); every {name} must be a number and {needs}"
            )
        columns[name] = values
    return index, Columns(**columns, start_ns=index.as_unit("ns").asi8)
