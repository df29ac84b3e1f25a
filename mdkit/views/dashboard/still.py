"""The still picture of a dashboard: what a saved or exported notebook shows.

Drawn by matplotlib, privately and without pyplot, from what the canvas would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator

from mdkit.canvas.rings import MS, Ring, Rows
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
from mdkit.orderflow.columns import BUY, NEUTRAL, SELL
from mdkit.views.dashboard.collector import Collector
from mdkit.views.dashboard.gaps import Stretch
from mdkit.views.dashboard.series import STEPS_MS

_BINS = 140
_COLUMNS = 700
"""At most about so many books are drawn, of those that stood the same way."""
_FIRST_LEVEL = 11
"""Column from which the second and further levels begin in a row of books."""
_FAR_MS = 1_500.0
"""Between two samples of the queue (five a second) that are not joined."""


class Seen(NamedTuple):
    """Copies of what a picture shows, so that it can be drawn in another thread."""

    symbol: str
    begin_ms: float
    end_ms: float
    books: Rows
    until: Rows
    """Until when each book is known to have stood."""
    trades: Rows
    metrics: Rows
    gaps: tuple[Stretch, ...]


def look(collector: Collector, seconds: float = 60.0) -> Seen | None:
    """Return the last `seconds` of what was collected; None of nothing. In the pipeline's loop."""
    metrics = _rows(collector.ring("metrics"))
    books = _rows(collector.ring("books"))
    last = max([collector.last_ms, *metrics[-1:, 0]])
    if not last:
        return None
    oldest = min((rows[0, 0] for rows in (books, metrics) if len(rows)), default=last)
    end = max(last, collector.seen_ms)
    begin = max(end - seconds * 1e3, oldest)
    gaps = tuple(gap for gap in collector.gaps.stretches if gap.to_ns >= begin * MS)
    books = _since(books, begin)
    until = holds_until(books, gaps, collector.seen_ms, STEPS_MS[collector.level])
    trades = _rows(collector.ring("trades"))
    trades = trades[np.searchsorted(trades[:, 0], begin) :]
    return Seen(collector.symbol, begin, end, books, until, trades, _since(metrics, begin), gaps)


def holds_until(books: Rows, gaps: Sequence[Stretch], seen_ms: float, step_ms: float) -> Rows:
    """Return until when each book holds: to the next one, but not into a gap.

    The newest holds as far as was seen. The page's `holdsUntil` (book.js) says the same of what it
    draws.
    """
    if not len(books):
        return np.empty(0)
    times = books[:, 0]
    until: Rows = np.append(times[1:], max(seen_ms, times[-1]))
    for gap in gaps:
        if gap.reason == DROPPED:  # some messages are missing, others came
            continue
        begin, end = gap.from_ns / MS, gap.to_ns / MS
        first = max(int(np.searchsorted(times, begin, "right")) - 1, 0)
        within = slice(first, int(np.searchsorted(times, end)))
        until[within] = np.minimum(until[within], np.maximum(times[within], begin))
    # Behind a gap of which no stretch is known, a row is good for its own step only.
    unknown = np.append((until[:-1] == times[1:]) & (books[1:, 1] > 0), False)
    until[unknown] = np.minimum(until, times + step_ms)[unknown]
    return until


def still_png(seen: Seen | None) -> bytes:
    """Return a PNG of book and trades, pressure, and the queue; empty of nothing."""
    if seen is None:
        return b""
    figure = Picture(figsize=(9.2, 5.2), dpi=100)
    grid = figure.add_gridspec(
        3, 1, height_ratios=(4, 1.2, 1.2), left=0.085, right=0.985, top=0.94, bottom=0.075,
        hspace=0.32,
    )  # fmt: skip
    panels = [figure.add_subplot(grid[row]) for row in range(3)]
    for panel, title in zip(panels, (seen.symbol, "Pressure", "Queue depth"), strict=True):
        clean(panel)
        heading(panel, title or "no book yet")
        panel.tick_params(labelsize=8)
    books, metrics = seen.books, seen.metrics
    if len(books):
        _draw_book(panels[0], books, seen.until)
        with np.errstate(divide="ignore", invalid="ignore"):
            pressure = np.log2(books[:, 8])
        _draw_held(panels[1], books[:, 0], seen.until, pressure, BLUE)
        panels[1].axhline(0, color=MUTED, linewidth=0.8)
        panels[1].yaxis.set_major_locator(MaxNLocator(4, integer=True))
        panels[1].yaxis.set_major_formatter(_power_of_two)
    if len(seen.trades):
        _draw_trades(panels[0], seen.trades)
    if len(metrics):
        times = metrics[:, 0]
        until = np.append(times[1:], times[-1])
        until = np.where(until - times > _FAR_MS, times, until)
        _draw_held(panels[2], times, until, metrics[:, 1], BLUE)
        panels[2].set_ylim(bottom=0)
        panels[2].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    first, end = (pd.Timestamp(int(ms * MS), tz="UTC") for ms in (seen.begin_ms, seen.end_ms))
    tenths = end - first < pd.Timedelta(seconds=7)  # else ticks would show one second twice
    for panel in panels:
        time_axis(panel, first, end, partial(_clock, tenths=tenths))
        panel.set_xlim(*dates([first, end]))
        for gap in seen.gaps:
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


