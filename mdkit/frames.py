"""Live tables: the newest rows of a stream, and a DataFrame of them whenever one asks.

Appending is what happens for every message, so it only puts a row on a list. Rows become NumPy
columns in bulk, some hundreds at a time, because converting them one by one costs several times
as much. pandas is touched by snapshots alone. Nothing here locks: a frame belongs to one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError
from mdkit.events import Bar, Depth, Event, Level, Ticker, Trade

if TYPE_CHECKING:
    import pandas as pd

Column = Literal["float", "time", "object"]
"""What a column holds: float64, nanoseconds since the epoch (0 for unknown), or anything."""

Floats = npt.NDArray[np.float64]
Row = TypeVar("Row")

PRESSURE_LEVELS = 5
"""How many levels the `pressure` column of a `DepthFrame` sums."""

_CHUNK = 64
"""Rows converted at a time: enough to spread NumPy's overhead, few enough to stay in cache."""

_WATCHED_SECONDS = 2.0

_MESSAGE_BYTES = 64 + 33 + 32
"""What a message takes beside its own bytes: the tuple, the bytes object's head, the time."""

_ROWS_IN_ALL = 500_000
_FEWEST_ROWS = 100

_AFTER_GAP, _FROM_REST, _PARTIAL = 1, 2, 4
_GAP = object()

_NAT = np.iinfo(np.int64).min


class _Block(NamedTuple):
    """Columns of rows: one line per column, so that each column is contiguous."""

    received: npt.NDArray[np.int64]
    """Shape (rows,): when each row was received, ns since the epoch."""
    floats: Floats
    """Shape (float columns, rows)."""
    times: npt.NDArray[np.int64]
    """Shape (time columns, rows)."""
    objects: npt.NDArray[np.object_]
    """Shape (object columns, rows)."""
    flags: npt.NDArray[np.uint8]
    """Shape (rows,): what is to know about a row, as bits."""

    @classmethod
    def empty(cls, columns: Mapping[str, Column], rows: int) -> _Block:
        kinds = list(columns.values())
        return cls(
            np.empty(rows, np.int64),
            np.empty((kinds.count("float"), rows)),
            np.empty((kinds.count("time"), rows), np.int64),
            np.empty((kinds.count("object"), rows), object),
            np.zeros(rows, np.uint8),
        )

    def copy(self) -> _Block:
        return _Block(
            self.received.copy(),
            self.floats.copy(),
            self.times.copy(),
            self.objects.copy(),
            self.flags.copy(),
        )

    def rows(self, start: int, stop: int) -> _Block:
        span = slice(start, stop)
        return _Block(
            self.received[span],
            self.floats[:, span],
            self.times[:, span],
            self.objects[:, span],
            self.flags[span],
        )


