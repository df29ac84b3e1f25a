"""DataFrames of bars into columns, checked as `md.klines` checks them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.backtesting.compiled.native import Columns
from mdkit.errors import SettingsError
from mdkit.frames.held import UNNAMED

COLUMNS = ("open", "high", "low", "close", "volume")
_ROUNDING = 1e-9
"""How far, of the price, a high may lie below a close: adjusted prices are rounded one by one."""


@dataclass(frozen=True)
class CheckedBars:
    """One symbol's bars. `zone` is the zone in which their index came."""

    symbol: str
    index: pd.DatetimeIndex
    columns: Columns
    zone: Any
    positive: bool


def checked_bars(bars: Any, *, allow_nonpositive: bool) -> list[CheckedBars]:
    """Return the bars of each symbol; see `panel.make_panel`."""
    frames = by_symbol(bars)
    naive = [
        symbol
        for symbol, frame in frames.items()
        if isinstance(frame.index, pd.DatetimeIndex) and frame.index.tz is None
    ]
    if naive:
        whose = (
            f" of {', '.join(naive[:3])}{', ...' if naive[3:] else ''}" if len(frames) > 1 else ""
        )
        warnings.warn(
            f"the index of bars{whose} has no time zone and is taken as UTC; say so with "
            "bars.tz_localize('UTC'), or name the market's zone, whose midnights part the days",
            BacktestWarning,
            stacklevel=4,
        )
    found = []
    for symbol, frame in frames.items():
        whose = f"bars of {symbol}" if len(frames) > 1 else "bars"
        found.append(_checked(frame, symbol, whose, allow_nonpositive=allow_nonpositive))
    return found


def by_symbol(bars: Any) -> dict[str, pd.DataFrame]:
    """Return the frames of the symbols in bars."""
    if isinstance(bars, Mapping):
        if not bars:
            raise SettingsError("bars is an empty dict; give at least one symbol's bars")
        frames = {str(symbol): frame for symbol, frame in bars.items()}
        if len(frames) < len(bars):
            raise SettingsError(f"bars has symbols that read alike: {', '.join(map(repr, bars))}")
    elif isinstance(bars, pd.DataFrame) and isinstance(bars.index, pd.MultiIndex):
        levels = list(bars.index.names)
        if bars.index.nlevels != 2:
            raise SettingsError(f"bars has {bars.index.nlevels} index levels; give symbol and time")
        level = levels.index("symbol") if "symbol" in levels else 0
        groups = bars.groupby(level=level, sort=False)
        frames = {str(symbol): frame.droplevel(level) for symbol, frame in groups}
    else:
        symbol = getattr(bars, "attrs", {}).get("symbol", UNNAMED)
        frames = {str(symbol): bars}
    for frame in frames.values():
        if not isinstance(frame, pd.DataFrame):
            raise SettingsError(
                f"bars is a {type(frame).__name__}; give a DataFrame, as md.klines returns it, "
                "or a dict of them by symbol"
            )
    return frames


def _checked(
    frame: pd.DataFrame, symbol: str, whose: str, *, allow_nonpositive: bool
) -> CheckedBars:
    named = _names(frame, whose)
    missing = [name for name in COLUMNS[:4] if name not in named]
    if missing:
        there = f"the columns are {', '.join(map(str, frame.columns))}"
        raise SettingsError(
            f"{whose}: no column {', '.join(missing)}; "
            f"{there if len(frame.columns) else 'the table is empty'}, and needed are "
            f"{' '.join(COLUMNS[:4])}, with volume where the strategy reads it"
        )
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise SettingsError(f"{whose}: there are two columns {twice}; drop one of them")
    if not len(frame):
        raise SettingsError(f"{whose}: no rows")
    index = _checked_index(frame.index, whose)
    zone = index.tz
    index = index.tz_convert("UTC")
    columns = []
    for name in COLUMNS:
        if name not in named:  # of which runs see to it that no strategy reads it
            columns.append(np.full(len(index), np.nan))
            continue
        try:
            columns.append(np.ascontiguousarray(frame[named[name]].to_numpy(np.float64)))
        except (TypeError, ValueError):
            raise SettingsError(f"{whose}: column {name} holds more than numbers") from None
    open_, high, low, close, volume = columns
    # One look for the ordinary case. nan makes every comparison false; what lies between a low
    # above zero and a finite high needs no look of its own.
    flags = np.empty(len(index), bool)  # fresh pages for each comparison would cost as much again
    if (
        low.min() > 0.0
        and high.max() < np.inf
        and np.less_equal(low, open_, out=flags).all()
        and np.less_equal(low, close, out=flags).all()
        and np.less_equal(open_, high, out=flags).all()
        and np.less_equal(close, high, out=flags).all()
        and ("volume" not in named or (volume.min() >= 0.0 and volume.max() < np.inf))
    ):
        return CheckedBars(symbol, index, _columns(columns, index), zone, True)
    _refuse_impossible(columns if "volume" in named else columns[:4], index, whose)
    least = np.minimum(np.minimum(open_, close), low)
    below = least <= 0.0
    if below.any() and not allow_nonpositive:
        first = int(np.argmax(below))
        value, when, count = least[first], index[first], int(below.sum())
        if count == len(index):
            raise SettingsError(
                f"{whose}: {_name_of(value, columns, first)} is {value:g} at {when}, as in all "
                f"{count:,} bars; every price must be positive, unless allow_nonpositive=True"
            )
        warnings.warn(
            f"{whose}: {count:,} of {len(index):,} bars left out, since "
            f"{_name_of(value, columns, first)} is {value:g} at {when}; where prices of zero and "
            "below are true, use allow_nonpositive=True",
            BacktestWarning,
            stacklevel=5,
        )
        index, below = index[~below], below[~below]
        columns = [column[least > 0.0] for column in columns]
    positive = not below.any()
    return CheckedBars(symbol, index, _columns(columns, index), zone, positive)


