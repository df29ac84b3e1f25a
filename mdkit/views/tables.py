"""Views that are tables: the trades tape, signals, and any frame's last rows."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mdkit.views.html import clock, table_html
from mdkit.views.view import HtmlView

if TYPE_CHECKING:
    import pandas as pd

    from mdkit.pipeline.pipeline import Pipeline

_SIDES = {"buy": "rgb(58,166,118)", "sell": "rgb(217,83,79)"}


class TapeView(HtmlView):
    """The newest trades, newest first; of one symbol or (None) of all."""

    title = "Trades"

    def __init__(self, symbol: str | None = None, rows: int = 10) -> None:
        super().__init__()
        self.symbol = symbol
        self.rows = rows

    def look(self, pipeline: Pipeline) -> list[tuple[Any, ...]]:
        """Return the last rows, newest first: received (ns), symbol, price, size, side."""
        frames = pipeline.frames
        seen = frames.symbols("trade")
        rows: list[tuple[Any, ...]] = []
        for symbol in seen if self.symbol is None else {self.symbol} & set(seen):
            trades = frames.table("trade", symbol).arrays(self.rows)
            received, *rest = _lines(trades, "received", "price", "size", "side")
            rows += zip(received, [symbol] * len(received), *rest, strict=True)
        rows.sort(key=_received)
        return rows[: -self.rows - 1 : -1]

    def draw(self, data: Any) -> None:
        """Show the tape."""
        rows = [
            (
                clock(received),
                escape(str(symbol)),
                f'<span style="color:{_SIDES.get(side, "inherit")}">{price:,.6g}</span>',
                f"{size:,.6g}",
                escape(str(side)),
            )
            for received, symbol, price, size, side in data
        ]
        self.show(table_html(self.title, ("time (UTC)", "symbol", "price", "size", "side"), rows))


class SignalsView(HtmlView):
    """What the strategies said last, newest first, and how much they have said."""

    title = "Signals"

    def __init__(self, rows: int = 10) -> None:
        super().__init__()
        self.rows = rows

    def look(self, pipeline: Pipeline) -> tuple[list[tuple[Any, ...]], int]:
        """Return the last rows, newest first, and the number of all signals."""
        signals = pipeline.signals.arrays(self.rows)
        rows = list(zip(*_lines(signals, "received", "symbol", "strategy", "value"), strict=True))
        return rows[::-1], pipeline.lanes.outcome.signals

    def draw(self, data: Any) -> None:
        """Show the table."""
        newest, total = data
        rows = [
            (clock(received), escape(str(symbol)), escape(str(strategy)), f"{value:+.4g}")
            for received, symbol, strategy, value in newest
        ]
        heading = f"{self.title} ({total:,})"
        self.show(table_html(heading, ("time (UTC)", "symbol", "strategy", "value"), rows))


class FrameView(HtmlView):
    """The last rows of a channel's frame, as a table that follows it."""

    def __init__(
        self, channel: str, symbol: str | None = None, rows: int = 10, columns: int = 9
    ) -> None:
        super().__init__()
        self.channel = channel
        self.symbol = symbol
        self.rows = rows
        self.columns = columns
        self.title = f"{channel} {symbol or ''}".strip()
        asked = ", ".join(repr(part) for part in (channel, symbol) if part is not None)
        self.in_terminal = f"print(session.frame({asked}, last={rows}))"

    def look(self, pipeline: Pipeline) -> pd.DataFrame:
        """Return the last rows."""
        return pipeline.frames.frame(self.channel, self.symbol, self.rows)

    def draw(self, data: Any) -> None:
        """Show the table; wide frames show their first columns and how many more there are."""
        shown = [name for name in data.columns if name != "exchange_time"][: self.columns]
        rows = [
            (f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}", *(_cell(value) for value in values))
            for at, values in zip(
                data.index, data[shown].itertuples(index=False, name=None), strict=True
            )
        ]
        more = len(data.columns) - len(shown) - ("exchange_time" in data.columns)
        heading = f"{self.title}" + (f" (and {more} more columns)" if more else "")
        self.show(table_html(heading, (f"{data.index.name} (UTC)", *shown), rows))


_received = itemgetter(0)


def _lines(columns: Mapping[str, npt.NDArray[Any]], *names: str) -> list[list[Any]]:
    return [columns[name].tolist() for name in names]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return escape(str(value))