class LiveFrame(Generic[Row]):
    """The last `capacity` rows of a stream, as columns.

    `columns` says what each column holds. A row of a plain LiveFrame is a tuple: the time of
    receipt in nanoseconds, then one value per column in order, None for a missing float. Frames
    of events (`DepthFrame` and its like) take the events themselves as rows.

    Memory grows with what arrives, up to two windows of columns: once those are full, the
    newer window moves to the front, which costs less per row than a ring does in snapshots.
    """

    index_name = "received"

    def __init__(self, columns: Mapping[str, Column], capacity: int = 10_000) -> None:
        if type(capacity) is not int or capacity < 1:
            raise SettingsError(f"capacity is {capacity!r}; give a whole number of at least 1")
        self.columns = dict(columns)
        self.capacity = capacity
        self.total = 0
        """Rows ever appended, those no longer held included."""
        self._pending: list[Row] = []
        self._block = _Block.empty(self.columns, 0)
        self._end = 0

    def __len__(self) -> int:
        return min(self._end + len(self._pending), self.capacity)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {len(self):,} of {self.capacity:,} rows, "
            f"{self.total:,} ever, {self.nbytes / 1e6:.1f} MB>"
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the column buffers; what object columns and waiting rows refer to excluded."""
        return sum(part.nbytes for part in self._block)

    def append(self, row: Row) -> None:
        """Append one row. Raises `SettingsError` when it has too few or too many values."""
        self.extend((row,))

    def extend(self, rows: Sequence[Row]) -> None:
        """Append rows, oldest first. Raises `SettingsError` as `append` does, taking none."""
        self._check(rows)
        self.total += len(rows)
        self._pending.extend(rows)
        if len(self._pending) >= _CHUNK:
            self._convert()

    def shrink(self, capacity: int) -> None:
        """Keep fewer rows from now on, and free the memory of the others."""
        if capacity >= self.capacity:
            return
        self._convert()
        held = min(self._end, capacity)
        self._block = self._block.rows(self._end - held, self._end).copy()
        self._end = held
        self.capacity = capacity

    def clear(self) -> None:
        """Forget all rows and free their memory; `total` keeps counting."""
        self._pending.clear()
        self._block = _Block.empty(self.columns, 0)
        self._end = 0

    def snapshot(self, last: int | None = None) -> pd.DataFrame:
        """Return the rows held, or the `last` ones, as a DataFrame of its own.

        The index is the time of receipt: a DatetimeIndex in nanoseconds, UTC, named
        "received". Later appends do not change the result, nor does changing it the frame.
        """
        return _dataframe(self.columns, self._rows(last), self.index_name)

    def arrays(self, last: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """Return the rows held, or the `last` ones, as an array for each column, without pandas.

        First the time of receipt, by the index's name; times are ns since the epoch. For what
        is looked at many times a second: a DataFrame of ten rows takes a hundred times as long.
        """
        block = self._rows(last)
        parts: dict[Column, Iterator[Any]] = {
            "float": iter(block.floats),
            "time": iter(block.times),
            "object": iter(block.objects),
        }
        columns = {name: next(parts[kind]).copy() for name, kind in self.columns.items()}
        return {self.index_name: block.received.copy(), **columns}

    def _rows(self, last: int | None) -> _Block:
        """Return views of the columns, good until the next append."""
        if last is not None and (not isinstance(last, (int, np.integer)) or last < 0):
            raise SettingsError(f"last is {last!r}; give a whole number of rows, or None for all")
        self._convert()
        held = min(self._end, self.capacity if last is None else min(last, self.capacity))
        return self._block.rows(self._end - held, self._end)

    def _convert(self) -> None:
        if not self._pending:
            return
        # Taken off first: rows that cannot be converted must not fail every later snapshot too.
        rows, self._pending = self._pending[-self.capacity :], []
        start = self._reserve(len(rows))
        into = self._block.rows(start, start + len(rows))
        into.flags[:] = 0
        self._write(rows, into)
        self._end = start + len(rows)

    def _reserve(self, count: int) -> int:
        """Make room for `count` rows, at most `capacity`; return where they begin."""
        size = self._block.received.size
        if self._end + count <= size:
            return self._end
        full = 2 * self.capacity
        if size == full:
            kept, target = self.capacity - count, self._block
        else:
            kept = min(self._end, full - count)
            target = _Block.empty(self.columns, min(full, max(2 * size, kept + count, _CHUNK)))
        source = self._block.rows(self._end - kept, self._end)
        pairs: Iterable[Any] = zip(source, target, strict=True)
        for old, new in pairs:
            new[..., :kept] = old
        self._block = target
        return kept

    def _check(self, rows: Sequence[Row]) -> None:
        width = 1 + len(self.columns)
        for row in rows:
            if len(row) != width:  # type: ignore[arg-type]
                raise SettingsError(
                    f"a row has {len(row)} values; "  # type: ignore[arg-type]
                    f"expected {width}: {self.index_name}, {', '.join(self.columns)}"
                )

    def _write(self, rows: Sequence[Row], into: _Block) -> None:
        """Fill the columns `into` with `rows`, which are as many as it is long."""
        received, *values = zip(*rows, strict=True)
        into.received[:] = received
        parts = {"float": iter(into.floats), "time": iter(into.times), "object": iter(into.objects)}
        for kind, column in zip(self.columns.values(), values, strict=True):
            next(parts[kind])[:] = np.array(column, float) if kind == "float" else column


class SignalFrame(LiveFrame[tuple[int, str, str, float, int]]):
    """What strategies said. A row is `(received_ns, symbol, strategy, value, exchange_ns)`."""

    def __init__(self, capacity: int = 10_000) -> None:
        super().__init__(
            {"symbol": "object", "strategy": "object", "value": "float", "exchange_time": "time"},
            capacity,
        )


class MetricsFrame(LiveFrame[tuple[float | None, ...]]):
    """Figures over time: one float column per name."""

    def __init__(self, names: Iterable[str], capacity: int = 10_000) -> None:
        super().__init__(dict.fromkeys(names, "float"), capacity)

    def record(self, received_ns: int, figures: Mapping[str, float | None]) -> None:
        """Append one row by name; a figure that is None or left out becomes nan."""
        unknown = figures.keys() - self.columns.keys()
        if unknown:
            raise SettingsError(
                f"no column {', '.join(sorted(unknown))}; there are {', '.join(self.columns)}"
            )
        self.append((received_ns, *[figures.get(name) for name in self.columns]))


_Event = TypeVar("_Event", bound=Event)


class EventFrame(LiveFrame[_Event]):
    """A live table of one symbol's events; a row is an event.

    Turning events into columns costs as much as everything else on a message's way, and most
    tables are looked at rarely. So a table that nobody watches may be given undecoded messages
    (`keep`), of which it decodes the newest `capacity` when it is next looked at. A look makes
    it `watched` for two seconds, in which it should be given events (`extend`) as they come.

    The last columns of a snapshot say what is to know about a row: `gap` is True for the first
    row after something was missed (`break_off`), `source` is "live", or "rest" for a row that
    the REST service filled in.
    """

    read: Callable[[Any], Sequence[_Event]]
    """Decodes what `keep` is given; set by whoever calls that."""

    def __init__(self, columns: Mapping[str, Column], capacity: int = 10_000) -> None:
        super().__init__(columns, capacity)
        self._latest: _Event | None = None
        self._unread: list[Any] = []
        self._watched_until = 0.0
        # By row number, counted from the first row ever; few, and gone once converted.
        self._flags: dict[int, int] = {}
        self._taken = 0

    def __len__(self) -> int:
        self._read_kept()
        return super().__len__()

    @property
    def watched(self) -> bool:
        """Whether somebody has looked in the last two seconds."""
        return self._watched_until > time.monotonic()

    @property
    def latest(self) -> _Event | None:
        """The newest event, or None when none came."""
        for message in reversed(self._unread):
            if message is not _GAP:
                return self.read(message)[-1]
        return self._latest

    def keep(self, messages: Sequence[Any]) -> None:
        """Append messages that `read` can decode, oldest first; each counts as one row.

        Messages of several events are counted right in `total` once they have been read.
        """
        self.total += len(messages)
        unread = self._unread
        unread.extend(messages)
        if len(unread) > 2 * self.capacity:
            del unread[: -self.capacity]

    def break_off(self) -> None:
        """Say that something was missed: the next row follows a gap."""
        if not self._unread:
            self._flags[self._taken] = self._flags.get(self._taken, 0) | _AFTER_GAP
        elif self._unread[-1] is not _GAP:
            self._unread.append(_GAP)

    def fill_in(self, rows: Sequence[_Event]) -> None:
        """Append events that the REST service gave."""
        self._read_kept()
        for number in range(self._taken, self._taken + len(rows)):
            self._flags[number] = self._flags.get(number, 0) | _FROM_REST
        self.extend(rows)

    def extend(self, rows: Sequence[_Event]) -> None:
        """Append events, oldest first."""
        if self._unread:
            self._read_kept()
        if rows:
            self._latest = rows[-1]
            self.total += len(rows)
            self._taken += len(rows)
            pending = self._pending
            pending.extend(rows)
            if len(pending) >= _CHUNK:
                self._convert()

    def shrink(self, capacity: int) -> None:
        """Keep fewer rows from now on, and free the memory of the others."""
        del self._unread[:-capacity]
        super().shrink(capacity)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the messages that nobody has looked at yet, their objects included."""
        return sum(
            _MESSAGE_BYTES + len(message[1]) for message in self._unread if message is not _GAP
        )

    def clear(self) -> None:
        """Forget all events; `total` keeps counting."""
        super().clear()
        self._unread.clear()
        self._flags.clear()
        self._latest = None

    def snapshot(self, last: int | None = None) -> pd.DataFrame:
        """Return the events held, or the `last` ones, as a DataFrame of its own."""
        block = self._rows(last)
        return _flagged(_dataframe(self.columns, block, self.index_name), block.flags)

    def _convert(self) -> None:
        super()._convert()
        if self._flags:
            first = self._taken - self._end
            for number, flag in self._flags.items():
                if first <= number < self._taken:
                    self._block.flags[number - first] |= flag
            self._flags = {n: flag for n, flag in self._flags.items() if n >= self._taken}

    def _rows(self, last: int | None) -> _Block:
        self._read_kept()
        self._watched_until = time.monotonic() + _WATCHED_SECONDS
        return super()._rows(last)

    def _read_kept(self) -> None:
        """Decode what was kept, in chunks: a chunk's events stay in the processor's cache."""
        unread, self._unread = self._unread[-self.capacity :], []
        events: list[_Event] = []
        for message in unread:
            if message is _GAP:
                self.extend(events)
                events = []
                self._flags[self._taken] = self._flags.get(self._taken, 0) | _AFTER_GAP
                continue
            self.total -= 1
            events += self.read(message)
            if len(events) >= _CHUNK:
                self.extend(events)
                events = []
        self.extend(events)


