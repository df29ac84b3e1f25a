"""Pictures of a session, drawn by matplotlib without pyplot.

Every figure is private: a `Figure` on an Agg canvas, so that nothing here shows up among the
user's own figures, follows their style sheet or leaks when a cell is run again. All text is
plain: two threads that draw mathtext at once corrupt memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from mdkit.chart_style import (
    AMBER,
    BLUE,
    FONT,
    GREEN,
    INK,
    MUTED,
    RED,
    SERIES,
    Picture,
    clean,
    dates,
    draw_line,
    heading,
    heights_grid,
    legend_above,
    png,
    time_axis,
)
from mdkit.events import DROPPED

MAX_POINTS = 600
"""Points drawn per line; more would be narrower than a pixel."""

MOST_LINES = 12
"""Symbols drawn in one figure: more lines tell nothing, and a thousand take many seconds."""
_MOST_NAMES, _LINE = 200, 110  # characters

Stretch = tuple[Any, Any]
"""From and to, as UTC Timestamps."""


def overview(
    metrics: pd.DataFrame,
    pressure: Mapping[str, pd.Series[Any]],
    *,
    title: str = "",
    maxsize: int | None = None,
    gaps: pd.DataFrame | None = None,
    max_points: int = MAX_POINTS,
    symbols: int | None = None,
) -> Figure:
    """Return a figure of two panels over one time axis: the queue, and what the books say.

    `metrics` has the columns queued, in_rate and out_rate, and may have spilled (messages, and
    messages per second), over a UTC time index. Lines at 80 % and 95 % of `maxsize` appear once
    the queue comes near. `pressure` holds a series per symbol, the size bid over the size asked;
    values without a finite logarithm (an empty side) are left out. Long series are drawn at
    `max_points` points or fewer: the highest of each span for the queue, the median for the
    rest. `gaps`, as `session.gaps()` gives them, are shaded where nothing came, and marked red
    at the top where messages were dropped; lines break there. Where `pressure` holds only some of
    a number of `symbols`, the figure says so and which.
    """
    layout = ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.08, hspace=0.06)
    figure = Picture(figsize=(10, 5.6), dpi=110, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    queue, books = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
    for axes in (queue, books):
        _clean(axes)
    if title:
        figure.suptitle(
            title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK, family=FONT
        )
    _draw_queue(queue, metrics, maxsize, max_points)
    holes = _stretches(gaps, metrics, pressure, max_points)
    _draw_pressure(books, pressure, max_points, holes[0])
    for axes in (queue, books):
        _shade(axes, *holes)
    figure.align_ylabels()
    _label_time(books, [metrics, *pressure.values()])
    if symbols is not None and symbols > len(pressure):
        _name_shown(books, list(pressure), symbols)
    return figure


def busiest(ledger: pd.DataFrame, most: int = MOST_LINES) -> tuple[list[str], int]:
    """Return the symbols of which most books have come, busiest first, and how many have any.

    `ledger` as `session.ledger()` gives it.
    """
    of_books = ledger.index.get_level_values("channel") == "depth"
    received = ledger["received"][of_books].droplevel("channel")
    received = received[received > 0]
    chosen = received.sort_values(ascending=False, kind="stable").index[:most]
    return [str(symbol) for symbol in chosen], len(received)


def save_png(figure: Figure, path: str | Path) -> Path:
    """Write the figure as a PNG file and return its path."""
    target = Path(path).expanduser()
    target.write_bytes(png(figure))
    return target


def _draw_queue(axes: Any, metrics: pd.DataFrame, maxsize: int | None, points: int) -> None:
    _name(axes, "Queue depth", "messages")
    rates = axes.twinx()
    _clean(rates, grid=False)
    rates.spines["right"].set_visible(False)
    # Depth belongs in front of the rates, and a twin is drawn above its host.
    axes.set_zorder(rates.get_zorder() + 1)
    axes.patch.set_visible(False)
    _label(rates, "messages per second", side="right")

    queued = _thin(metrics["queued"], points, "max")
    high = float(queued.max()) if queued.size else 0.0
    axes.fill_between(dates(queued.index), queued.to_numpy(), color=BLUE, alpha=0.15, linewidth=0)
    draw_line(axes, queued, BLUE, 1.6, "queued")
    if "spilled" in metrics:
        spilled = _thin(metrics["spilled"], points, "max")
        if spilled.size and float(spilled.max()) > 0:
            high = max(high, float(spilled.max()))
            draw_line(axes, spilled, RED, 1.4, "spilled to disk")
    for column, colour, label in (("in_rate", AMBER, "in /s"), ("out_rate", GREEN, "out /s")):
        rate = _thin(metrics[column], points, "median")
        draw_line(rates, rate, colour, 1.1, label)

    if maxsize and high >= 0.5 * maxsize:
        high = max(high, float(maxsize))
        for share, colour in ((0.80, AMBER), (0.95, RED)):
            axes.axhline(share * maxsize, color=colour, linewidth=1, linestyle=(0, (5, 4)))
            axes.annotate(
                f"{share:.0%} of {maxsize:,}",
                (0, share * maxsize),
                xycoords=("axes fraction", "data"),
                xytext=(4, 2),
                textcoords="offset points",
                fontsize=8,
                color=colour,
                family=FONT,
            )
    for panel, top in ((axes, high), (rates, rates.dataLim.y1)):
        panel.set_ylim(0, top * 1.08 if np.isfinite(top) and top > 0 else 1)
        panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.yaxis.set_major_formatter(FuncFormatter(_count))
    _legend(axes, [*axes.get_lines(), *rates.get_lines()])


def _stretches(
    gaps: pd.DataFrame | None,
    metrics: pd.DataFrame,
    pressure: Mapping[str, pd.Series[Any]],
    points: int,
) -> tuple[list[Stretch], list[Stretch]]:
    """Return when nothing came and when messages were dropped, joined where a pixel cannot part.

    What REST has filled in (`lost` is 0) and missing bars are left out.
    """
    if gaps is None or not len(gaps):
        return [], []
    times: list[Any] = [metrics.index, *(series.index for series in pressure.values())]
    times = [index for index in times if len(index)]
    span = max(t.max() for t in times) - min(t.min() for t in times) if times else pd.Timedelta(0)
    shown = gaps[(gaps["lost"].fillna(-1) != 0) & (gaps["channel"] != "bar")]
    is_drop = shown["reason"] == DROPPED
    return tuple(  # type: ignore[return-value]
        _joined(shown[some], span / points) for some in (~is_drop, is_drop)
    )


def _joined(gaps: pd.DataFrame, pixel: pd.Timedelta) -> list[Stretch]:
    joined: list[Stretch] = []
    for begin, end in gaps.sort_values("from")[["from", "to"]].itertuples(index=False):
        if joined and begin <= joined[-1][1] + pixel:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, max(end, begin + pixel)))
    return joined


def _shade(axes: Any, unseen: list[Stretch], dropped: list[Stretch]) -> None:
    for begin, end in unseen:
        axes.axvspan(*dates(pd.DatetimeIndex([begin, end])), color=INK, alpha=0.14, linewidth=0)
    for begin, end in dropped:
        left, right = dates(pd.DatetimeIndex([begin, end]))
        axes.axvspan(left, right, 0.97, 1.0, color=RED, linewidth=0)


def _broken(series: pd.Series[Any], holes: list[Stretch]) -> pd.Series[Any]:
    """Return a series whose line breaks at the holes."""
    inside = [
        begin + (end - begin) / 2
        for begin, end in holes
        if len(series) and series.index[0] < begin and end < series.index[-1]
    ]
    if not inside:
        return series
    nothing = pd.Series(np.nan, pd.DatetimeIndex(inside), dtype=float)
    broken: pd.Series[Any] = pd.concat([series, nothing]).sort_index(kind="stable")
    return broken


def _draw_pressure(
    axes: Any,
    pressure: Mapping[str, pd.Series[Any]],
    points: int,
    holes: list[Stretch],
) -> None:
    _name(axes, "Order-book pressure", "size bid / size asked")
    axes.set_yscale("log", base=2)
    # Many lines over each other read better when each is calmer.
    points = max(points // max(1, len(pressure)), 120)
    reach = 1.0
    for number, (symbol, series) in enumerate(pressure.items()):
        # Halfway between 2 and 1/2 is 1: on a log scale, so that is where to take medians.
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = pd.Series(np.log2(series.to_numpy(float)), series.index)
        logs = _thin(logs[np.isfinite(logs.to_numpy())], points, "median")
        if logs.size:
            reach = max(reach, float(logs.abs().max()) * 1.1)
        colour = SERIES[number % len(SERIES)]
        style = ("-", (0, (4, 1.5)), (0, (1, 1)))[number // len(SERIES) % 3]
        ratios = _broken(pd.Series(np.exp2(logs.to_numpy()), logs.index), holes)
        draw_line(axes, ratios, colour, 1.3, symbol, linestyle=style, alpha=0.9)
    axes.axhline(1, color=MUTED, linewidth=1, zorder=1)
    reach = min(reach, 16.0)
    axes.set_ylim(2.0**-reach, 2.0**reach)
    # The scale's own labels are mathtext powers; a reader wants to see 1/4, 1, 4.
    axes.yaxis.set_major_locator(LogLocator(base=2 ** max(1, round(reach / 4)), numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(_ratio))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    for height, text, va in ((0.97, "more to buy", "top"), (0.03, "more to sell", "bottom")):
        axes.text(
            0.006,
            height,
            text,
            transform=axes.transAxes,
            ha="left",
            va=va,
            fontsize=8,
            color=MUTED,
            family=FONT,
        )
    if pressure:
        _legend(axes, axes.get_lines()[: len(pressure)])
    else:
        axes.text(
            0.5,
            0.62,
            "no order books yet",
            transform=axes.transAxes,
            ha="center",
            fontsize=10,
            color=MUTED,
            family=FONT,
        )


def _thin(series: pd.Series[Any], points: int, how: str) -> pd.Series[Any]:
    """Return the series with about `points` values at most, one for each equal span of time."""
    series = series.dropna()
    if len(series) <= points:
        return series
    stamps = pd.DatetimeIndex(series.index).as_unit("ns").asi8
    # Not resample(): it refuses spans that the unit of the index cannot express.
    step = int(stamps.max() - stamps.min()) // points + 1
    spans = (stamps - stamps.min()) // step
    _, first = np.unique(spans, return_index=True)
    values = series.groupby(spans).agg(how)
    return pd.Series(values.to_numpy(), series.index[first])


def _label_time(axes: Any, data: list[Any]) -> None:
    spans = [(part.index.min(), part.index.max()) for part in data if len(part)]
    if not spans:
        axes.xaxis.set_major_locator(NullLocator())
        return
    first, last = min(start for start, _ in spans), max(stop for _, stop in spans)
    seconds = (last - first).total_seconds()
    form = "%H:%M:%S" if seconds <= 2 * 86_400 else "%b %d %H:%M"

    def told(moment: datetime) -> str:
        tenths = f".{moment.microsecond // 100_000}" if seconds < 8 else ""
        return f"{moment:{form}}{tenths}"

    time_axis(axes, first, last, told)
    axes.set_xlabel(
        f"time (UTC), {first:%Y-%m-%d}", fontsize=9, color=MUTED, family=FONT, labelpad=5
    )


def _name_shown(axes: Any, shown: list[str], symbols: int) -> None:
    """Say below the time which symbols these are."""
    names = ", ".join(shown)
    if len(names) > _MOST_NAMES:
        names = names[:_MOST_NAMES].rpartition(", ")[0] + ", ..."
    label = axes.get_xlabel()
    told = fill(
        f"the {len(shown)} busiest of {symbols:,} symbols: {names}", _LINE, break_on_hyphens=False
    )
    axes.set_xlabel(
        f"{label}\n{told}" if label else told, fontsize=9, color=MUTED, family=FONT, labelpad=5
    )


def _clean(axes: Any, *, grid: bool = True) -> None:
    clean(axes)
    axes.tick_params(axis="x", which="major", length=3, color=MUTED, direction="out", top=False)
    axes.grid(False)
    if grid:
        heights_grid(axes)


def _name(axes: Any, title: str, unit: str) -> None:
    heading(axes, title)
    _label(axes, unit)


def _label(axes: Any, text: str, side: str = "left") -> None:
    axes.set_ylabel(text, fontsize=9, color=MUTED, family=FONT, fontweight="normal", labelpad=5)
    axes.yaxis.set_label_position(side)
    axes.tick_params(axis="y", labelleft=side == "left", labelright=side == "right")


def _legend(axes: Any, lines: list[Any]) -> None:
    lines = [line for line in lines if not line.get_label().startswith("_")]
    shown = lines[:6]
    labels = [line.get_label() for line in shown]
    if len(lines) > len(shown):
        labels[-1] = f"{labels[-1]} and {len(lines) - len(shown)} more"
    legend_above(axes, shown, labels, len(shown))


def _count(value: float, _: int | None = None) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if suffix == 'k' else size):g}{suffix}"
    return f"{value:,.0f}"


def _ratio(value: float, _: int | None = None) -> str:
    if value >= 1:
        return f"{value:.4g}"
    return f"1/{1 / value:.4g}"
