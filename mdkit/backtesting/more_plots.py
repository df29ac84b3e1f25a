"""Pictures of what a result could have been: by cash, and by chance."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mdkit.backtesting.plots import name_panel, panels, percents
from mdkit.chart_style import BLUE, FONT, GRID, INK, MUTED, RED


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


def _money(value: float, _: Any = None) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,g}{suffix}"
    return f"{value:,g}"


__all__ = ["draw_bootstrap", "draw_capacity"]
