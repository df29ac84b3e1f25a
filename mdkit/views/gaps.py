"""What was not seen, in a chart over time: shaded where nothing came, marked where some was lost.

A burst can leave thousands of gaps a second, each of some milliseconds. A view takes in only
those that are new, and keeps them joined where they lie closer than a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.collections import PolyCollection

from mdkit.events import DROPPED
from mdkit.views.raster import INK, RED, Raster

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline

Stretch = tuple[int, int]
"""From and to, in nanoseconds since the epoch."""

_STRIP = 0.03  # of the axes' height, from the top


class Gaps(NamedTuple):
    """Stretches of all symbols, in order and apart from each other."""

    unseen: tuple[Stretch, ...] = ()
    """When nothing came, for whatever reason."""
    dropped: tuple[Stretch, ...] = ()
    """When the queue's policy dropped some messages and let others through."""


class RecentGaps:
    """The gaps of the last `seconds`, at the resolution of `pixels` columns.

    Those that were filled in are left out. For one pipeline, and to be called in its loop.
    """

    def __init__(self, seconds: float, pixels: int) -> None:
        self._window_ns = int(seconds * 1e9)
        self._pixel_ns = self._window_ns // pixels
        self._counted = 0
        self._gaps = Gaps()

    def look(self, pipeline: Pipeline, now_ns: int) -> Gaps:
        """Return the gaps that reach into the window that ends at `now_ns`."""
        latest = islice(reversed(pipeline.gaps), pipeline.gap_count - self._counted)
        new = [gap for gap in latest if gap.lost != 0]  # 0: what was missed has been filled in
        self._counted = pipeline.gap_count
        oldest = now_ns - self._window_ns
        unseen = [(gap.from_ns, gap.to_ns) for gap in new if gap.reason != DROPPED]
        dropped = [(gap.from_ns, gap.to_ns) for gap in new if gap.reason == DROPPED]
        self._gaps = Gaps(
            self._join((*self._gaps.unseen, *unseen), oldest),
            self._join((*self._gaps.dropped, *dropped), oldest),
        )
        return self._gaps

    def _join(self, stretches: Iterable[Stretch], oldest: int) -> tuple[Stretch, ...]:
        joined: list[Stretch] = []
        for begin, end in sorted(stretch for stretch in stretches if stretch[1] > oldest):
            if joined and begin <= joined[-1][1] + self._pixel_ns:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((begin, end))
        return tuple(joined)


class GapMarks:
    """Gaps on axes whose x is seconds before now: grey shades, and a red strip at the top."""

    def __init__(self, raster: Raster, axes: Any, pixel: float) -> None:
        self._pixel = pixel
        across = axes.get_xaxis_transform()  # x in seconds, y as a share of the height

        def area(colour: str, alpha: float) -> Any:
            shape = PolyCollection([], facecolor=colour, alpha=alpha, edgecolor="none")
            shape.set_transform(across)
            return raster.moving(axes.add_collection(shape, autolim=False))

        self.shades = area(INK, 0.28)
        self.strip = area(RED, 0.9)

    def set(self, gaps: Gaps, now_ns: int) -> None:
        """Show these gaps at this time."""
        for shape, stretches, bottom in (
            (self.shades, gaps.unseen, 0.0),
            (self.strip, gaps.dropped, 1.0 - _STRIP),
        ):
            shape.set_verts(self._boxes(stretches, now_ns, bottom))
            shape.set_visible(bool(stretches))

    def _boxes(
        self, stretches: Sequence[Stretch], now_ns: int, bottom: float
    ) -> list[list[tuple[float, float]]]:
        boxes = []
        for begin, end in stretches:
            left = (begin - now_ns) / 1e9
            # However short a gap is, it takes a pixel to be seen.
            right = max((end - now_ns) / 1e9, left + self._pixel)
            boxes.append([(left, bottom), (right, bottom), (right, 1.0), (left, 1.0)])
        return boxes
