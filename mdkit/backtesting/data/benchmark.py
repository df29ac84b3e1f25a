"""What an account is compared with, in place of buying and holding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.calendar import DAY
from mdkit.backtesting.data.panel import Panel
from mdkit.errors import SettingsError
from mdkit.suggestions import instead

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark on the time axis of a backtest: `values` of 1.0 in it at each close, (bars,)."""

    name: str
    values: npt.NDArray[np.float64]


def as_benchmark(benchmark: Any, panel: Panel) -> Benchmark | None:
    """Return a benchmark on a panel's bars; raise `SettingsError` for what cannot be one.

    `benchmark` is one of the panel's symbols, a Series of prices by time, or bars with a `close`.
    A bar has the last value whose time is before its end; the beginning is the last one before the
    first bar, or where there is none that of the first bar. Where bars and times are both of days
    (midnights by the clocks of their own zones), days are compared, since those of New York do not
    begin when those of UTC do.
    """
    if benchmark is None:
        return None
    if isinstance(benchmark, str):
        if benchmark not in panel.symbols:
            raise SettingsError(
                f"benchmark: there is no {benchmark!r}: {instead(benchmark, panel.symbols)}"
            )
        own = panel.closes[panel.symbols.index(benchmark)]
        first = float(own[~np.isnan(own)][0])
        if first <= 0.0:
            raise SettingsError(
                f"benchmark: {benchmark} begins at {first:g}, of which nothing is a multiple; "
                "give a Series of prices above zero"
            )
        return Benchmark(benchmark, np.where(np.isnan(own), 1.0, own / first))
    series = _prices(benchmark)
    values = series.to_numpy(float)
    times, starts, last = _on_one_clock(pd.DatetimeIndex(series.index), panel)
    ends = np.minimum(np.append(starts[1:], last), starts + panel.calendar.step)
    places = np.searchsorted(times, np.maximum(ends, starts + 1)) - 1
    patience = max(7 * DAY, 3 * panel.calendar.step)
    if places[0] < 0:
        raise SettingsError(
            f"benchmark begins at {series.index[0]}, after the first bar, {panel.index[0]}"
        )
    if starts[-1] - times[-1] > patience:
        raise SettingsError(
            f"benchmark ends at {series.index[-1]}, before the last bar, {panel.index[-1]}"
        )
    before = int(np.searchsorted(times, starts[0])) - 1
    base = values[before] if before >= 0 else values[places[0]]
    return Benchmark(str(series.name or "benchmark"), values[places] / base)


def _on_one_clock(index: pd.DatetimeIndex, panel: Panel) -> tuple[Whole, Whole, int]:
    """Return times and starts of bars that can be compared, and the end of the last bar, ns."""
    starts = panel.index.tz_convert(panel.zone or "UTC")
    if panel.calendar.step >= DAY * 23 // 24 and _are_days(index) and _are_days(starts):
        days = starts.tz_localize(None).as_unit("ns").asi8
        return index.tz_localize(None).as_unit("ns").asi8, days, int(days[-1]) + panel.calendar.step
    return index.as_unit("ns").asi8, panel.starts, panel.calendar.end_of(-1)


def _are_days(index: pd.DatetimeIndex) -> bool:
    """Whether all are midnights by their own clock."""
    return bool((index == index.normalize()).all())


def _prices(benchmark: Any) -> pd.Series[Any]:
    if isinstance(benchmark, pd.DataFrame):
        named = {str(column).lower(): column for column in benchmark.columns}
        if "close" not in named:
            raise SettingsError("benchmark is a DataFrame without a column close; give a Series")
        benchmark = benchmark[named["close"]].rename(benchmark.attrs.get("symbol"))
    if not isinstance(benchmark, pd.Series) or not isinstance(benchmark.index, pd.DatetimeIndex):
        raise SettingsError(
            f"benchmark is a {type(benchmark).__name__}; give a symbol of the bars, a Series of "
            "prices by time, or bars"
        )
    series = benchmark.dropna()
    index = pd.DatetimeIndex(series.index)
    if not len(series):
        raise SettingsError("benchmark has no prices")
    if series.dtype.kind not in "iuf":
        raise SettingsError(f"benchmark is of {series.dtype}; give numbers, as of .astype(float)")
    prices = series.to_numpy(float)
    if not (np.isfinite(prices) & (prices > 0.0)).all():
        raise SettingsError("benchmark has prices that are not finite and above zero")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise SettingsError("the times of the benchmark are not in order, or twice there; sort it")
    index = index.tz_localize("UTC") if index.tz is None else index
    return series.set_axis(index)
