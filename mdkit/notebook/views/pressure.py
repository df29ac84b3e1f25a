"""Order-book pressure over the last minute, one line a symbol, with the gaps shaded."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D

from mdkit.measures import pressure_ratio
from mdkit.notebook.views.raster import INK, LINES, Raster, legend, quiet_axes
from mdkit.notebook.views.view import PictureView

if TYPE_CHECKING:
    from mdkit.stream.pipeline import Pipeline

_MARGINS = {"left": 0.1, "right": 0.895, "top": 0.86, "bottom": 0.13}
_NAMED = 5
_SAMPLES = 240
_SCALES = (2, 3, 5, 7)  # powers of two that the scale may end at, either way


class PressureData(NamedTuple):
    """What the newest book of each symbol says, and the gaps."""

    now_ns: int
    ratios: dict[str, float]
    gaps: tuple[tuple[int, int], ...]


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
        self.holes = self.moving(
            self.axes.add_collection(
                PolyCollection([], facecolor=INK, alpha=0.28, edgecolor="none"), autolim=False
            )
        )
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
            line = Line2D([], [], color=colour, linewidth=1.4)
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
        super().__init__(width, height)
        self.levels = levels
        self._chart = _Chart(width, height, seconds)
        self._past: dict[str, deque[tuple[int, float]]] = {}

    def look(self, pipeline: Pipeline) -> PressureData:
        """Return the newest ratios and the gaps of the window."""
        frames = pipeline.frames
        books = {symbol: frames.book(symbol) for symbol in sorted(frames.symbols("depth"))}
        now_ns = pipeline.source.clock_ns()
        oldest = now_ns - int(self._chart.seconds * 1e9)
        if not self._past:
            self._past = {symbol: self._history(pipeline, symbol, oldest) for symbol in books}
        gaps = {(gap.from_ns, gap.to_ns) for gap in pipeline.gaps if gap.to_ns > oldest}
        return PressureData(
            now_ns,
            {s: pressure_ratio(book, self.levels) for s, book in books.items() if book},
            tuple(sorted(gaps)),
        )

    def _history(self, pipeline: Pipeline, symbol: str, oldest: int) -> deque[tuple[int, float]]:
        """Return what the table still holds of the window, thinned, for a view made late."""
        seen = pipeline.frames.frame("depth", symbol)["pressure"]
        at = seen.index.to_numpy("datetime64[ns]").astype(np.int64)
        values = seen.to_numpy()
        keep = np.flatnonzero((at >= oldest) & (values > 0) & np.isfinite(values))
        keep = keep[:: max(1, keep.size // _SAMPLES)]
        logs = np.log2(values[keep])
        return deque(zip(at[keep].tolist(), logs.tolist(), strict=True))

    def draw(self, data: Any) -> None:
        """Add the sample and draw the window."""
        chart = self._chart
        oldest = data.now_ns - int(chart.seconds * 1e9)
        for symbol, ratio in data.ratios.items():
            past = self._past.setdefault(symbol, deque())
            if ratio > 0 and math.isfinite(ratio):
                past.append((data.now_ns, math.log2(ratio)))
        reach = 1.0
        for symbol, past in self._past.items():
            while past and past[0][0] < oldest:
                past.popleft()
            points = np.array(past, dtype=float).reshape(-1, 2)
            ago = (points[:, 0] - data.now_ns) / 1e9
            values = points[:, 1].copy()
            for begin, end in data.gaps:  # a line must not bridge what was not seen
                inside = (points[:, 0] >= begin) & (points[:, 0] <= end)
                values[inside] = np.nan
            reach = max(reach, float(np.nanmax(np.abs(values), initial=0.0)))
            chart.line(symbol).set_data(ago, values)
        chart.fit(reach)
        edges = [((b - data.now_ns) / 1e9, (e - data.now_ns) / 1e9) for b, e in data.gaps]
        low, high = chart.axes.get_ylim()
        chart.holes.set_verts([[(b, low), (e, low), (e, high), (b, high)] for b, e in edges])
        self.show(chart.png())
