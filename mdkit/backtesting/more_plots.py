"""Pictures of many runs: a sweep, other cash, and what chance could have made of one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mdkit.backtesting.plots import name_panel, panels, percents, plain
from mdkit.chart_style import BLUE, FONT, GRID, INK, MUTED, RED, Picture


class DrawnTable(Protocol):
    """What has a table of figures and the name of the strategy that they are of."""

    @property
    def table(self) -> pd.DataFrame: ...
    @property
    def name(self) -> str: ...


class DrawnCapacity(DrawnTable, Protocol):
    """What `capacity.Capacity` has."""

    @property
    def fills(self) -> str: ...


class DrawnBootstrap(DrawnTable, Protocol):
    """What `bootstrap.Bootstrap` has."""

    @property
    def draws(self) -> pd.DataFrame: ...
    @property
    def frequency(self) -> str: ...


def draw_capacity(capacity: DrawnCapacity) -> Figure:
    """Return the picture of a capacity: return and share filled, by cash on a scale of powers."""
    table = capacity.table
    told = f'the same signals with other cash, fills="{capacity.fills}"'
    head = (f"{capacity.name}: capacity", told)
    figure, (gained, filled) = panels((8, 4.8), (2, 1), head)
    cash = table.index.to_numpy(float)
    name_panel(gained, "Return", "of the cash")
    gained.plot(cash, table["return"], color=BLUE, linewidth=1.6, marker="o", markersize=4)
    gained.axhline(0.0, color=GRID, linewidth=1.2, zorder=0)
    name_panel(filled, "Filled", "of what was wanted")
    filled.plot(cash, table["filled"], color=INK, linewidth=1.4, marker="o", markersize=3.5)
    filled.set_ylim(-0.05, 1.08)
    for axes in (gained, filled):
        axes.yaxis.set_major_locator(MaxNLocator(4))
        percents(axes.yaxis)
        axes.set_xscale("log")
        axes.minorticks_off()
    filled.xaxis.set_major_formatter(FuncFormatter(_money))
    filled.set_xlabel("cash", fontsize=9, color=MUTED, family=FONT)
    figure.align_ylabels()
    return figure


def draw_bootstrap(found: DrawnBootstrap) -> Figure:
    """Return the picture of a bootstrap: a histogram of each figure, its band, and the result."""
    head = (
        f"{found.name}: what chance could have made of it",
        f"{len(found.draws):,} draws of {found.frequency}; shaded: 90 % of them; red: the result",
    )
    figure, (first, *rest) = panels((8, 6.2), (1, 1, 1), head, share_x=False)
    for axes, (name, row) in zip((first, *rest), found.table.iterrows(), strict=True):
        values = found.draws[str(name)].to_numpy(float)
        values = values[np.isfinite(values)]
        name_panel(axes, str(name).replace("_", " ").capitalize(), "draws")
        axes.hist(values, bins=40, color=BLUE, alpha=0.55, linewidth=0)
        axes.axvspan(row["5 %"], row["95 %"], color=GRID, alpha=0.6, linewidth=0, zorder=0)
        axes.axvline(row["result"], color=RED, linewidth=1.6)
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        if name != "sharpe":
            percents(axes.xaxis)
    figure.align_ylabels()
    return figure


def draw_heatmap(table: pd.DataFrame, title: str, metric: str, best: int = 1) -> Figure:
    """Return a heat map: rows downwards by index, columns by columns, values by colour.

    `best` is 1 where the highest value is the best one, -1 where the lowest is.

    Zero is white where values lie on both sides of it; the best cell is framed. Cells are
    labelled while there is room.
    """
    rows, columns = table.shape
    figure = Picture(
        figsize=(min(12.0, 3.4 + 0.62 * columns), min(9.0, 2.2 + 0.42 * rows)),
        dpi=110,
        facecolor="white",
        layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08),
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    values = table.to_numpy(float)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    both = LinearSegmentedColormap.from_list("mdkit", [RED, "#f3b6b0", "white", "#a8cbe6", BLUE])
    axes.set_facecolor("#eef0f2")  # shows where there is no value
    reach = max(abs(low), abs(high)) or 1.0
    norm = TwoSlopeNorm(0.0, -reach, reach)
    image = axes.imshow(
        np.ma.masked_invalid(values), cmap=both, norm=norm, aspect="auto", interpolation="nearest"
    )
    if known.size:
        row, column = np.unravel_index(int(np.nanargmax(best * values)), values.shape)
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=2)
        )
    if rows * columns <= 240:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = abs(value) > 0.72 * reach
                axes.text(
                    column, row, f"{value:.2f}", ha="center", va="center", fontsize=8,
                    family=FONT, color="white" if dark else INK,
                )  # fmt: skip
    for axis, labels, name in (
        (axes.xaxis, table.columns, table.columns.name),
        (axes.yaxis, table.index, table.index.name),
    ):
        every = max(1, len(labels) // 16)
        places = list(range(0, len(labels), every))
        axis.set_ticks(places, [plain(labels[i]) for i in places])
        axis.set_label_text(str(name or ""), fontsize=10, color=INK, family=FONT)
    axes.tick_params(length=0, labelsize=9, labelcolor=MUTED, labelfontfamily=FONT)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02, aspect=24)
    bar.outline.set_visible(False)
    bar.ax.set_ylim(low, high) if high > low else None
    bar.ax.tick_params(length=0, labelsize=8.5, labelcolor=MUTED, labelfontfamily=FONT)
    bar.set_label(metric.replace("_", " "), fontsize=9, color=MUTED, family=FONT)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, family=FONT)
    return figure


def _money(value: float, _: Any = None) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,g}{suffix}"
    return f"{value:,g}"


__all__ = ["draw_bootstrap", "draw_capacity", "draw_heatmap"]
