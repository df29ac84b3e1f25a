"""The picture of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mdkit.backtesting.account.metrics import METRICS
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = "value of a cell"


def heatmap(
    frame: pd.DataFrame, x: str | None = None, y: str | None = None, metric: str | None = None
) -> Figure:
    """Return a picture of a sweep: `x` across, `y` down, the figure by colour, the best framed.

    Without names: the grid's first two parameters and the first figure. Where the sweep varied
    more than two parameters, each cell shows the best over the others. The heat map of a table of
    order books is `md.book_heatmap`. Raises `SettingsError` for what is no sweep.

    Example:
        >>> grid = {"levels": [1, 5], "enter": [2.0, 3.0]}
        >>> swept = md.sweep(md.strategies.pressure, md.sample(), grid, metric="return")
        >>> figure = md.heatmap(swept)
    """
    from mdkit.backtesting.more_plots import draw_heatmap

    if {"bid", "bid_size", "ask", "ask_size"} <= set(frame.columns):
        raise SettingsError(
            "this is a table of order books, not a sweep: md.book_heatmap(frame, seconds, "
            "price_bins) gives its heat map as a table, session.dashboard() shows it."
        )

    parameters = frame.attrs.get("parameters") or [
        name for name in frame.columns if name not in METRICS
    ]
    if len(parameters) < 2:
        raise SettingsError("a heat map needs two parameters; use frame.plot for one")
    # A parameter may be called by its own name, whatever its column is called.
    called = {name.removesuffix(" (parameter)"): name for name in parameters}
    x, y = called.get(x or "", x), called.get(y or "", y)
    y = y or next(name for name in parameters if name != x)
    x = x or next(name for name in parameters if name != y)
    metric = metric or next(name for name in frame.columns if name not in parameters)
    for name in (x, y, metric):
        if name not in frame.columns:
            raise SettingsError(f"no column {name}; there are {', '.join(map(str, frame.columns))}")
    best = METRICS[metric].best if metric in METRICS else 1
    values = frame[metric]
    unit = ""
    if pd.api.types.is_timedelta64_dtype(values):
        values, unit = values.dt.total_seconds() / 86_400.0, " in days"
    table = frame.assign(**{_CELL: values}).pivot_table(
        index=y, columns=x, values=_CELL, aggfunc="max" if best > 0 else "min", sort=True,
        dropna=False,
    )  # fmt: skip
    others = [name for name in parameters if name not in (x, y)]
    note = f", best over {', '.join(others)}" if others else ""
    title = f"{metric.replace('_', ' ')}{unit} by {y} and {x}{note}"
    return draw_heatmap(table, title, metric, best)
