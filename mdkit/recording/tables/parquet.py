"""`to_parquet`: recordings for other tools, a Parquet file for each channel."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from mdkit.errors import SettingsError
from mdkit.events import Bar, Depth, Event, Gap, Ticker, Trade
from mdkit.frames import BarFrame, DepthFrame, TickerFrame
from mdkit.recording.reading.files import Paths
from mdkit.recording.reading.reader import read_recording

_BATCH = 1 << 15


def to_parquet(
    recording: Iterable[Event] | Paths, folder: str | Path, *, levels: int = 10
) -> dict[str, Path]:
    """Write a recording's events into a folder: `depth.parquet`, `trade.parquet`, ...

    Args:
        recording: a recording by its path, a pattern or a list of those; what `read_recording`
            returns; or any iterable of events.
        folder: made if need be. Files of the same names are replaced, each as a whole, once
            everything has been read; if anything fails they stay as they were.
        levels: of the order books, a side; deeper ones are left out, missing ones are null.

    Returns the files by channel; gaps make a `gap.parquet`. A row is an event, in order. Times
    are UTC in nanoseconds: `received` and `exchange_time`, null where unknown. Books have
    `bid_price_1, bid_size_1, ..., ask_price_1, ask_size_1, ...`, the best level first. Memory
    stays that of a few ten thousand events. Raises `SettingsError` for an impossible `levels`, and
    `RecordingError` when there is no such recording.

    Example:
        >>> sorted(md.to_parquet(md.sample(), "parquet", levels=5))
        ['depth', 'trade']
    """
    if type(levels) is not int or levels < 1:
        raise SettingsError(f"levels is {levels!r}; give a whole number of at least 1")
    found = events_of(recording)
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, _Table] = {}
    waiting: dict[str, list[Any]] = {}
    try:
        for event in found:
            events = waiting.setdefault(event.kind, [])
            events.append(event)
            if len(events) >= _BATCH:
                _table(tables, event.kind, folder, levels).write(events)
                events.clear()
        for kind, events in waiting.items():
            if events:
                _table(tables, kind, folder, levels).write(events)
        for table in tables.values():
            table.close()
        return {kind: table.publish() for kind, table in tables.items()}
    finally:
        for table in tables.values():
            table.discard()


def events_of(recording: Iterable[Event] | Paths) -> Iterable[Any]:
    """Return the events, read from the files if it is those that were named."""
    first = recording
    if isinstance(recording, list | tuple) and recording:
        first = recording[0]
    if isinstance(first, str | os.PathLike):
        return read_recording(cast(Paths, recording))
    return cast(Iterable[Any], recording)


def _table(tables: dict[str, _Table], kind: str, folder: Path, levels: int) -> _Table:
    if kind not in tables:
        tables[kind] = _Table(kind, folder, levels)
    return tables[kind]


class _Table:
    """One file in the making, under a name of its own until it is whole."""

    def __init__(self, kind: str, folder: Path, levels: int) -> None:
        self.path = folder / f"{kind}.parquet"
        self._draft = folder / f".{kind}.{secrets.token_hex(4)}.parquet"
        self._kind = kind
        self._levels = levels
        self._writer: Any = None

    def write(self, events: Sequence[Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = _COLUMNS[self._kind](events, self._levels)
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._draft, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()

    def publish(self) -> Path:
        os.replace(self._draft, self.path)
        return self.path

    def discard(self) -> None:
        """Remove what was not published."""
        if self._writer is not None:
            self._writer.close()
        with contextlib.suppress(FileNotFoundError):
            self._draft.unlink()


def _times(stamps: Sequence[int]) -> Any:
    """Return stamps as an Arrow column, null for 0."""
    import pyarrow as pa

    values = np.array(stamps, np.int64)
    return pa.array(values, pa.int64(), mask=values == 0).cast(pa.timestamp("ns", tz="UTC"))


def _texts(texts: Sequence[str | None]) -> Any:
    import pyarrow as pa

    return pa.array(texts, pa.string())


def _floats(events: Sequence[Any], names: Iterable[str]) -> dict[str, Any]:
    import pyarrow as pa

    return {
        name: pa.array([getattr(event, name) for event in events], pa.float64()) for name in names
    }


def _heads(events: Sequence[Any]) -> dict[str, Any]:
    return {
        "received": _times([event.received_ns for event in events]),
        "exchange_time": _times([event.exchange_ns for event in events]),
        "symbol": _texts([event.symbol for event in events]),
    }


def _depth(events: Sequence[Depth], levels: int) -> dict[str, Any]:
    import pyarrow as pa

    columns = _heads(events)
    frame = DepthFrame(levels, len(events))
    frame.extend(events)
    table = frame.arrays()
    for side in ("bid", "ask"):
        for level in range(1, levels + 1):
            at = f"_{level}" if level > 1 else ""
            for what, name in (("price", f"{side}{at}"), ("size", f"{side}_size{at}")):
                values = table[name]
                columns[f"{side}_{what}_{level}"] = pa.array(values, mask=np.isnan(values))
    return columns


def _trade(events: Sequence[Trade], levels: int) -> dict[str, Any]:
    return {
        **_heads(events),
        **_floats(events, ("price", "size")),
        "side": _texts([trade.side for trade in events]),
        "id": _texts([trade.id for trade in events]),
    }


def _ticker(events: Sequence[Ticker], levels: int) -> dict[str, Any]:
    return {
        **_heads(events),
        **_floats(events, TickerFrame.figures),
        "trade_session": _texts([ticker.trade_session for ticker in events]),
    }


def _bar(events: Sequence[Bar], levels: int) -> dict[str, Any]:
    return {
        "start": _times([bar.start_ns for bar in events]),
        "symbol": _texts([bar.symbol for bar in events]),
        **_floats(events, BarFrame.figures),
        "interval": _texts([bar.interval for bar in events]),
    }


def _gap(events: Sequence[Gap], levels: int) -> dict[str, Any]:
    import pyarrow as pa

    return {
        "from": _times([gap.from_ns for gap in events]),
        "to": _times([gap.to_ns for gap in events]),
        "symbol": _texts([gap.symbol for gap in events]),
        "channel": _texts([gap.channel for gap in events]),
        "reason": _texts([gap.reason for gap in events]),
        "lost": pa.array([gap.lost for gap in events], pa.int64()),
    }


_COLUMNS: dict[str, Callable[[Sequence[Any], int], dict[str, Any]]] = {
    "depth": _depth,
    "trade": _trade,
    "ticker": _ticker,
    "bar": _bar,
    "gap": _gap,
}

KINDS = tuple(_COLUMNS)
"""What there may be a file of."""
