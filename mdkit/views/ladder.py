"""The order book as a ladder with size bars."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from mdkit.events import Depth, Level
from mdkit.measures import mid, pressure_ratio, spread
from mdkit.views.html import CELL, FAINT, LINE, TEXT, clock
from mdkit.views.view import HtmlView

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline


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


def newest_book(pipeline: Pipeline, symbol: str | None) -> Depth | None:
    """Return the newest book of a symbol, or of the first that has one."""
    if symbol is None:
        symbol = next(iter(pipeline.frames.symbols("depth")), None)
    return pipeline.frames.book(symbol) if symbol is not None else None


def ladder_html(book: Depth, levels: int) -> str:
    """Return a book as an HTML table, with when it was received (UTC): size, price, bar."""
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
        f'<b>{escape(book.symbol)}</b> <span style="color:{FAINT}">{clock(book.received_ns)}</span>'
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
    return f'<div style="color:{FAINT}">no book of {escape(symbol or "any symbol")} yet</div>'