class DepthFrame(EventFrame[Depth]):
    """Order books: `levels` levels a side, and what they say.

    Columns: exchange_time, bid, bid_size, ask, ask_size (the best), mid, spread, pressure (over
    5 levels, whatever `levels` is), then bid_1, bid_size_1, ... and ask_1, ask_size_1, ... by
    distance from the best; nan where a book has fewer levels. mid, spread and pressure have the
    same bits as `measures.mid`, `measures.spread` and `measures.pressure_ratio`.
    """

    def __init__(self, levels: int = 10, capacity: int = 10_000) -> None:
        if type(levels) is not int or levels < 1:
            raise SettingsError(f"levels is {levels!r}; give a whole number of at least 1")
        names = ["bid", "bid_size", "ask", "ask_size", "mid", "spread", "pressure"]
        for side in ("bid", "ask"):
            for level in range(1, levels + 1):
                names += [f"{side}_{level}", f"{side}_size_{level}"]
        super().__init__({"exchange_time": "time", **dict.fromkeys(names, "float")}, capacity)
        self.levels = levels

    def _write(self, rows: Sequence[Depth], into: _Block) -> None:
        count = len(rows)
        into.received[:] = np.fromiter([book.received_ns for book in rows], np.int64, count)
        into.times[0] = np.fromiter([book.exchange_ns for book in rows], np.int64, count)
        bids, bid_total = self._side([book.bids for book in rows])
        asks, ask_total = self._side([book.asks for book in rows])
        out, wide = into.floats, 2 * self.levels
        out[7 : 7 + wide] = bids[:wide]
        out[7 + wide :] = asks[:wide]
        out[0:2] = bids[:2]
        out[2:4] = asks[:2]
        with np.errstate(all="ignore"):
            np.add(bids[0], asks[0], out=out[4])
            out[4] /= 2
            np.subtract(asks[0], bids[0], out=out[5])
            np.divide(bid_total, ask_total, out=out[6])

    def _side(self, sides: list[tuple[Level, ...]]) -> tuple[Floats, Floats]:
        """Return prices and sizes, shape (2 x levels or more, books), and the sizes' sums."""
        books = len(sides)
        counts = np.fromiter(map(len, sides), np.int64, books)
        # Flattening in C and reading one long run of floats takes a third of the time that
        # np.array needs to find out the shape of nested tuples.
        flat = np.fromiter(
            chain.from_iterable(chain.from_iterable(sides)), np.float64, 2 * int(counts.sum())
        )
        longest = int(counts.max())
        deep = max(self.levels, PRESSURE_LEVELS)
        if longest >= deep and longest == counts.min():
            table = flat.reshape(books, 2 * longest).T
            summed = table[1 : 2 * PRESSURE_LEVELS : 2]
        else:
            table = np.full((2 * max(deep, longest), books), np.nan)
            book = np.repeat(np.arange(books), counts)
            level = np.arange(book.size) - np.repeat(np.cumsum(counts) - counts, counts)
            table[2 * level, book] = flat[0::2]
            table[2 * level + 1, book] = flat[1::2]
            summed = table[1 : 2 * PRESSURE_LEVELS : 2]
            summed = np.where(np.isnan(summed), 0.0, summed)
        # One level after the other, as the measure adds them: np.sum promises no order, and
        # another order rounds differently. A missing level adds 0, which changes no bit.
        total = np.zeros(books)
        with np.errstate(over="ignore"):
            for sizes in summed:
                total += sizes
        return table, total


