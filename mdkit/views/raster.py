"""Live matplotlib pictures: private figures, artists drawn again over a kept background.

A new figure for every frame would hold the loop for 50 ms and more; drawing only what moves
over a background that stays, and compressing the PNG lightly, takes about 5. Even that is done
in steps, between which the loop handles messages. No pyplot, so the user's own figures and
settings are neither seen nor touched; main thread only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from operator import methodcaller
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from mdkit.views.png import encode

INK = "#8a8f98"
"""Text and axes: a grey that reads on white and on black, since the picture is transparent."""
BLUE, ORANGE, GREEN, RED, PURPLE = "#3b82d0", "#d98032", "#3aa676", "#d9534f", "#9668bd"
LINES = (BLUE, ORANGE, GREEN, PURPLE, RED, "#4bb3c4", "#b0a13a", "#c76ba3")
DPI = 100


class Raster:
    """A figure of `width` by `height` pixels that is drawn many times.

    Subclasses make their axes in `lay_out`, register moving artists with `moving`, set their
    data, and call `stale()` after changing anything that does not move (limits, ticks).
    """

    def __init__(self, width: int = 560, height: int = 190) -> None:
        self._artists: list[Any] = []
        self._background: Any = None
        with matplotlib.style.context(["default", {"text.parse_math": False}]):
            self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
            self.canvas: Any = FigureCanvasAgg(self.figure)
            self.figure.patch.set_alpha(0.0)
            self.lay_out()

    def lay_out(self) -> None:
        """Make axes and artists; called once, under matplotlib's default style."""
        raise NotImplementedError

    def moving(self, artist: Any) -> Any:
        """Register an artist that changes from frame to frame, and return it."""
        artist.set_animated(True)
        self._artists.append(artist)
        return artist

    def stale(self) -> None:
        """Have the background drawn anew with the next frame."""
        self._background = None

    def frame(self) -> Iterator[None]:
        """Draw a frame in steps: one for each artist that moves, some for a new background.

        A frame may be given up between two steps; the next one begins afresh.
        """
        if self._background is None:
            yield from self._draw_background()
        self.canvas.restore_region(self._background)
        for artist in self._artists:
            if artist.get_visible():
                artist.axes.draw_artist(artist)
                yield

    def png(self) -> bytes:
        """Return the frame that was drawn last as PNG."""
        return encode(np.asarray(self.canvas.buffer_rgba()))

    def _draw_background(self) -> Iterator[None]:
        """Draw all that does not move, as `canvas.draw()` would, but in steps.

        Text takes nearly all the time, so a step ends with each scale and legend.
        """
        self.canvas.get_renderer().clear()
        for axes in sorted(self.figure.axes, key=_layer):
            step: list[Any] = []
            for artist in sorted(axes.get_children(), key=_layer):
                if artist.get_animated():
                    continue
                step.append(artist)
                if isinstance(artist, (Axis, Legend)):
                    self._draw_still(axes, step)
                    step = []
                    yield
            self._draw_still(axes, step)
        self._background = self.canvas.copy_from_bbox(self.figure.bbox)

    def _draw_still(self, axes: Any, artists: Sequence[Any]) -> None:
        # Entered for each step: between two of them the user's settings must hold. And not for
        # each artist: it takes as long as most of them.
        with matplotlib.style.context("default"):
            for artist in artists:
                axes.draw_artist(artist)


_layer = methodcaller("get_zorder")


def quiet_axes(axes: Any, title: str, unit: str, *, right: bool = False) -> None:
    """Style axes: a title at the left, the unit beside it, thin grey lines."""
    axes.patch.set_alpha(0.0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=8, length=3, color=INK)
    axes.grid(axis="y", color=INK, alpha=0.22, linewidth=0.7)
    axes.set_axisbelow(True)
    if right:
        axes.yaxis.tick_right()
    axes.set_title(f"{title}", loc="left", fontsize=9.5, color=INK, fontweight="bold", pad=5)
    axes.set_ylabel(unit, fontsize=8, color=INK)


def legend(axes: Any, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a compact legend into the title line."""
    axes.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1.01, 0.985),
        ncols=max(1, len(labels)),
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
        handlelength=1.0,
        handletextpad=0.5,
        columnspacing=1.0,
        borderaxespad=0.2,
    )


def nice_ceiling(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ... at or above a value: limits that rarely change."""
    if not math.isfinite(value) or value <= 1:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(step * scale for step in (1, 2, 5, 10) if step * scale >= value)


def count_label(value: float, position: float = 0) -> str:
    """Return a count as a short label, such as 20k: five digits do not fit beside a chart."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def keep_or_change(limit: float, wanted: float) -> float:
    """Return the limit to use: grown at once, shrunk only when a fifth of it would do."""
    return wanted if wanted > limit or wanted < limit / 5 else limit
