"""Order-book pressure over the last minute, one line a symbol, with the gaps shaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.lines import Line2D

from mdkit.frames import PRESSURE_LEVELS
from mdkit.measures import pressure_ratio
from mdkit.views.gaps import GapMarks, Gaps, RecentGaps
from mdkit.views.raster import INK, LINES, Raster, legend, quiet_axes
from mdkit.views.view import PictureView

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline

_MARGINS = {"left": 0.1, "right": 0.895, "top": 0.86, "bottom": 0.13}
_NAMED = 5
_SAMPLES = 240
_ROWS_A_LOOK = 2_000
"""Rows of tables read at a look, and at least one table."""
_NO_PAST = np.empty((2, 0))
_SCALES = (2, 3, 5, 7)  # powers of two that the scale may end at, either way


Past = npt.NDArray[np.float64]
"""Shape (2, samples): when, in ns since the epoch, and the ratio's log2; nan where unknown."""


class PressureData(NamedTuple):
    """What the newest book of each symbol says, the gaps, and what was before the view began."""

    now_ns: int
    ratios: dict[str, float]
    gaps: Gaps
    history: dict[str, Past]


class _Chart(Raster):
    def __init__(self, width: int, height: int, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(width, height)

    def lay_out(self) -> None:
        self.axes = self.figure.add_subplot()
        self.figure.subplots_adjust(**_MARGINS)
        quiet_axes(self.axes, "Pressure", "size bid / size asked")
        self.axes.set_xlim(-self.seconds, 0)
        ticks = np.linspace(-self.seconds, 0, 7)
        self.axes.set_xticks(ticks, [f"{tick:.0f} s" for tick in ticks[:-1]] + ["now"])
        self.axes.axhline(0, color=INK, linewidth=0.9)
        self.marks = GapMarks(self, self.axes, pixel=self.seconds / self.axes.bbox.width)
        self.lines: dict[str, Any] = {}
        self.power = 0
        self.fit(1.0)

    def fit(self, reach: float) -> None:
        """Let the scale hold log2 ratios up to `reach` either way."""
        power = next((p for p in _SCALES if p >= reach), _SCALES[-1])
        if power <= self.power:  # a scale that has grown stays: changing it takes long
            return
        self.power = power
        step = 1 if power <= 3 else 2
        ticks = list(range(0, power + 1, step))
        ticks = [-t for t in ticks[:0:-1]] + ticks
        labels = [f"{2**t}" if t >= 0 else f"1/{2**-t}" for t in ticks]
        self.axes.set_yticks(ticks, labels)
        self.axes.set_ylim(-power - 0.2, power + 0.2)
        self.stale()

    def line(self, symbol: str) -> Any:
        """Return the line of a symbol, made when first asked for."""
        if symbol not in self.lines:
            colour = LINES[len(self.lines) % len(LINES)]
            # Round joins, the default, take a sixth more time and look the same.
            line = Line2D([], [], color=colour, linewidth=1.4, solid_joinstyle="bevel")
            self.lines[symbol] = self.moving(self.axes.add_line(line))
            shown = list(self.lines)[:_NAMED]
            legend(self.axes, [self.lines[s] for s in shown], shown)
            self.stale()
        return self.lines[symbol]


class PressureView(PictureView):
    """Bid size over ask size of the first `levels` levels, sampled when the clock ticks.

    Sampled, since a busy feed has thousands of books a second and a picture some hundred
    columns; `session.frame("depth")["pressure"]` has every value.
    """

    title = "Order-book pressure"

    def __init__(
        self, seconds: float = 60.0, levels: int = 5, width: int = 560, height: int = 190
    ) -> None:
        self._chart = _Chart(width, height, seconds)
        super().__init__(self._chart, width, height)
        self.levels = levels
        self._gaps = RecentGaps(seconds, int(self._chart.axes.bbox.width))
        self._known: set[str] = set()
        self._past: dict[str, Past] = {}

    def look(self, pipeline: Pipeline) -> PressureData:
        """Return the newest ratios and the gaps of the window."""
        frames = pipeline.frames
        books = {symbol: frames.book(symbol) for symbol in sorted(frames.symbols("depth"))}
        now_ns = pipeline.source.clock_ns()
        # So that a first picture is whole, and reading long tables does not hold up the feed.
        late: dict[str, Past] = {}
        rows = 0
        for symbol in books:
            if symbol not in self._known and rows < _ROWS_A_LOOK:
                rows += len(frames.table("depth", symbol))
                late[symbol] = self._history(pipeline, symbol, now_ns)
        return PressureData(
            now_ns,
            {s: pressure_ratio(book, self.levels) for s, book in books.items() if book},
            self._gaps.look(pipeline, now_ns),
            late,
        )

    def _history(self, pipeline: Pipeline, symbol: str, now_ns: int) -> Past:
        """Return what the table still holds of the window, thinned, for a view made late."""
        if self.levels > pipeline.frames.levels and self.levels != PRESSURE_LEVELS:
            return _NO_PAST  # the table holds too few levels to say what they said
        seen = pressure_ratio(pipeline.frames.frame("depth", symbol), self.levels)
        at = seen.index.to_numpy("datetime64[ns]").astype(np.int64)
        values = seen.to_numpy()
        oldest = now_ns - int(self._chart.seconds * 1e9)
        keep = np.flatnonzero((at >= oldest) & (values > 0) & np.isfinite(values))
        keep = keep[:: max(1, keep.size // _SAMPLES)]
        return np.array((at[keep], np.log2(values[keep])))

    def prepare(self, data: Any) -> bool:
        """Add the sample and fit the scale."""
        chart = self._chart
        oldest = data.now_ns - chart.seconds * 1e9
        self._known.update(data.history)
        for symbol, before in data.history.items():
            began = self._past.get(symbol, _NO_PAST)
            earlier = before[:, before[0] < began[0, 0]] if began.size else before
            self._past[symbol] = np.hstack((earlier, began))
        for symbol, ratio in data.ratios.items():
            if ratio > 0 and math.isfinite(ratio):
                sample = ((data.now_ns,), (math.log2(ratio),))
                self._past[symbol] = np.hstack((self._past.get(symbol, _NO_PAST), sample))
        reach = 1.0
        for symbol, past in self._past.items():
            recent = self._past[symbol] = past[:, np.searchsorted(past[0], oldest) :]
            values = recent[1].copy()
            for begin, end in data.gaps.unseen:  # a line must not bridge what was not seen
                values[(recent[0] >= begin) & (recent[0] <= end)] = np.nan
            reach = max(reach, float(np.nanmax(np.abs(values), initial=0.0)))
            chart.line(symbol).set_data((recent[0] - data.now_ns) / 1e9, values)
        chart.fit(reach)
        chart.marks.set(data.gaps, data.now_ns)
        return True