class TradeFrame(EventFrame[Trade]):
    """Trades: price, size, side, id, exchange_time."""

    def __init__(self, capacity: int = 10_000) -> None:
        super().__init__(
            {
                "price": "float",
                "size": "float",
                "side": "object",
                "id": "object",
                "exchange_time": "time",
            },
            capacity,
        )

    def _write(self, rows: Sequence[Trade], into: _Block) -> None:
        into.received[:] = [trade.received_ns for trade in rows]
        into.times[0] = [trade.exchange_ns for trade in rows]
        into.floats[0] = [trade.price for trade in rows]
        into.floats[1] = [trade.size for trade in rows]
        into.objects[0] = [trade.side for trade in rows]
        into.objects[1] = [trade.id for trade in rows]


class TickerFrame(EventFrame[Ticker]):
    """Tickers: last, bid, ask and the 24-hour figures (nan where absent), trade_session."""

    figures = (
        "last",
        "bid",
        "ask",
        "volume_24h",
        "high_24h",
        "low_24h",
        "change_24h",
        "change_percent_24h",
    )

    def __init__(self, capacity: int = 10_000) -> None:
        floats: dict[str, Column] = dict.fromkeys(self.figures, "float")
        super().__init__({**floats, "trade_session": "object", "exchange_time": "time"}, capacity)

    def _write(self, rows: Sequence[Ticker], into: _Block) -> None:
        into.received[:] = [ticker.received_ns for ticker in rows]
        into.times[0] = [ticker.exchange_ns for ticker in rows]
        for line, name in zip(into.floats, self.figures, strict=True):
            line[:] = np.array([getattr(ticker, name) for ticker in rows], float)
        into.objects[0] = [ticker.trade_session for ticker in rows]


