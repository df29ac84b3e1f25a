"""Pictures of research: lines and bars with bands, in mdkit's calm look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from mdkit.chart_style import (
    AMBER,
    BLUE,
    FONT,
    GREEN,
    INK,
    MUTED,
    SERIES,
    Picture,
    clean,
    dates,
    heading,
    heights_grid,
    legend_above,
    time_axis,
)

_WIDE = (10.5, 3.9)
_BAND = 0.16


def draw_study(study: Any) -> Figure:
    """Return IC by horizon, moves by bins, edge against the spread, and IC over time."""
    figure, panels = _figure((10.5, 7.2), 2, 2, study.sentence)
    horizons = list(study.ic.index)
    ticks = np.arange(len(horizons))
    (ic, bins), (edge, time) = panels
    _name(ic, "Information coefficient", "rank correlation with the move that follows")
    _points(ic, ticks, study.ic, "ic", BLUE, horizons)
    best = study.best
    _name(bins, f"Mean move after {best}, by bins", "bp; lowest to highest of the measure")
    if int(study.ic["events"][best]):
        _bars(bins, study.quantiles.loc[best], "move_bp")
    _name(edge, "Top less bottom", "bp")
    renamed = study.decay.rename(columns={"bp_low": "low_", "bp_high": "high_"})
    renamed = renamed.drop(columns=["low", "high"])
    renamed = renamed.rename(columns={"low_": "low", "high_": "high"})
    _points(edge, ticks, renamed, "top_bottom_bp", GREEN, horizons)
    if np.isfinite(study.spread_bp):
        # The highest bin is bought and the lowest sold: two round trips, each of which pays it.
        line = edge.axhline(2.0 * study.spread_bp, color=AMBER, linewidth=1.2, linestyle="--")
        legend_above(edge, [line], [f"twice the spread, {2.0 * study.spread_bp:.2g} bp"], 1)
    step = _step(study.points.times, study.block_seconds)
    _name(time, f"IC at {best}, by {step}", "")
    table = study.by(step).dropna(subset=["ic"])
    at = dates(table.index)
    _ribbon(time, at, table, "ic", BLUE, marker="o")
    if len(table):
        time_axis(time, table.index[0], table.index[-1], _clock(table.index))
    if len(table) == 1:  # an axis of days about one point would tell nothing
        time.xaxis.set_major_locator(FixedLocator(list(at)))
    return figure


def draw_studies(studies: Mapping[str, Any]) -> Figure:
    """Return IC and top less bottom by horizon, a colour a measure."""
    figure, panels = _figure((10.5, 4.4), 1, 2, "")
    left, right = panels[0]
    _name(left, "Information coefficient", "")
    _name(right, "Top less bottom", "bp")
    handles = []
    count = len(studies)
    for number, study in enumerate(studies.values()):
        colour = SERIES[number % len(SERIES)]
        horizons = list(study.ic.index)
        ticks = np.arange(len(horizons)) + (number - (count - 1) / 2) * min(0.16, 0.6 / count)
        _points(left, ticks, study.ic, "ic", colour, horizons, joined=True)
        decay = study.decay.drop(columns=["low", "high"])
        decay = decay.rename(columns={"bp_low": "low", "bp_high": "high"})
        handles.append(_points(right, ticks, decay, "top_bottom_bp", colour, horizons, joined=True))
    columns = min(4, count)
    legend = figure.legend(
        handles,
        list(studies),
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        labelcolor=INK,
        prop={"family": FONT, "size": 9},
    )
    legend.set_in_layout(True)
    return figure


def draw_markouts(found: Any) -> Figure:
    """Return the mean move by horizon, and beside it the costs where trades have prices."""
    costs = found.costs
    figure, panels = _figure(_WIDE, 1, 2 if len(costs) else 1, found.sentence)
    left = panels[0][0]
    horizons = list(found.table.index)
    ticks = np.arange(len(horizons))
    _name(left, f"Mid after {found.name}", "bp, in their direction")
    _points(left, ticks, found.table, "move_bp", BLUE, horizons, joined=True)
    if len(costs):
        right = panels[0][1]
        _name(right, "Effective spread", "bp: what is realised, and what is impact")
        ticks = np.arange(len(costs))
        handles = []
        for shift, column, colour in ((-0.2, "realised", GREEN), (0.2, "impact", AMBER)):
            handles.append(right.bar(ticks + shift, costs[column], 0.36, color=colour))
        right.plot(ticks, costs["effective"], color=INK, marker="_", ms=26, ls="", mew=1.6)
        handles.append(Line2D([], [], color=INK, linewidth=1.6))
        legend_above(right, handles, ["realised", "impact", "effective"], 3)
        _labels(right, ticks, list(costs.index))
    return figure


def draw_next_move(found: Any) -> Figure:
    """Return the chance that the next move is up, by bin."""
    figure, panels = _figure((8.0, 4.2), 1, 1, found.sentence)
    axes, table = panels[0][0], found.table
    _name(axes, "Chance that the next move is up", f"by bins of {found.name}")
    if len(table):
        ticks = np.arange(len(table))
        names = [f"{a:.2g} to {b:.2g}" for a, b in zip(table["from"], table["to"], strict=True)]
        axes.axhline(0.5, color=MUTED, linewidth=0.8)
        _points(axes, ticks, table, "p_up", BLUE, names, joined=True, zero=False)
        axes.set_ylim(0.0, 1.0)
    return figure


def draw_leadlag(found: Any) -> Figure:
    """Return the correlation by lag, with its band."""
    figure, panels = _figure((8.5, 4.2), 1, 1, found.sentence)
    axes, table = panels[0][0], found.table
    _name(axes, "Correlation by lag", f"seconds; to the right {found.a} moves first")
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    _ribbon(axes, table.index.to_numpy(float), table, "correlation", BLUE)
    if np.isfinite(found.best_lag):
        axes.plot([found.best_lag], [table["correlation"][found.best_lag]], "o", color=BLUE, ms=5)
    return figure


def draw_profile(found: Any) -> Figure:
    """Return a panel a figure over time."""
    table = found.table
    count = max(1, table.shape[1])
    figure, panels = _figure((10.5, 1.0 + 1.7 * count), count, 1, found.sentence)
    for row, (name, colour) in zip(
        panels, zip(table.columns, SERIES * 2, strict=False), strict=False
    ):
        axes, values = row[0], table[name].dropna()
        _name(axes, str(name).replace("_bp", ", bp").capitalize(), "")
        if len(values):
            width = float(np.diff(dates(table.index)).min()) if len(table) > 1 else 1 / 1440
            axes.bar(dates(values.index), values, 0.86 * width, align="edge", color=colour)
            time_axis(
                axes,
                table.index[0],
                table.index[-1] + (table.index[-1] - table.index[-2])
                if len(table) > 1
                else table.index[-1],
                _clock(table.index),
            )
    return figure


def draw_signature(found: Any) -> Figure:
    """Return volatility by step, with its band."""
    figure, panels = _figure((8.0, 4.2), 1, 1, found.sentence)
    axes, table = panels[0][0], found.table.dropna(subset=["volatility_bp"])
    _name(axes, "Realised volatility", "bp a minute, by the step at which the price is looked at")
    _points(
        axes, np.arange(len(table)), table, "volatility_bp", BLUE, list(table.index), joined=True
    )
    axes.set_ylim(bottom=0.0)
    return figure


def draw_around(found: Any) -> Figure:
    """Return the mean path around moments, with its band."""
    figure, panels = _figure((9.0, 4.2), 1, 1, found.sentence)
    axes, table = panels[0][0], found.table.dropna(subset=["move_bp"])
    _name(axes, f"Mid around {found.occasions}", "bp; seconds from the moment")
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    _ribbon(axes, table.index.to_numpy(float), table, "move_bp", BLUE)
    return figure


def _figure(
    size: tuple[float, float], rows: int, columns: int, sentence: str
) -> tuple[Figure, Sequence[Sequence[Any]]]:
    """Return panels, with a sentence above them, in as many lines as it takes."""
    lines = _wrapped(sentence, int(size[0] * 13.2))
    top = 1.0 - (0.12 + 0.2 * len(lines)) / size[1] if lines else 1.0
    layout = ConstrainedLayoutEngine(
        h_pad=0.1, w_pad=0.1, hspace=0.06, wspace=0.06, rect=(0, 0, 1, top)
    )
    figure = Picture(figsize=size, dpi=110, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.ravel():
        clean(axes)
        heights_grid(axes)
        axes.yaxis.set_major_locator(MaxNLocator(5))
    for number, line in enumerate(lines):
        text = figure.text(
            0.012,
            1.0 - (0.09 + 0.2 * number) / size[1],
            line,
            va="top",
            fontsize=10,
            color=INK,
            family=FONT,
        )
        text.set_in_layout(False)
    return figure, panels.tolist()


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text[:1].upper() + text[1:], width)


def _name(axes: Any, title: str, about: str) -> None:
    heading(axes, title)
    if about:
        axes.set_xlabel(about, fontsize=9, color=MUTED, family=FONT, loc="left")


def _labels(axes: Any, ticks: Any, names: Sequence[str]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    shown = dict(zip([round(float(t), 6) for t in ticks], names, strict=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: shown.get(round(float(x), 6), "")))


def _points(
    axes: Any,
    ticks: Any,
    table: Any,
    column: str,
    colour: str,
    names: Sequence[str],
    *,
    joined: bool = False,
    zero: bool = True,
) -> Any:
    """Draw points with their bands as whiskers, above names."""
    values = table[column].to_numpy(float)
    low, high = (table[end].to_numpy(float) for end in ("low", "high"))
    if zero:
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
    if joined:
        axes.plot(ticks, values, color=colour, linewidth=1.1, alpha=0.55)
    axes.vlines(ticks, low, high, color=colour, linewidth=2.2, alpha=0.45)
    (drawn,) = axes.plot(ticks, values, "o", color=colour, ms=5)
    _labels(axes, np.arange(len(names)), names)
    axes.set_xlim(-0.5, max(len(names) - 0.5, 0.5))
    return drawn


def _bars(axes: Any, table: Any, column: str) -> None:
    ticks = np.arange(len(table))
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.bar(ticks, table[column], 0.72, color=BLUE, alpha=0.75)
    axes.vlines(ticks, table["low"], table["high"], color=INK, linewidth=1.1)
    _labels(axes, ticks, [str(number) for number in table.index])


def _ribbon(axes: Any, x: Any, table: Any, column: str, colour: str, marker: str = "") -> None:
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    low, high = (table[end].to_numpy(float) for end in ("low", "high"))
    axes.fill_between(x, low, high, color=colour, alpha=_BAND, linewidth=0)
    axes.plot(x, table[column].to_numpy(float), color=colour, linewidth=1.4, marker=marker, ms=4)


def _step(times: Any, block: float) -> str:
    """Return a step that cuts the times into some ten parts, with enough blocks for a band."""
    seconds = (int(times[-1]) - int(times[0])) / 1e9 if len(times) else 1.0
    steps = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 6 * 3600, 86_400)
    step = next((one for one in steps if seconds / one <= 14 and one >= 6 * block), steps[-1])
    return f"{step}s" if step < 60 else f"{step // 60}min" if step < 3600 else f"{step // 3600}h"


def _clock(index: Any) -> Callable[[datetime], str]:
    """Return what writes times down: to the second where they are within minutes."""
    form = "%H:%M:%S" if (index[-1] - index[0]).total_seconds() < 600 else "%H:%M"
    return lambda moment: moment.strftime(form)
