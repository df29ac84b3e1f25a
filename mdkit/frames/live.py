"""Live tables: the newest rows of a stream, and a DataFrame of them whenever one asks.

Appending is what happens for every message, so it only puts a row on a list. Rows become NumPy
columns in bulk, some hundreds at a time, because converting them one by one costs several times
as much. pandas is touched by snapshots alone. Nothing here locks: a frame belongs to one thread.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mdkit.arrow import ArrowTable
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

Column = Literal["float", "time", "object"]
"""What a column holds: float64, nanoseconds since the epoch (0 for unknown), or anything."""

Floats = npt.NDArray[np.float64]
Row = TypeVar("Row")

CHUNK = 128
"""Rows converted at a time: enough to spread NumPy's overhead, few enough to stay in cache."""
_FIRST_ROWS = 64
"""For which a table makes room at first: there may be ten thousand of them."""

_NAT = np.iinfo(np.int64).min


class Block(NamedTuple):
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
    def empty(cls, columns: Mapping[str, Column], rows: int) -> Block:
        """Return room for rows."""
        kinds = list(columns.values())
        return cls(
            np.empty(rows, np.int64),
            np.empty((kinds.count("float"), rows)),
            np.empty((kinds.count("time"), rows), np.int64),
            np.empty((kinds.count("object"), rows), object),
            np.zeros(rows, np.uint8),
        )

    def copy(self) -> Block:
        """Return columns of its own."""
        return Block(
            self.received.copy(),
            self.floats.copy(),
            self.times.copy(),
            self.objects.copy(),
            self.flags.copy(),
        )

    def rows(self, start: int, stop: int) -> Block:
        """Return views of some rows."""
        span = slice(start, stop)
        return Block(
            self.received[span],
            self.floats[:, span],
            self.times[:, span],
            self.objects[:, span],
            self.flags[span],
        )


class LiveFrame(ArrowTable, Generic[Row]):
    """The last `capacity` rows of a stream, as columns.

    `columns` says what each column holds. A row of a plain LiveFrame is a tuple: the time of
    receipt in nanoseconds, then one value per column in order, None for a missing float. Frames
    of events (`DepthFrame` and its like) take the events themselves as rows.

    It gives itself to polars, DuckDB and the like as its snapshot, the index as first column.
    Memory grows with what arrives, up to two windows of columns: once those are full, the
    newer window moves to the front, which costs less per row than a ring does in snapshots.

    Example:
        >>> frame = md.LiveFrame({"price": "float"}, capacity=2)
        >>> for second in range(3):
        ...     frame.append((second * 1_000_000_000, 100.0 + second))
        >>> frame.snapshot()["price"].tolist()
        [101.0, 102.0]
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
        self._block = Block.empty(self.columns, 0)
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
        if len(self._pending) >= CHUNK:
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
        self._block = Block.empty(self.columns, 0)
        self._end = 0

    def snapshot(self, last: int | None = None) -> pd.DataFrame:
        """Return the rows held, or the `last` ones, as a DataFrame of its own.

        The index is the time of receipt: a DatetimeIndex in nanoseconds, UTC, named
        "received". Later appends do not change the result, nor does changing it the frame.
        """
        return to_dataframe(self.columns, self._rows(last), self.index_name)

    def _arrow_table(self) -> pd.DataFrame:
        return self.snapshot()

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

    def since(self, total: int) -> Block:
        """Return the rows that came after `total` of them had, as far as they are held.

        Views, good until the next append, for what takes in new rows many times a second.
        """
        self._rows(0)  # so that `total` counts rows and not messages
        return self._rows(min(max(self.total - total, 0), self.capacity))

    def _rows(self, last: int | None) -> Block:
        """Return views of the columns, good until the next append."""
        if last is not None and (not isinstance(last, (int, np.integer)) or last < 0):
            raise SettingsError(f"last is {last!r}; give a whole number of rows, or None for all")
        self._convert()
        held = min(self._end, self.capacity if last is None else min(last, self.capacity))
        return self._block.rows(self._end - held, self._end)

    def _convert(self) -> None:
        if not self._pending:
            return
        rows = self._take_pending()
        start = self._reserve(len(rows))
        into = self._block.rows(start, start + len(rows))
        into.flags[:] = 0
        self._write(rows, into)
        self._end = start + len(rows)

    def _take_pending(self) -> list[Row]:
        """Return the newest rows that are no columns yet, and keep none of them.

        Rows that cannot be converted must not fail every later snapshot too.
        """
        rows, self._pending = self._pending[-self.capacity :], []
        return rows

    def _adopt(self, rows: Block) -> None:
        """Append rows that are columns already."""
        count = rows.received.size
        if not self._end:
            self._block, self._end = rows.copy(), count
            return
        start = self._reserve(count)
        into = self._block.rows(start, start + count)
        pairs: Iterable[Any] = zip(rows, into, strict=True)
        for new, place in pairs:
            place[...] = new
        self._end = start + count

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
            target = Block.empty(self.columns, min(full, max(2 * size, kept + count, _FIRST_ROWS)))
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

    def _write(self, rows: Sequence[Row], into: Block) -> None:
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


def to_dataframe(
    columns: Mapping[str, Column],
    block: Block,
    index_name: str,
    before: Mapping[str, Any] | None = None,
    behind: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return columns as a DataFrame of its own, by time (UTC).

    `before` and `behind` are more columns, by name, that come first and last.
    """
    import pandas as pd

    from mdkit.frames.display import Table

    def utc(stamps: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(stamps.view("M8[ns]"), copy=False).tz_localize("UTC")

    index = utc(block.received.copy()).rename(index_name)
    # The one block of floats is copied as it lies and handed over; a dict of columns would be
    # gathered and copied once more, at several times the cost. Columns have numbers until all
    # are there: pandas searches text anew for each that is inserted.
    frame = Table(block.floats.copy().T, index, copy=False)
    times, objects = iter(block.times), iter(block.objects)
    before, behind = before or {}, behind or {}
    names = (*before, *columns, *behind)

    def insert(position: int, values: Any) -> None:
        frame.insert(position, len(names) + position, values)

    for position, values in enumerate(before.values()):
        insert(position, values)
    for position, kind in enumerate(columns.values(), len(before)):
        if kind == "time":
            stamps = next(times)
            insert(position, utc(np.where(stamps == 0, _NAT, stamps)))
        elif kind == "object":
            # As object on every pandas: version 3 would otherwise spend its time making `str`.
            insert(position, pd.Series(next(objects).copy(), index, dtype=object, copy=False))
    for position, values in enumerate(behind.values(), len(before) + len(columns)):
        insert(position, values)
    frame.columns = _named(names).view()
    return frame


@functools.lru_cache(maxsize=256)
def _named(names: tuple[str, ...]) -> pd.Index:
    """Return names of columns, with what finds them: made once, and before threads share it."""
    import pandas as pd

    index = pd.Index(names)
    index.get_loc(names[0])
    return index