class BarFrame(EventFrame[Bar]):
    """Bars: open, high, low, close, volume, interval; the index is when each bar began.

    `partial` marks bars that may lack trades, see `Bar`.
    """

    index_name = "start"
    figures = ("open", "high", "low", "close", "volume")

    def __init__(self, capacity: int = 10_000) -> None:
        floats: dict[str, Column] = dict.fromkeys(self.figures, "float")
        super().__init__({**floats, "interval": "object"}, capacity)

    def _write(self, rows: Sequence[Bar], into: _Block) -> None:
        into.received[:] = [bar.start_ns for bar in rows]
        for line, name in zip(into.floats, self.figures, strict=True):
            line[:] = [getattr(bar, name) for bar in rows]
        into.objects[0] = [bar.interval for bar in rows]
        into.flags[:] = [_PARTIAL if bar.partial else 0 for bar in rows]

    def snapshot(self, last: int | None = None) -> pd.DataFrame:
        """Return the bars held, or the `last` ones, as a DataFrame of its own."""
        block = self._rows(last)
        frame = _dataframe(self.columns, block, self.index_name)
        return _flagged(frame, block.flags, partial=True)


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

    def frame(self, kind: str, symbol: str | None = None, last: int | None = None) -> pd.DataFrame:
        """Return the events held of one symbol, or their `last` rows, as a DataFrame.

        Without a symbol: those of all symbols, in the order received, with a first column
        `symbol`. Where nothing arrived, the DataFrame is empty but has its columns. Raises
        `SettingsError` when the kind is unknown.
        """
        self._check_kind(kind)
        if symbol is not None:
            return self._frames.get((kind, symbol), self._blank[kind]).snapshot(last)
        frames = {s: frame for (k, s), frame in self._frames.items() if k == kind}
        blank = self._blank[kind]
        blocks = [frame._rows(last) for frame in frames.values()] or [blank._rows(last)]
        names = np.array(list(frames) or [""], object)
        names = np.repeat(names, [block.received.size for block in blocks])
        index = np.concatenate([block.received for block in blocks])
        order = np.argsort(index, kind="stable")
        if last is not None:
            order = order[max(order.size - last, 0) :]
        merged = _Block(
            index[order],
            np.hstack([block.floats for block in blocks])[:, order],
            np.hstack([block.times for block in blocks])[:, order],
            np.vstack([names, np.hstack([block.objects for block in blocks])])[:, order],
            np.concatenate([block.flags for block in blocks])[order],
        )
        table = _dataframe({"symbol": "object", **blank.columns}, merged, blank.index_name)
        return _flagged(table, merged.flags, partial=kind == "bar")

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

    def book(self, symbol: str) -> Depth | None:
        """Return the newest order book of a symbol, or None when none arrived."""
        frame = self._frames.get(("depth", symbol))
        return None if frame is None else frame.latest

    def symbols(self, kind: str) -> tuple[str, ...]:
        """Return the symbols of which events of this kind arrived, first arrivals first."""
        self._check_kind(kind)
        return tuple(symbol for k, symbol in self._frames if k == kind)

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

    bids, asks = (depth.bids, depth.asks) if depth is not None else ((), ())
    count = max(len(bids), len(asks))
    ladder = np.full((6, count), np.nan)
    for side, (price, size, total) in ((bids, (2, 1, 0)), (asks, (3, 4, 5))):
        if side:
            ladder[price, : len(side)], ladder[size, : len(side)] = zip(*side, strict=True)
            ladder[total, : len(side)] = np.cumsum(ladder[size, : len(side)])
    names = ["bid_size_total", "bid_size", "bid", "ask", "ask_size", "ask_size_total"]
    return pd.DataFrame(ladder.T, pd.RangeIndex(1, count + 1, name="level"), names)


