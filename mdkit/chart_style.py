"""What mdkit's figures share: colours, a calm look, a time axis, and PNG without pyplot.

A `Picture` is private (a `Figure` on an Agg canvas), so that nothing shows up among the user's
own figures or follows their style sheet. All text is plain: two threads that draw mathtext at
once corrupt memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, num2date
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e4e7eb"
BLUE, GREEN, AMBER, RED = "#1f6fb2", "#2a9d6f", "#d98e04", "#c8323c"
SERIES = ("#1f6fb2", "#d9722e", "#2a9d6f", "#8e5bb5", "#c8323c", "#7a5c45", "#d05fa2", "#5f7a1f")
"""Colours of symbols, told apart by most colour-blind readers when taken in this order."""
FONT = "DejaVu Sans"  # comes with matplotlib, so figures look the same everywhere


class Picture(Figure):
    """A private figure: not among pyplot's, and shown as PNG wherever its value is.

    Without this a notebook shows a bare figure only after pyplot has been imported. Texts are
    shown as they are: a symbol may hold dollar signs, which are no formula.
    """

    def draw(self, renderer: Any) -> None:
        """Draw with every text taken literally."""
        for text in self.findobj(Text):
            text.set_parse_math(False)
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    out = io.BytesIO()
    # Not savefig(), which follows the user's settings for resolution, colour and cropping.
    FigureCanvasAgg(figure).print_png(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def dates(index: Any) -> Any:
    """Return times as matplotlib's own days since 1970, which also works for no times at all."""
    return pd.DatetimeIndex(index).as_unit("ns").asi8 / 86_400e9


def draw_line(
    axes: Any, series: pd.Series[Any], colour: str, width: float, label: str, **style: Any
) -> None:
    """Draw a series over its times; whatever the user's own settings say, as a plain line."""
    look = {"color": colour, "linewidth": width, "linestyle": "-", "marker": "", **style}
    axes.plot(dates(series.index), series.to_numpy(), label=label, **look)


def time_axis(axes: Any, first: Any, last: Any, told: Callable[[datetime], str]) -> None:
    """Let the axis run from `first` to `last`, with each tick as `told` says its moment in UTC."""
    if last > first:
        axes.set_xlim(*dates(pd.DatetimeIndex([first, last])))
    axes.xaxis.set_major_locator(AutoDateLocator(tz=UTC, minticks=4, maxticks=9))  # type: ignore[no-untyped-call]

    def clock(days: float, _: int | None = None) -> str:
        moment: datetime = num2date(days, tz=UTC)  # type: ignore[no-untyped-call]
        return told(moment)

    axes.xaxis.set_major_formatter(FuncFormatter(clock))


def clean(axes: Any) -> None:
    """Leave of the frame only the bottom, without ticks, in muted colours."""
    axes.set_facecolor("white")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    axes.tick_params(
        which="both", length=0, labelsize=9, labelcolor=MUTED, labelfontfamily=FONT, pad=5
    )
    axes.set_axisbelow(True)


def heights_grid(axes: Any) -> None:
    """Draw the grid's horizontal lines."""
    axes.grid(True, axis="y", color=GRID, linewidth=0.8, linestyle="-", alpha=1)


def heading(axes: Any, text: str) -> None:
    """Name a panel, above its left edge."""
    axes.set_title(
        text, loc="left", fontsize=10.5, fontweight="bold", color=INK, family=FONT, pad=8
    )


def legend_above(axes: Any, handles: list[Any], labels: list[str], columns: int) -> None:
    """Put a legend in one line above the right edge, level with the heading."""
    axes.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.99),
        ncols=columns,
        frameon=False,
        labelcolor=INK,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.4,
        borderaxespad=0.2,
        prop={"family": FONT, "size": 9},
    )