def _names(frame: pd.DataFrame, whose: str) -> dict[str, Any]:
    """Return what the columns of bars are called in a frame, in whatever case."""
    named: dict[str, Any] = {name: name for name in COLUMNS if name in frame.columns}
    for column in frame.columns:
        name = column.strip().lower() if isinstance(column, str) else ""
        if name in COLUMNS and named.setdefault(name, column) not in (column, name):
            raise SettingsError(
                f"{whose}: {named[name]!r} and {column!r} may both be the {name}; drop one of them"
            )
    return named


def _columns(columns: list[npt.NDArray[np.float64]], index: pd.DatetimeIndex) -> Columns:
    return Columns._make([*columns, index.as_unit("ns").asi8])


def _name_of(value: float, columns: list[npt.NDArray[np.float64]], at: int) -> str:
    """Return the name of the price that has this value on a bar, low first."""
    prices = {"low": columns[2], "open": columns[0], "close": columns[3]}
    return next(name for name, column in prices.items() if column[at] == value)


def _checked_index(index: pd.Index[Any], whose: str) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex):
        raise SettingsError(
            f"{whose}: the index holds {index.dtype}; give bar starts as a DatetimeIndex in UTC"
        )
    if index.tz is None:
        index = index.tz_localize("UTC")
    if index.hasnans:
        raise SettingsError(f"{whose}: the index has missing times; drop those rows")
    if not index.is_monotonic_increasing:
        raise SettingsError(f"{whose}: times are not in order; use bars.sort_index()")
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise SettingsError(
            f"{whose}: {twice} occurs twice; use bars[~bars.index.duplicated(keep='last')]"
        )
    return index


def _refuse_impossible(
    columns: list[npt.NDArray[np.float64]], index: pd.DatetimeIndex, whose: str
) -> None:
    """Raise `SettingsError` that names the first bar which cannot be true, and how many are."""
    for name, values in zip(COLUMNS, columns, strict=False):
        wrong = ~np.isfinite(values)
        if name == "volume":
            wrong |= values < 0.0
        if wrong.any():
            first = int(np.argmax(wrong))
            needs = "a number and not negative" if name == "volume" else "a number"
            raise SettingsError(
                f"{whose}: {name} is {values[first]:g} at {index[first]} ({int(wrong.sum()):,} "
                f"such values); every {name} must be {needs}"
            )
    open_, high, low, close = columns[:4]
    spare = _ROUNDING * np.abs(close)
    for extreme, side, wrong in (
        ("high", "below low", high < low - spare),
        ("high", "below open or close", high < np.maximum(open_, close) - spare),
        ("low", "above open or close", low > np.minimum(open_, close) + spare),
    ):
        if wrong.any():
            first = int(np.argmax(wrong))
            own = (high if extreme == "high" else low)[first]
            raise SettingsError(
                f"{whose}: {extreme} is {own:g}, {side} at {index[first]} (open {open_[first]:g}, "
                f"high {high[first]:g}, low {low[first]:g}, close {close[first]:g}; "
                f"{int(wrong.sum()):,} such bars); correct or drop them"
            )