def _flagged(
    frame: pd.DataFrame, flags: npt.NDArray[np.uint8], *, partial: bool = False
) -> pd.DataFrame:
    """Add the columns that flags stand for."""
    import pandas as pd

    if partial:
        frame["partial"] = (flags & _PARTIAL) > 0
    frame["gap"] = (flags & _AFTER_GAP) > 0
    codes = ((flags & _FROM_REST) > 0).astype(np.int8)
    frame["source"] = pd.Categorical.from_codes(codes, pd.Index(["live", "rest"]))
    return frame


def _dataframe(columns: Mapping[str, Column], block: _Block, index_name: str) -> pd.DataFrame:
    import pandas as pd

    def utc(stamps: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(stamps.view("M8[ns]"), copy=False).tz_localize("UTC")

    floats = [name for name, kind in columns.items() if kind == "float"]
    index = utc(block.received.copy()).rename(index_name)
    # The one block of floats is copied as it lies and handed over; a dict of columns would be
    # gathered and copied once more, at several times the cost.
    frame = pd.DataFrame(block.floats.copy().T, index, floats, copy=False)
    times, objects = iter(block.times), iter(block.objects)
    for position, (name, kind) in enumerate(columns.items()):
        if kind == "time":
            stamps = next(times)
            frame.insert(position, name, utc(np.where(stamps == 0, _NAT, stamps)))
        elif kind == "object":
            # As object on every pandas: version 3 would otherwise spend its time making `str`.
            values = pd.Series(next(objects).copy(), index, dtype=object, copy=False)
            frame.insert(position, name, values)
    return frame
