"""The order book as a ladder with size bars, and its cumulative depth as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D

from mdkit.events import Depth, Level
from mdkit.measures import mid, pressure_ratio, spread
from mdkit.views.raster import (
    GREEN,
    INK,
    RED,
    Raster,
    keep_or_change,
    nice_ceiling,
    quiet_axes,
)
from mdkit.views.view import HtmlView, PictureView

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline

# JupyterLab's and VS Code's own variables make the ladder follow light and dark themes; the
# last value serves pages that define neither.
TEXT = "var(--jp-content-font-color1, var(--vscode-foreground, inherit))"
FAINT = "var(--jp-content-font-color2, var(--vscode-descriptionForeground, #888))"
LINE = "var(--jp-border-color2, var(--vscode-widget-border, #8886))"
CELL = "padding:1px 8px;text-align:right;border:0;font-variant-numeric:tabular-nums;"


class LadderView(HtmlView):
    """The book of one symbol: asks above, bids below, a bar for each size.

    `symbol` and `levels` may be changed at any time. `symbol` None shows the first to arrive.
    """

    title = "Order book"

    def __init__(self, symbol: str | None = None, levels: int = 10) -> None:
        super().__init__()
        self.symbol = symbol
        self.levels = levels

    def look(self, pipeline: Pipeline) -> Depth | None:
        """Return the newest book."""
        return newest_book(pipeline, self.symbol)

    def draw(self, data: Any) -> None:
        """Show the ladder."""
        self.show(ladder_html(data, self.levels) if data else _nothing(self.symbol))


class DepthCurveView(PictureView):
    """How much could be bought or sold down to each price: sizes summed from the best level."""

    title = "Cumulative depth"

    def __init__(self, symbol: str | None = None, width: int = 300, height: int = 190) -> None:
        self._chart = _Curve(width, height)
        super().__init__(self._chart, width, height)
        self.symbol = symbol

    def look(self, pipeline: Pipeline) -> Depth | None:
        """Return the newest book."""
        return newest_book(pipeline, self.symbol)

    def prepare(self, data: Any) -> bool:
        """Take a book that has two sides; prices are shown as distance from the mid price."""
        if data is None or not data.bids or not data.asks:
            return False
        self._chart.set_book(data)
        return True


class _Curve(Raster):
    def lay_out(self) -> None:
        self.axes = self.figure.add_subplot()
        self.figure.subplots_adjust(left=0.2, right=0.96, top=0.86, bottom=0.2)
        quiet_axes(self.axes, "Cumulative depth", "")
        self.axes.set_xlabel("size, by distance from mid", fontsize=8, color=INK, labelpad=1)
        self.axes.axvline(0, color=INK, linewidth=0.8)
        self.areas = []
        self.edges = []
        for colour in (GREEN, RED):
            area = PolyCollection([], facecolor=colour, alpha=0.25, edgecolor="none")
            self.areas.append(self.moving(self.axes.add_collection(area, autolim=False)))
            edge = Line2D([], [], color=colour, linewidth=1.4)
            self.edges.append(self.moving(self.axes.add_line(edge)))
        self.limits = (0.0, 0.0)

    def set_book(self, book: Depth) -> None:
        """Take a two-sided book."""
        middle = mid(book)
        reach = tallest = 0.0
        for side, area, edge in zip((book.bids, book.asks), self.areas, self.edges, strict=True):
            points, total = [], 0.0
            for price, size in side:
                points.append((price - middle, total))
                total += size
                points.append((price - middle, total))
            reach = max(reach, abs(points[-1][0]))
            tallest = max(tallest, total)
            edge.set_data(*zip(*points, strict=True))
            area.set_verts([[(points[0][0], 0.0), *points, (points[-1][0], 0.0)]])
        wanted = (
            keep_or_change(self.limits[0], nice_ceiling(reach * 1e6) / 1e6),
            keep_or_change(self.limits[1], nice_ceiling(tallest)),
        )
        if wanted != self.limits:
            self.limits = wanted
            self.axes.set_xlim(-wanted[0], wanted[0])
            self.axes.set_ylim(0, wanted[1])
            self.stale()


def newest_book(pipeline: Pipeline, symbol: str | None) -> Depth | None:
    """Return the newest book of a symbol, or of the first that has one."""
    if symbol is None:
        symbol = next(iter(pipeline.frames.symbols("depth")), None)
    return pipeline.frames.book(symbol) if symbol is not None else None


def ladder_html(book: Depth, levels: int) -> str:
    """Return a book as an HTML table: size, price, bar; no scripts, no classes."""
    asks, bids = book.asks[:levels], book.bids[:levels]
    largest = max((size for _, size in (*asks, *bids)), default=0.0) or 1.0
    digits = _digits(price for price, _ in (*asks, *bids))
    rows = [_row(level, largest, digits, "217,83,79") for level in reversed(asks)]
    rows.append(
        f'<tr><td colspan="3" style="{CELL}text-align:center;color:{FAINT};'
        f'border-top:1px solid {LINE};border-bottom:1px solid {LINE}">'
        f"mid {mid(book):,.{digits + 1}f} &nbsp; spread {spread(book):,.{digits}f} &nbsp; "
        f"pressure {pressure_ratio(book):.2f}</td></tr>"
    )
    rows += [_row(level, largest, digits, "58,166,118") for level in bids]
    return (
        f'<div style="color:{TEXT};font-size:12px;line-height:1.45">'
        f"<b>{_text(book.symbol)}</b>"
        f'<table style="border-collapse:collapse;border:0;margin:4px 0">{"".join(rows)}</table>'
        "</div>"
    )


def _row(level: Level, largest: float, digits: int, colour: str) -> str:
    price, size = level
    share = size / largest * 100
    return (
        f'<tr style="background:none"><td style="{CELL}min-width:70px;color:{FAINT}">'
        f"{size:,.6g}</td>"
        f'<td style="{CELL}color:rgb({colour});font-weight:600">{price:,.{digits}f}</td>'
        f'<td style="{CELL}min-width:90px;background:linear-gradient(90deg,'
        f'rgba({colour},.35) {share:.0f}%,transparent {share:.0f}%)"></td></tr>'
    )


def _digits(prices: Any) -> int:
    """Return the decimals that the prices need, at least 2 and at most 8."""
    needed = 2
    for price in prices:
        text = f"{price:.8f}".rstrip("0")
        needed = max(needed, len(text.partition(".")[2]))
    return needed


def _nothing(symbol: str | None) -> str:
    return f'<div style="color:{FAINT}">no book of {_text(symbol or "any symbol")} yet</div>'


def _text(value: str) -> str:
    from html import escape

    return escape(value)
