"""The queue over the last minute: depth, the 80% and 95% lines, and what goes in and out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.lines import Line2D

from mdkit.pipeline.health import CRITICAL, ELEVATED
from mdkit.views.gaps import GapMarks, Gaps, RecentGaps
from mdkit.views.raster import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    Raster,
    count_label,
    keep_or_change,
    legend,
    nice_ceiling,
    quiet_axes,
)
from mdkit.views.view import PictureView

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline

_ROWS_A_SECOND = 5
_LEAST = 10.0  # that a scale ends at: fractions of a message mean nothing
_SAME_CLOCK_NS = 5_000_000_000
"""A source whose clock is further off plays the past, whose gaps have no place on today's clock."""
_MARGINS = {"left": 0.1, "right": 0.895, "top": 0.86, "bottom": 0.13}


class QueueData(NamedTuple):
    """Seconds before now (negative), and what was measured then."""

    ago: npt.NDArray[np.float64]
    queued: npt.NDArray[np.float64]
    spilled: npt.NDArray[np.float64]
    in_rate: npt.NDArray[np.float64]
    out_rate: npt.NDArray[np.float64]
    lost_rate: npt.NDArray[np.float64]
    maxsize: int
    now_ns: int
    gaps: Gaps


class _Chart(Raster):
    def __init__(self, width: int, height: int, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(width, height)

    def lay_out(self) -> None:
        self.depth = self.figure.add_subplot()
        self.rates = self.depth.twinx()
        self.figure.subplots_adjust(**_MARGINS)
        quiet_axes(self.depth, "Queue depth", "messages waiting")
        quiet_axes(self.rates, "", "messages a second", right=True)
        self.rates.grid(visible=False)
        self.rates.yaxis.set_label_position("right")
        for axes in (self.depth, self.rates):
            axes.yaxis.set_major_formatter(count_label)
        self.depth.set_xlim(-self.seconds, 0)
        ticks = np.linspace(-self.seconds, 0, 7)
        self.depth.set_xticks(ticks, [f"{tick:.0f} s" for tick in ticks[:-1]] + ["now"])
        self.depth.set_zorder(self.rates.get_zorder() + 1)
        make = {
            "in": (self.rates, ORANGE, 1.1),
            "out": (self.rates, GREEN, 1.1),
            "lost": (self.rates, RED, 1.3),
            "on disk": (self.depth, PURPLE, 1.3),
            "queued": (self.depth, BLUE, 1.7),
        }
        self.lines = {
            name: self.moving(
                axes.add_line(
                    # Round joins, the default, take a sixth more time and look the same.
                    Line2D([], [], color=colour, linewidth=width, solid_joinstyle="bevel")
                )
            )
            for name, (axes, colour, width) in make.items()
        }
        self.gaps = GapMarks(self, self.depth, pixel=self.seconds / self.depth.bbox.width)
        legend(self.depth, list(self.lines.values()), list(self.lines))
        self.limits = (0.0, 0.0)
        self.marks = [
            self.depth.axhline(0, color=colour, linewidth=0.9, linestyle="--", alpha=0.8)
            for colour in (ORANGE, RED)
        ]
        self.notes = [
            self.depth.text(-self.seconds, 0, "", fontsize=7.5, color=INK, va="bottom")
            for _ in self.marks
        ]

    def set_limits(self, depth: float, rate: float, maxsize: int) -> None:
        """Fit both scales; the marks appear once the queue comes near them."""
        wanted = (
            min(nice_ceiling(max(depth, _LEAST)), maxsize * 1.08),
            nice_ceiling(max(rate, _LEAST)),
        )
        near = depth > 0.5 * maxsize
        if near:
            wanted = (max(maxsize * 1.08, depth * 1.05), wanted[1])
        # Grow at once, shrink rarely: new scales mean a new background, which takes long.
        wanted = (
            keep_or_change(self.limits[0], wanted[0]),
            keep_or_change(self.limits[1], wanted[1]),
        )
        if wanted == self.limits:
            return
        self.limits = wanted
        self.depth.set_ylim(0, wanted[0])
        self.rates.set_ylim(0, wanted[1])
        for mark, note, share in zip(self.marks, self.notes, (ELEVATED, CRITICAL), strict=True):
            mark.set_ydata([share * maxsize] * 2)
            note.set_y(share * maxsize)
            note.set_text(f"{share:.0%}")
            mark.set_visible(near)
            note.set_visible(near)
        self.stale()


class QueueView(PictureView):
    """Queue depth and rates over the last `seconds`, by the wall clock."""

    title = "Queue depth"

    def __init__(self, seconds: float = 60.0, width: int = 560, height: int = 190) -> None:
        self._chart = _Chart(width, height, seconds)
        super().__init__(self._chart, width, height)
        self._gaps = RecentGaps(seconds, int(self._chart.depth.bbox.width))

    def look(self, pipeline: Pipeline) -> QueueData:
        """Return the metrics of the window."""
        rows = pipeline.metrics.arrays(int(self._chart.seconds * _ROWS_A_SECOND) + 5)
        at = rows["received"] / 1e9
        ago = at - at[-1] if at.size else at
        lost = rows["dropped"]
        spans = np.diff(at, prepend=at[0] if at.size else 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            lost_rate = np.where(spans > 0, np.diff(lost, prepend=lost[:1]) / spans, 0.0)
        now_ns = pipeline.source.clock_ns()
        gaps = self._gaps.look(pipeline, now_ns)._replace(dropped=())  # the line "lost" has these
        live = abs(now_ns - time.time_ns()) < _SAME_CLOCK_NS
        return QueueData(
            ago,
            rows["queued"],
            rows["spilled"],
            rows["in_rate"],
            rows["out_rate"],
            lost_rate,
            pipeline.buffer.maxsize,
            now_ns,
            gaps if live else Gaps(),
        )

    def prepare(self, data: Any) -> bool:
        """Fit the scales and set the lines."""
        chart = self._chart
        seen = data.ago >= -chart.seconds
        top = max(np.max(data.queued[seen], initial=0.0), np.max(data.spilled[seen], initial=0.0))
        rate = max(np.max(data.in_rate[seen], initial=0.0), np.max(data.out_rate[seen], initial=0))
        chart.set_limits(float(top), float(rate), data.maxsize)
        for name, values in (
            ("queued", data.queued),
            ("on disk", data.spilled),
            ("in", data.in_rate),
            ("out", data.out_rate),
            ("lost", data.lost_rate),
        ):
            line = chart.lines[name]
            line.set_data(data.ago, values)
            line.set_visible(bool(values.any()) or name in ("queued", "in", "out"))
        chart.gaps.set(data.gaps, data.now_ns)
        return True
