"""`profile`: spread, depth, volume and volatility through time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.research.forward import BP, prices_of
from mdkit.research.tools.data import Market
from mdkit.research.tools.finding import Finding
from mdkit.research.tools.segments import Timeline, check_count, label, stamps
from mdkit.strategies.flow.flow import nanoseconds
from mdkit.suggestions import instead

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Profile(Finding):
    """Figures by stretches of time; `table` has a row a stretch, by its beginning (UTC)."""

    def __init__(self, symbol: str, step: str, table: pd.DataFrame) -> None:
        self.name = self.symbol = symbol
        self.step, self.table = step, table

    @property
    def sentence(self) -> str:
        """The largest and the smallest of the first figure, in one sentence."""
        values = self.table.iloc[:, 0].dropna()
        on = f" of {self.symbol}" if self.symbol else ""
        if not len(values):
            return f"there is nothing{on} in the data"
        name = str(values.name).replace("_", " ")
        return (
            f"{name}{on} by {self.step}: {values.min():.4g} at {values.idxmin():%H:%M:%S} to "
            f"{values.max():.4g} at {values.idxmax():%H:%M:%S} UTC"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {f"By {self.step}": self.table}

    def plot(self) -> Figure:
        """Return a figure: a panel a figure, over time."""
        from mdkit.research.plots import draw_profile

        return draw_profile(self)


def profile(
    data: Any,
    by: str = "5min",
    of: Sequence[str] | str = ("spread", "depth", "volume"),
    *,
    symbol: str | None = None,
) -> Profile:
    """Return figures of a market by stretches of time.

    Args:
        data: recordings, a session or tables; see `md.study`.
        by: how long a stretch is; it begins at multiples of this.
        of: any of "spread" (its mean over time, in bp of the mid), "depth" (mean size of both
            sides over 5 levels), "volume" (size traded), "trades" (their number), "books" (their
            number) and "volatility" (the root of summed squared moves of the mid, in bp).
        symbol: which, where there are several.

    Means over time weigh each book by how long it stood, to the next one, never across a gap.
    Raises `SettingsError` for a figure that there is not.

    Example:
        >>> figures = md.profile(md.sample(), by="5s", of=("volume", "trades"), symbol="AAPL.US")
        >>> figures.table["volume"].tolist()
        [6734.0, 7640.0, 10770.0, 1505.0]
    """
    wanted = [of] if isinstance(of, str) else list(of)
    for name in wanted:
        if name not in _FIGURES:
            raise SettingsError(f"of has {name!r}: {instead(name, tuple(_FIGURES))}")
    step = nanoseconds(by, "by")
    market = Market(data, symbol)
    columns = {}
    for name in wanted:
        column, series = _FIGURES[name](market, step)
        columns[column] = series
    table = pd.DataFrame(columns).sort_index()
    for column in ("volume", "trades", "books"):
        if column in table:
            table[column] = table[column].fillna(0.0)
    return Profile(market.symbol, by, table.rename_axis("from"))


def _mean_over_time(values: Any, table: pd.DataFrame, step: int) -> Any:
    """Return the mean of each stretch; a book that stands over a border counts on both sides."""
    line = Timeline(table)
    check_count("by", label(step), int(line.times[-1] - line.times[0]), step)
    values = np.asarray(values, float)[line.order]
    apart = line.segments[1:] != line.segments[:-1]
    begins, ends = line.times[:-1], np.where(apart, line.times[:-1], line.times[1:])
    kept = values[:-1]
    first, last = begins // step, ends // step
    cells, weights, sums = [], [], []
    for shift in range(int((last - first).max()) + 1 if len(first) else 0):
        part = first + shift <= last
        low = np.maximum(begins[part], (first[part] + shift) * step)
        high = np.minimum(ends[part], (first[part] + shift + 1) * step)
        good = np.isfinite(kept[part])
        cells.append((first[part] + shift)[good])
        weights.append((high - low)[good].astype(float))
        sums.append(((high - low) * kept[part])[good])
    if not cells:
        return pd.Series(dtype=float)
    frame = pd.DataFrame(
        {"w": np.concatenate(weights), "x": np.concatenate(sums)}, np.concatenate(cells)
    )
    totals = frame.groupby(level=0).sum()
    return _by_time(totals["x"] / totals["w"].where(totals["w"] > 0.0), step)


def _by_time(series: Any, step: int) -> Any:
    index = pd.DatetimeIndex(np.asarray(series.index, np.int64) * step).tz_localize("UTC")
    return pd.Series(series.to_numpy(float), index)


def _spread(market: Market, step: int) -> tuple[str, Any]:
    table = market.depth
    values = table["spread"].to_numpy(float) / prices_of(table, "mid") * BP
    return "spread_bp", _mean_over_time(values, table, step)


def _depth(market: Market, step: int) -> tuple[str, Any]:
    table = market.depth
    return "depth", _mean_over_time(table["bid_depth"] + table["ask_depth"], table, step)


def _counted(table: pd.DataFrame, weights: Any, step: int) -> Any:
    cells = stamps(table.index) // step
    return _by_time(pd.Series(np.asarray(weights, float), cells).groupby(level=0).sum(), step)


def _volume(market: Market, step: int) -> tuple[str, Any]:
    return "volume", _counted(market.trades, market.trades["size"], step)


def _trades(market: Market, step: int) -> tuple[str, Any]:
    return "trades", _counted(market.trades, np.ones(len(market.trades)), step)


def _books(market: Market, step: int) -> tuple[str, Any]:
    return "books", _counted(market.depth, np.ones(len(market.depth)), step)


def _volatility(market: Market, step: int) -> tuple[str, Any]:
    table = market.depth
    line = Timeline(table)
    mids = prices_of(table, "mid")[line.order]
    known = np.flatnonzero(np.isfinite(mids))
    moved = np.diff(mids[known]) / mids[known][:-1] * BP
    moved[line.segments[known][1:] != line.segments[known][:-1]] = 0.0
    cells = line.times[known][1:] // step
    squares = pd.Series(moved * moved, cells).groupby(level=0).sum()
    return "volatility_bp", _by_time(np.sqrt(squares), step)


_FIGURES: dict[str, Callable[[Market, int], tuple[str, Any]]] = {
    "spread": _spread,
    "depth": _depth,
    "volume": _volume,
    "trades": _trades,
    "books": _books,
    "volatility": _volatility,
}