def _rows(ring: Ring | None) -> Rows:
    return np.empty((0, _FIRST_LEVEL)) if ring is None else ring.rows.copy()


def _since(rows: Rows, begin: float) -> Rows:
    """Return rows from the one on that stood at `begin`."""
    return rows[max(0, int(np.searchsorted(rows[:, 0], begin, "right")) - 1) :]


def _days(stamps_ms: Rows) -> Rows:
    days: Rows = stamps_ms / 86_400e3
    return days


def _draw_held(axes: Any, times: Rows, until: Rows, values: Rows, colour: str) -> None:
    """Draw values as they held, and no line from one to the next where nothing was seen."""
    values = np.where(np.isfinite(values), values, np.nan)
    cut = np.append(until[:-1] < times[1:], True)
    stamps = np.column_stack((times, until, until)).ravel()
    line = np.column_stack((values, values, np.where(cut, np.nan, values))).ravel()
    axes.plot(_days(stamps), line, color=colour, linewidth=1.2, linestyle="-", marker="")


def _clock(moment: datetime, *, tenths: bool) -> str:
    return f"{moment:%H:%M:%S.%f}"[:-5] if tenths else f"{moment:%H:%M:%S}"


def _power_of_two(power: float, _: object) -> str:
    """Return a tick of pressure, as the page has it: 4, 2, 1, 1/2, 1/4."""
    return f"{2**power:g}" if power >= 0 else f"1/{2**-power:g}"


def _draw_book(axes: Any, books: Rows, until: Rows) -> None:
    prices = np.column_stack((books[:, [2, 4]], books[:, _FIRST_LEVEL::2]))
    sizes = np.column_stack((books[:, [3, 5]], books[:, _FIRST_LEVEL + 1 :: 2]))
    there = np.isfinite(prices) & (sizes > 0)
    if not there.any():
        return
    low, high = np.nanpercentile(prices[there], (1, 99))
    edges = np.linspace(low, max(high, low + 1e-9), _BINS + 1)
    shown, begins, ends = _thinned(books[:, 0], until)
    prices, sizes, there = prices[shown], sizes[shown], there[shown]
    # Every other column is what lies between two books: nothing, and mostly of no width.
    table = np.zeros((_BINS, 2 * len(shown)))
    places = np.clip(np.searchsorted(edges, prices, "right") - 1, 0, _BINS - 1)
    rows, columns = np.nonzero(there & (prices >= low) & (prices <= high))
    np.add.at(table, (places[rows, columns], 2 * rows), sizes[rows, columns])
    times = _days(np.append(np.column_stack((begins, ends)).ravel(), ends[-1]))
    drawn = np.ma.masked_equal(table, 0)
    if drawn.count():
        norm = LogNorm(*np.percentile(drawn.compressed(), (5, 99)) * (1, 1.001))
        axes.pcolormesh(times, edges, drawn, cmap="Blues", norm=norm, shading="flat")
    for column, colour in ((2, GREEN), (4, RED)):
        _draw_held(axes, books[:, 0], until, books[:, column], colour)
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")


def _thinned(times: Rows, until: Rows) -> tuple[npt.NDArray[np.intp], Rows, Rows]:
    """Return which books to draw, from when and until when: no stretch of nothing is left out."""
    cut = np.append(until[:-1] < times[1:], True)
    wanted = np.zeros(times.size, bool)
    wanted[:: max(1, times.size // _COLUMNS)] = True
    wanted |= cut
    wanted[1:] |= cut[:-1]
    shown = np.flatnonzero(wanted)
    ends = np.where(cut[shown], until[shown], np.append(times[shown[1:]], until[-1]))
    return shown, times[shown], ends


def _draw_trades(axes: Any, trades: Rows) -> None:
    trades = trades[-2_000:]
    large = np.percentile(trades[:, 2], 97) or 1.0
    for side, colour in ((BUY, GREEN), (SELL, RED), (NEUTRAL, AMBER)):
        ours = trades[trades[:, 3] == side]
        area = np.clip(60 * ours[:, 2] / large, 2, 120)
        axes.scatter(_days(ours[:, 0]), ours[:, 1], s=area, c=colour, alpha=0.5, linewidths=0)
