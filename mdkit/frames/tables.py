"""The live tables of a session, by kind of event and symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mdkit.books.levels import books_of, narrowed, shown_columns
from mdkit.errors import SettingsError
from mdkit.events import Depth, Event
from mdkit.frames.events import (
    AllLevels,
    BarFrame,
    DepthFrame,
    EventFrame,
    TickerFrame,
    TradeFrame,
)
from mdkit.frames.flags import flag_columns, made_whole
from mdkit.frames.live import Block, to_dataframe
from mdkit.frames.sampling import at_each_end, checked_step
from mdkit.frames.together import convert_together, symbols_column

if TYPE_CHECKING:
    import pandas as pd

_ROWS_IN_ALL = 500_000
_FEWEST_ROWS = 100

KINDS = ("depth", "trade", "ticker", "bar")
"""The kinds of event that `Frames` keeps."""


class Frames:
    """The live tables of a session: one for each kind of event and symbol.

    Each keeps the last `capacity` events of its symbol; depth keeps `levels` levels a side.
    Without a `capacity` that is 10,000, or less where there are many tables: then all together
    keep about 500,000 rows, so that memory does not grow with the number of symbols.
    """

    def __init__(self, capacity: int | None = None, levels: int = 10) -> None:
        self.is_shared_out = capacity is None
        self.capacity = 10_000 if capacity is None else capacity
        self.levels = levels
        self._frames: dict[tuple[str, str], EventFrame[Any]] = {}
        # Also what an empty table looks like; made now so that bad arguments fail now.
        self._blank = {kind: self._new(kind) for kind in KINDS}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{kind} {len(self.symbols(kind))}" for kind in KINDS)
        return f"<Frames of {self.capacity:,} rows; symbols: {sizes}; {self.nbytes / 1e6:.1f} MB>"

    @property
    def nbytes(self) -> int:
        """Bytes of all column buffers."""
        return sum(frame.nbytes for frame in self._frames.values())

    @property
    def kept_bytes(self) -> int:
        """Bytes of the messages that tables keep undecoded."""
        return sum(frame.kept_bytes for frame in self._frames.values())

    def extend(self, kind: str, symbol: str, events: Sequence[Event]) -> None:
        """Append events of one kind and symbol, oldest first; called once per batch.

        Raises `SettingsError` when the kind is unknown.
        """
        self.table(kind, symbol).extend(events)

    def frame(
        self,
        kind: str,
        symbol: str | None = None,
        last: int | None = None,
        *,
        levels: int | None = None,
        every: Any = None,
    ) -> pd.DataFrame:
        """Return the events held of one symbol, or their `last` rows, as a DataFrame.

        Without a symbol: those of all symbols, in the order received, with a first column
        `symbol`, a category. Where nothing arrived, the DataFrame is empty but has its columns.
        `levels`: levels a side of order books, where more than the best one is wanted. `every`:
        a time such as "1s"; see `sampling.at_each_end`. Raises `SettingsError` when the kind is
        unknown, and for levels that are not kept.
        """
        self._check_kind(kind)
        if levels is not None and kind != "depth":
            raise SettingsError(f'levels={levels!r} is for "depth", not for {kind!r}')
        if every is not None:
            step = checked_step(kind, every)
            table = self.frame(kind, symbol, levels=levels)
            if kind == "depth":
                whole = at_each_end(books_of(table), step)
                table = narrowed(whole, shown_columns(whole.columns, levels or 1))
            else:
                table = at_each_end(table, step)
            return table if last is None else table.tail(last)
        if symbol is not None:
            held = self._frames.get((kind, symbol), self._blank[kind])
            more = (levels,) if isinstance(held, DepthFrame) else ()
            table = held.snapshot(last, *more)
            table.attrs["symbol"] = symbol
            return table
        frames = {s: frame for (k, s), frame in self._frames.items() if k == kind}
        blank = self._blank[kind]
        convert_together(frames.values(), blank)
        blocks = [frame._rows(last) for frame in frames.values()] or [blank._rows(last)]
        numbers = np.repeat(np.arange(len(blocks)), [block.received.size for block in blocks])
        index = np.concatenate([block.received for block in blocks])
        order = np.argsort(index, kind="stable")
        if last is not None:
            order = order[max(order.size - last, 0) :]
        merged = Block(
            index[order],
            np.hstack([block.floats for block in blocks])[:, order],
            np.hstack([block.times for block in blocks])[:, order],
            np.hstack([block.objects for block in blocks])[:, order],
            np.concatenate([block.flags for block in blocks])[order],
        )
        symbols = symbols_column(list(frames), numbers[order])
        if isinstance(blank, DepthFrame):
            books = AllLevels(blank.columns, merged, blank.index_name, symbols)
            if levels is None and blank.levels > 1:
                return books.best()
            return narrowed(books(), blank.shown(levels))
        times = merged.times[0] if "exchange_time" in blank.columns else None
        table = to_dataframe(
            blank.columns,
            merged,
            blank.index_name,
            {"symbol": symbols},
            flag_columns(merged.flags, times, symbols.codes, partial=kind == "bar"),
        )
        return made_whole(table, merged.flags) if kind == "bar" else table

    def table(self, kind: str, symbol: str) -> EventFrame[Any]:
        """Return the table of one kind and symbol, made when first asked for.

        Raises `SettingsError` when the kind is unknown.
        """
        self._check_kind(kind)
        table = self._frames.get((kind, symbol))
        if table is None:
            table = self._frames[kind, symbol] = self._new(kind)
            if self.is_shared_out:
                self._share_out()
        return table

    def bars(self, symbol: str) -> BarFrame:
        """Return the table of a symbol's bars, made when first asked for."""
        table = self.table("bar", symbol)
        assert isinstance(table, BarFrame)
        return table

    def clear(self) -> None:
        """Forget all rows; the tables stay."""
        for table in self._frames.values():
            table.clear()

    def book(self, symbol: str) -> Depth | None:
        """Return the newest order book of a symbol, or None when none arrived."""
        frame = self._frames.get(("depth", symbol))
        return None if frame is None else frame.latest

    def symbols(self, kind: str) -> tuple[str, ...]:
        """Return the symbols of which events of this kind arrived, first arrivals first.

        May be called from any thread.
        """
        self._check_kind(kind)
        return tuple(symbol for k, symbol in tuple(self._frames) if k == kind)

    def _share_out(self) -> None:
        """Halve every table's rows whenever together they could be too many."""
        while len(self._frames) * self.capacity > _ROWS_IN_ALL and self.capacity > _FEWEST_ROWS:
            self.capacity = max(self.capacity // 2, _FEWEST_ROWS)
            for table in self._frames.values():
                table.shrink(self.capacity)

    def _new(self, kind: str) -> EventFrame[Any]:
        if kind == "depth":
            return DepthFrame(self.levels, self.capacity)
        makers: dict[str, type[TradeFrame | TickerFrame | BarFrame]] = {
            "trade": TradeFrame,
            "ticker": TickerFrame,
            "bar": BarFrame,
        }
        return makers[kind](self.capacity)

    def _check_kind(self, kind: str) -> None:
        if kind not in KINDS:
            raise SettingsError(f"no frame of {kind!r}; the kinds are {', '.join(KINDS)}")


def book_frame(depth: Depth | None) -> pd.DataFrame:
    """Return one order book as a ladder, the best level first.

    The index `level` runs from 1; the columns are bid_size_total (the sum up to that level),
    bid_size, bid, ask, ask_size, ask_size_total. nan fills up the shorter side; no book gives
    no rows.
    """
    import pandas as pd

    from mdkit.frames.display import Table

    bids, asks = (depth.bids, depth.asks) if depth is not None else ((), ())
    count = max(len(bids), len(asks))
    ladder = np.full((6, count), np.nan)
    for side, (price, size, total) in ((bids, (2, 1, 0)), (asks, (3, 4, 5))):
        if side:
            ladder[price, : len(side)], ladder[size, : len(side)] = zip(*side, strict=True)
            ladder[total, : len(side)] = np.cumsum(ladder[size, : len(side)])
    names = ["bid_size_total", "bid_size", "bid", "ask", "ask_size", "ask_size_total"]
    return Table(ladder.T, pd.RangeIndex(1, count + 1, name="level"), names)
