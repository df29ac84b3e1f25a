"""The still picture of a dashboard: what a saved or exported notebook shows.

Drawn by matplotlib, privately and without pyplot, from what the canvas would show.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm

from mdkit.canvas.rings import MS, Rows
from mdkit.chart_style import (
    AMBER,
    BLUE,
    FONT,
    GREEN,
    MUTED,
    RED,
    Picture,
    clean,
    dates,
    heading,
    png,
    time_axis,
)
from mdkit.events import DROPPED
from mdkit.views.collector import Collector

_BINS = 140
_POINTS = 700
_FIRST_LEVEL = 11
"""Column from which the second and further levels begin in a row of books."""


def still_png(collector: Collector, seconds: float = 60.0) -> bytes:
    """Return a PNG of the last `seconds`: book and trades, pressure, queue; empty for nothing."""
    last = max(collector.last_ms, _newest(collector.ring("metrics")))
    if not last:
        return b""
    oldest = [ring.rows[0, 0] for ring in map(collector.ring, ("books", "metrics"))
              if ring is not None and len(ring)]  # fmt: skip
    begin = max(last - seconds * 1e3, min(oldest, default=0.0))
    figure = Picture(figsize=(9.2, 5.2), dpi=100)
    grid = figure.add_gridspec(
        3, 1, height_ratios=(4, 1.2, 1.2), left=0.085, right=0.985, top=0.94, bottom=0.075,
        hspace=0.32,
    )  # fmt: skip
    panels = [figure.add_subplot(grid[row]) for row in range(3)]
    books = _since(collector.ring("books"), begin)
    trades = _since(collector.ring("trades"), begin)
    for panel, title in zip(panels, (collector.symbol, "Pressure", "Queue depth"), strict=True):
        clean(panel)
        heading(panel, title or "no book yet")
        panel.tick_params(labelsize=8)
    books = _broken(books, collector)
    if len(books):
        _draw_book(panels[0], books, last)
        _line(panels[1], books[:, 0], np.log2(_positive(books[:, 8])), BLUE, books[:, 1] > 0)
        panels[1].axhline(0, color=MUTED, linewidth=0.8)
        panels[1].yaxis.set_major_formatter(lambda value, _: f"{2**value:.3g}")
    if len(trades):
        _draw_trades(panels[0], trades)
    metrics = _since(collector.ring("metrics"), begin)
    if len(metrics):
        _line(panels[2], metrics[:, 0], metrics[:, 1], BLUE)
        panels[2].set_ylim(bottom=0)
    first, end = (pd.Timestamp(int(ms * MS), tz="UTC") for ms in (begin, last))
    for panel in panels:
        time_axis(panel, first, end, lambda moment: f"{moment:%H:%M:%S}")
        panel.set_xlim(*dates([first, end]))
        for gap in collector.gaps.stretches:
            if gap.to_ns < begin * MS:
                continue
            left, right = dates(pd.to_datetime([gap.from_ns, gap.to_ns], utc=True))
            if gap.reason == DROPPED:
                panel.axvspan(left, right, 0.97, 1.0, color=RED, linewidth=0)
            else:
                panel.axvspan(left, right, color=MUTED, alpha=0.25, linewidth=0)
    for panel in panels[:2]:
        panel.tick_params(labelbottom=False)
    panels[0].text(
        1, 1.02, f"{end:%Y-%m-%d %H:%M:%S} UTC", transform=panels[0].transAxes, ha="right",
        fontsize=8, color=MUTED, family=FONT,
    )  # fmt: skip
    return png(figure)


def _broken(books: Rows, collector: Collector) -> Rows:
    """Return books with a row of nothing where each stretch that was not seen begins."""
    starts = [
        gap.from_ns / MS
        for gap in collector.gaps.stretches
        if gap.reason != DROPPED and len(books) and books[0, 0] < gap.from_ns / MS < books[-1, 0]
    ]
    if not starts:
        return books
    nothing = np.full((len(starts), books.shape[1]), np.nan)
    nothing[:, 0], nothing[:, 1] = starts, 0.0
    rows = np.vstack((books, nothing))
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _newest(ring: Any) -> float:
    return float(ring.rows[-1, 0]) if ring is not None and len(ring) else 0.0


def _since(ring: Any, begin: float) -> Rows:
    if ring is None or not len(ring):
        return np.empty((0, 12))
    rows: Rows = ring.rows
    return rows[np.searchsorted(rows[:, 0], begin) :]


def _positive(values: Rows) -> Rows:
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _days(stamps_ms: Rows) -> Rows:
    days: Rows = stamps_ms / 86_400e3
    return days


def _line(
    axes: Any, stamps: Rows, values: Rows, colour: str, breaks: Any = None, width: float = 1.2
) -> None:
    if breaks is not None:
        values = np.where(breaks, np.nan, values)
    axes.plot(
        _days(stamps), values, color=colour, linewidth=width, linestyle="-", marker="",
        drawstyle="steps-post",
    )  # fmt: skip


def _draw_book(axes: Any, books: Rows, last: float) -> None:
    prices = np.column_stack((books[:, [2, 4]], books[:, _FIRST_LEVEL::2]))
    sizes = np.column_stack((books[:, [3, 5]], books[:, _FIRST_LEVEL + 1 :: 2]))
    there = np.isfinite(prices) & (sizes > 0)
    if not there.any():
        return
    low, high = np.nanpercentile(prices[there], (1, 99))
    edges = np.linspace(low, max(high, low + 1e-9), _BINS + 1)
    thin = slice(None, None, max(1, len(books) // _POINTS))
    table = np.zeros((_BINS, len(books[thin])))
    places = np.clip(np.searchsorted(edges, prices[thin], "right") - 1, 0, _BINS - 1)
    inside = there[thin] & (prices[thin] >= low) & (prices[thin] <= high)
    rows, columns = np.nonzero(inside)
    np.add.at(table, (places[rows, columns], rows), sizes[thin][rows, columns])
    times = _days(np.append(books[thin, 0], max(last, books[-1, 0] + 1)))
    shown = np.ma.masked_equal(table, 0)
    if shown.count():
        norm = LogNorm(*np.percentile(shown.compressed(), (5, 99)) * (1, 1.001))
        axes.pcolormesh(times, edges, shown, cmap="Blues", norm=norm, shading="flat")
    for column, colour in ((2, GREEN), (4, RED)):
        _line(axes, books[:, 0], books[:, column], colour, books[:, 1] > 0)
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")


def _draw_trades(axes: Any, trades: Rows) -> None:
    trades = trades[-2_000:]
    large = np.percentile(trades[:, 2], 97) or 1.0
    for side, colour in ((1, GREEN), (-1, RED), (0, AMBER)):
        ours = trades[trades[:, 3] == side]
        area = np.clip(60 * ours[:, 2] / large, 2, 120)
        axes.scatter(_days(ours[:, 0]), ours[:, 1], s=area, c=colour, alpha=0.5, linewidths=0)
