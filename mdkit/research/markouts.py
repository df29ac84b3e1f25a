"""`markouts`: how the price moved after trades, fills or times; what trading cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from mdkit import measures
from mdkit.errors import SettingsError
from mdkit.research.forward import BP, moves, prices_of
from mdkit.research.tools.bootstrap import Band, band, block_sums, ratios
from mdkit.research.tools.data import Market
from mdkit.research.tools.finding import Finding, with_band
from mdkit.research.tools.segments import (
    Bools,
    Floats,
    Horizons,
    Ints,
    Timeline,
    block_length,
    blocks,
    options,
    spans,
    stamps,
    taken,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HORIZONS = ("100ms", "1s", "5s", "10s", "60s")
_SIGNS = {"buy": 1.0, "sell": -1.0}


@runtime_checkable
class HasFills(Protocol):
    """A finished backtest."""

    fills: pd.DataFrame
    orders: pd.DataFrame


class Markouts(Finding):
    """Mean moves after points of time, in the direction of each, in bp.

    Attributes:
        name, symbol: of the points, and of the books.
        times, signs, prices: of the points that have a book in force; prices are nan where the
            points have none.
        moves: signed moves of the mid in bp from the book in force, shape (n, horizons).

    Trades, and fills of orders that rested, meet the last book before them, which they change or
    were filled by; fills that took, and times, the last one not after them.
    """

    def __init__(
        self,
        name: str,
        symbol: str,
        times: Ints,
        signs: Floats,
        prices: Floats,
        mids: Floats,
        half_spreads: Floats,
        moved: Floats,
        segments: Ints,
        horizons: Mapping[str, int],
        resamples: int,
        seed: int,
    ) -> None:
        self.name, self.symbol = name, symbol
        self.times, self.signs, self.prices = times, signs, prices
        self.moves = moved * signs[:, None]
        self._mids, self._half, self._segments = mids, half_spreads, segments
        self._horizons = dict(horizons)
        self._resamples, self._seed = resamples, seed

    @cached_property
    def table(self) -> pd.DataFrame:
        """By horizon: `events`, `blocks`, `move_bp` and its band `low`, `high`."""
        rows = {}
        for i, horizon in enumerate(self._horizons):
            count, number, found = self._mean(self.moves[:, i], i)
            rows[horizon] = (count, number, *(float(part[0]) for part in found[:3]))
        columns = ["events", "blocks", "move_bp", "low", "high"]
        return pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("horizon")

    @cached_property
    def costs(self) -> pd.DataFrame:
        """By horizon, in bp of the mid before the trade, means over those with a known side.

        `quoted`: the spread of the book in force; `effective`: twice the distance of the price
        from the mid, in the direction of the trade; `impact`: twice the mid's move by the
        horizon; `realised`: what is left of the effective spread then, effective - impact. Empty
        where the points have no prices. Source: Huang and Stoll, "Dealer versus auction markets",
        Journal of Financial Economics 41 (1996).
        """
        with np.errstate(all="ignore"):
            quoted = 2.0 * self._half / self._mids * BP
            effective = 2.0 * self.signs * (self.prices / self._mids - 1.0) * BP
        rows = {}
        for i, horizon in enumerate(self._horizons):
            impact = 2.0 * self.moves[:, i]
            known = np.isfinite(effective) & np.isfinite(impact) & np.isfinite(quoted)
            if known.any():
                means = [float(one[known].mean()) for one in (quoted, effective, impact)]
                rows[horizon] = (int(known.sum()), *means, means[1] - means[2])
        columns = ["events", "quoted", "effective", "impact", "realised"]
        return pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("horizon")

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        known = self.table.dropna(subset=["move_bp"])
        if not len(known):
            return f"no move after {self.name} is within the data"
        apart = known[(known["low"] > 0.0) | (known["high"] < 0.0)]
        shown = apart if len(apart) else known
        horizon = str(shown["move_bp"].abs().idxmax())
        row = known.loc[horizon]
        moved = f"{with_band(row, 'move_bp')} bp"
        if not len(apart):
            return f"after {self.name} the mid of {self.symbol} goes nowhere: {moved} in {horizon}"
        way = "their way" if row["move_bp"] > 0.0 else "against them"
        told = f"after {self.name} the mid of {self.symbol} moves {way}: {moved} in {horizon}"
        if len(self.costs):
            cost = self.costs.loc[horizon] if horizon in self.costs.index else self.costs.iloc[-1]
            told += (
                f"; effective spread {cost['effective']:.2g} bp, realised {cost['realised']:.2g} bp"
            )
        return told

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        found = {"Moves by horizon": self.table}
        return {**found, "Costs in bp": self.costs} if len(self.costs) else found

    def plot(self) -> Figure:
        """Return a figure: the mean move by horizon with its band, and what trades cost."""
        from mdkit.research.plots import draw_markouts

        return draw_markouts(self)

    def _mean(self, moved: Floats, place: int) -> tuple[int, int, Band]:
        valid = np.isfinite(moved)
        length = block_length(list(self._horizons.values())[place])
        numbers, number = blocks(self._segments[valid], self.times[valid], length)
        columns = np.stack([np.ones(int(valid.sum())), moved[valid]])
        sums = block_sums(numbers, number, columns)
        return int(valid.sum()), number, band(sums, ratios, self._resamples, self._seed)


def markouts(
    points: Any,
    data: Any,
    horizons: Horizons = HORIZONS,
    *,
    symbol: str | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> Markouts:
    """Return how the mid moved after points of time, in their direction, with bands.

    Args:
        points: "trades", those of the data, by their aggressors' sides; a table of trades; a
            `Result`, whose fills; or times, without a direction, or as a Series of signs (1 for
            a buy, -1 for a sell) by time.
        data: recordings, a session or tables with the books; see `md.study`.
        horizons: how far to look.
        symbol: which, where there are several.
        resamples, seed: of the bands' bootstrap.

    Trades and fills also have `costs`: quoted, effective and realised spread, and impact. No
    move reaches across a gap. Raises `SettingsError` for points that are none.

    Example:
        >>> after = md.markouts("trades", md.sample(), ("100ms", "1s"), symbol="AAPL.US")
        >>> after.costs.round(2)
                 events  quoted  effective  impact  realised
        horizon
        100ms       261     1.0       1.01    0.19      0.82
        1s          248     1.0       1.01   -0.06      1.07
    """
    options({"resamples": (resamples, 1), "seed": (seed, 0)})
    if symbol is None and isinstance(points, HasFills) and len(points.fills):
        traded = points.fills["symbol"].unique()
        symbol = str(traded[0]) if len(traded) == 1 else None
    market, ahead = Market(data, symbol), spans(horizons)
    name, times, signs, prices, passive = _points(points, market)
    table = market.depth
    line = Timeline(table)
    mids = prices_of(table, "mid")[line.order]
    half = np.asarray(measures.spread(table), np.float64)[line.order] / 2.0
    order = np.argsort(times, kind="stable")
    times, signs, prices, passive = times[order], signs[order], prices[order], passive[order]
    rows = np.where(passive, line.rows_at(times, before=True), line.rows_at(times))
    known = (rows >= 0) & (signs != 0.0)
    times, signs, prices, rows = times[known], signs[known], prices[known], rows[known]
    moved = [moves(line, mids, rows, times, span) for span in ahead.values()]
    return Markouts(
        name,
        market.symbol,
        times,
        signs,
        prices,
        taken(mids, rows),
        taken(half, rows),
        np.stack(moved, axis=1),
        line.segments[rows] if len(rows) else rows,
        ahead,
        resamples,
        seed,
    )


def _points(points: Any, market: Market) -> tuple[str, Ints, Floats, Floats, Bools]:
    """Return a name, times, signs, prices, and whether a book of the same time came after it."""
    if isinstance(points, HasFills):
        fills = points.fills
        fills = fills[fills["symbol"] == market.symbol] if market.symbol else fills
        units = fills["units"].to_numpy(float)
        return (
            "fills",
            stamps(pd.DatetimeIndex(fills["time"])),
            np.sign(units),
            fills["price"].to_numpy(float),
            # What took, took from the book of its instant; that a book's coming filled, rested.
            fills["maker"].to_numpy(bool) if "maker" in fills else np.zeros(len(fills), bool),
        )
    if isinstance(points, str):
        if points not in ("trades", "trade"):
            raise SettingsError(f'points is {points!r}; give "trades", times, fills or a Series')
        points = market.trades
    if isinstance(points, pd.DataFrame):
        if not {"price", "side"} <= set(points.columns):
            raise SettingsError("a table of points needs the columns price and side")
        if "symbol" in points:
            points = points[points["symbol"] == market.symbol]
        signs = points["side"].astype(object).map(_SIGNS).fillna(0.0).to_numpy(float)
        prices, before = points["price"].to_numpy(float), np.ones(len(points), bool)
        return "trades", stamps(points.index), signs, prices, before
    if isinstance(points, pd.Series):
        signs = np.sign(points.to_numpy(float))
        name = str(points.name) if points.name is not None else "points"
        return name, stamps(points.index), np.nan_to_num(signs), *_unpriced(len(points))
    try:
        index = pd.DatetimeIndex(pd.to_datetime(points, utc=True))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"points are no times: {error}") from None
    return "points", stamps(index), np.ones(len(index)), *_unpriced(len(index))


def _unpriced(count: int) -> tuple[Floats, Bools]:
    return np.full(count, np.nan), np.zeros(count, bool)
