"""The picture of a tear sheet, drawn by matplotlib without pyplot."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from mdkit.backtesting.account.shown import shown_value
from mdkit.backtesting.plots import (
    DrawnResult,
    label_time,
    name_panel,
    percents,
    plain,
    show_legend,
    thin,
)
from mdkit.chart_style import (
    AMBER,
    BLUE,
    FONT,
    GREEN,
    GRID,
    INK,
    MUTED,
    RED,
    Picture,
    clean,
    dates,
    draw_line,
    heading,
    heights_grid,
)

_POINTS = 1500
_YEARS = 14
"""As many years have room in the table of months; of more, the last ones."""
_LAYOUT: list[Any] = [
    ["equity", "equity"],
    ["fallen", "fallen"],
    ["sharpe", "sharpe"],
    ["months", "trades"],
]


class DrawnSheet(Protocol):
    """What a tear sheet has that its picture shows."""

    @property
    def result(self) -> DrawnResult: ...
    @property
    def window(self) -> int: ...
    @property
    def monthly(self) -> pd.DataFrame: ...
    @property
    def rolling_sharpe(self) -> pd.Series[Any]: ...
    @property
    def trade_returns(self) -> pd.Series[Any]: ...


def draw_sheet(sheet: DrawnSheet) -> Figure:
    """Return equity, drawdown, rolling Sharpe ratio, table of months and histogram of trades."""
    result = sheet.result
    years = min(_YEARS, len(sheet.monthly))
    low = 1.5 + 0.26 * years
    height = 6.6 + low
    layout = ConstrainedLayoutEngine(
        h_pad=0.06, w_pad=0.08, hspace=0.04, rect=(0, 0, 1, 1.0 - 0.62 / height)
    )
    figure = Picture(figsize=(10, height), dpi=110, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    drawn: dict[str, Any] = figure.subplot_mosaic(
        _LAYOUT,
        height_ratios=[2.6, 1.3, 1.5, low],
        width_ratios=[2.1, 1.0],
    )
    _head(figure, result, height)
    for name, axes in drawn.items():
        clean(axes)
        if name != "months":
            heights_grid(axes)
            axes.yaxis.set_major_formatter(FuncFormatter(plain))
    _equity(drawn["equity"], result)
    _drawdown(drawn["fallen"], result)
    _sharpe(drawn["sharpe"], sheet)
    _months(drawn["months"], sheet.monthly.tail(years))
    _trades(drawn["trades"], sheet.trade_returns)
    for name in ("equity", "fallen", "sharpe"):
        label_time([drawn[name]], result.panel.index)
        if name != "sharpe":
            drawn[name].set_xlabel("")
            drawn[name].tick_params(labelbottom=False)
    figure.align_ylabels([drawn["equity"], drawn["fallen"], drawn["sharpe"]])
    return figure


def _head(figure: Figure, result: DrawnResult, height: float) -> None:
    stats = result.stats
    names = ("return", "cagr", "volatility", "sharpe", "max_drawdown", "alpha", "beta", "trades")
    told = "     ".join(f"{n.replace('_', ' ')} {shown_value(n, stats[n])}" for n in names)
    for line, size, down in ((repr(result.strategy), 13, 0.08), (told, 9, 0.36)):
        text = figure.text(
            0.012, 1.0 - down / height, line, va="top", fontsize=size, color=INK, family=FONT,
            fontweight="bold" if size > 9 else "normal",
        )  # fmt: skip
        text.set_in_layout(False)


def _equity(axes: Any, result: DrawnResult) -> None:
    index, cash = result.panel.index, result.terms.cash
    name_panel(axes, "Equity", "money")
    given = result.benchmark
    label = "buy and hold" if given is None else given.name
    other = pd.Series(result.account.benchmark * cash, index)
    draw_line(axes, thin(other, _POINTS), MUTED if given is None else AMBER, 1.0, label)
    draw_line(axes, thin(result.equity["equity"], _POINTS), BLUE, 1.5, "strategy")
    axes.axhline(cash, color=GRID, linewidth=1.2, zorder=0)
    show_legend(axes)


def _drawdown(axes: Any, result: DrawnResult) -> None:
    name_panel(axes, "Underwater", "below the high")
    fallen = thin(result.equity["drawdown"], _POINTS, "min")
    axes.fill_between(dates(fallen.index), fallen.to_numpy(), color=RED, alpha=0.3, linewidth=0)
    axes.set_ylim(min(float(fallen.min()) * 1.1, -0.0001), 0.0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    percents(axes.yaxis)


def _sharpe(axes: Any, sheet: DrawnSheet) -> None:
    account = sheet.result.account
    each = "daily returns" if account.calendar.is_daily else "returns"
    name_panel(axes, f"Sharpe ratio of the last {sheet.window:,} {each}", "a year")
    rolled = sheet.rolling_sharpe.dropna()
    if len(rolled):
        draw_line(axes, thin(rolled, _POINTS), BLUE, 1.3, "sharpe")
    else:
        _say(axes, f"too few returns: {len(account.returns):,}")
        axes.yaxis.set_major_locator(NullLocator())
        return
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _months(axes: Any, table: pd.DataFrame) -> None:
    heading(axes, "Returns by month, %")
    values = table.to_numpy(float)
    inner = values[:, :12]
    reach = float(np.nanmax(np.abs(inner))) if np.isfinite(inner).any() else 1.0
    both = LinearSegmentedColormap.from_list("mdkit", ["#e58a84", "white", "#86bf9f"])
    shades = np.ma.masked_invalid(np.column_stack([inner, np.full(len(inner), np.nan)]))
    axes.imshow(shades, cmap=both, norm=TwoSlopeNorm(0.0, -(reach or 1.0), reach or 1.0),
                aspect="auto", interpolation="nearest")  # fmt: skip
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                column, row, _short(value), ha="center", va="center", fontsize=7.5, color=INK,
                family=FONT, fontweight="bold" if column == 12 else "normal",
            )  # fmt: skip
    axes.axvline(11.5, color=MUTED, linewidth=0.8)
    axes.xaxis.set_ticks(range(13), table.columns)
    axes.yaxis.set_ticks(range(len(table)), [str(year) for year in table.index])
    axes.tick_params(labelsize=8)
    axes.spines["bottom"].set_visible(False)


def _short(value: float) -> str:
    """Return a return in per cent, in as many characters as a cell has room for."""
    digits = 1 if abs(value) < 0.0995 else 0
    if 0.0 < abs(value) < 0.0005:
        digits = 2
    return f"{value * 100.0:.{digits}f}"


def _trades(axes: Any, returns: pd.Series[Any]) -> None:
    name_panel(axes, "Returns of trades", "trades")
    values = returns.to_numpy(float)
    values = values[np.isfinite(values)]
    if not len(values):
        _say(axes, "no trade has ended")
        return
    bins = max(5, min(40, round(2 * np.sqrt(len(values)))))
    # Edges on both sides of zero, so that no bar is of winners and losers.
    width = float(np.ptp(values)) / bins or float(np.abs(values).max()) / 5.0 or 0.001
    low, high = np.floor(values.min() / width), np.floor(values.max() / width) + 1.0
    counts, edges = np.histogram(values, np.arange(low, high + 1.0) * width)
    middles = (edges[1:] + edges[:-1]) / 2.0
    axes.bar(middles, counts, np.diff(edges) * 0.92, color=np.where(middles < 0.0, RED, GREEN),
             alpha=0.6)  # fmt: skip
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    mean = float(values.mean())
    axes.axvline(mean, color=INK, linewidth=1.2, linestyle="--")
    digits = 1 if abs(mean) >= 0.01 else 3
    axes.set_xlabel(f"mean {mean:.{digits}%} of {len(values):,}", fontsize=9, color=MUTED,
                    family=FONT)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(4))
    percents(axes.xaxis)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _say(axes: Any, text: str) -> None:
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=9,
        color=MUTED, family=FONT,
    )  # fmt: skip


__all__ = ["draw_sheet"]
