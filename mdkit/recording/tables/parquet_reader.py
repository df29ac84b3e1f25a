"""`read_parquet`: what `to_parquet` wrote, as events and tables again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mdkit.errors import RecordingError
from mdkit.events import Bar, Depth, Event, Gap, Ticker, Trade
from mdkit.recording.tables.event_tables import EventTables
from mdkit.recording.tables.parquet import KINDS

_BATCH = 1 << 14


class ParquetRecording(EventTables):
    """The events of a folder of Parquet files, in order of receipt; see `read_parquet`.

    Attributes:
        paths: the files, by channel.
        symbols: those in the files.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder).expanduser()
        self.paths = {kind: folder / f"{kind}.parquet" for kind in KINDS}
        self.paths = {kind: path for kind, path in self.paths.items() if path.is_file()}
        if not self.paths:
            raise RecordingError(
                f"{folder} holds none of {', '.join(f'{kind}.parquet' for kind in KINDS)}, "
                "which md.to_parquet writes."
            )
        self._folder = folder
        names: dict[str, None] = {}
        for kind in self.paths:
            if kind != "gap":
                for batch in self._batches(kind, ["symbol"]):
                    names |= dict.fromkeys(batch["symbol"])
        self.symbols = tuple(names)

    def __repr__(self) -> str:
        return f"<ParquetRecording {self._folder}: {', '.join(self.paths)}>"

    def __iter__(self) -> Iterator[Any]:
        """Yield the events by time of receipt; a gap before what follows it."""
        streams = [self._events(kind) for kind in self.paths]
        for *_, event in heapq.merge(*streams, key=lambda entry: entry[:2]):
            yield event

    def _batches(self, kind: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.paths[kind]) as file:
                for batch in file.iter_batches(_BATCH, columns=columns):
                    yield _plain(batch)
        except (OSError, pa.ArrowException) as error:
            raise RecordingError(f"{self.paths[kind]} cannot be read: {error}.") from None

    def _events(self, kind: str) -> Iterator[tuple[int, int, Any]]:
        """Yield (time, rank, event); of one time gaps come first, and bars last."""
        rank = {"gap": 0, "bar": 2}.get(kind, 1)
        last = 0
        for batch in self._batches(kind):
            try:
                made = _MAKERS[kind](batch)
                for event in made:
                    # Where a clock was set back the order of the file stands.
                    last = max(last, _time(event))
                    yield last, rank, event
            except KeyError as error:
                raise RecordingError(
                    f"{self.paths[kind]} lacks the column {error}, which md.to_parquet writes."
                ) from None


def read_parquet(folder: str | Path) -> ParquetRecording:
    """Return the events that `md.to_parquet` wrote into a folder: an iterable, and tables.

    Events of one channel come as they were; across channels those of one nanosecond may stand in
    another order than they came in, which the files do not keep. Raises `RecordingError` where
    there is no such folder, or a file is of something else.

    Example:
        >>> files = md.to_parquet(md.sample(), "parquet")
        >>> recording = md.read_parquet("parquet")
        >>> len(recording.frame("depth", "AAPL.US"))
        755
        >>> sum(event.kind == "depth" for event in recording)  # Depth, Trade, Ticker, Bar, Gap
        1449
    """
    return ParquetRecording(folder)


def _time(event: Event) -> int:
    if isinstance(event, Gap):
        return event.to_ns
    return event.start_ns if isinstance(event, Bar) else event.received_ns  # type: ignore[attr-defined]


def _plain(batch: Any) -> dict[str, list[Any]]:
    """Return a batch's columns as lists, times as nanoseconds and 0 for none."""
    import pyarrow as pa

    found = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64()).fill_null(0)
        found[name] = column.to_pylist()
    return found


def _depth(batch: dict[str, list[Any]]) -> Iterator[Depth]:
    levels = sum(name.startswith("bid_price_") for name in batch)
    sides = []
    for side in ("bid", "ask"):
        columns = [
            zip(batch[f"{side}_price_{n}"], batch[f"{side}_size_{n}"], strict=True)
            for n in range(1, levels + 1)
        ]
        rows = zip(*columns, strict=True) if columns else ()
        sides.append([tuple(level for level in book if level[0] is not None) for book in rows])
    rows = zip(batch["symbol"], *sides, batch["exchange_time"], batch["received"], strict=True)
    for row in rows:
        yield Depth(*row)


def _trade(batch: dict[str, list[Any]]) -> Iterator[Trade]:
    names = ("symbol", "price", "size", "side", "id", "exchange_time", "received")
    for row in zip(*(batch[name] for name in names), strict=True):
        yield Trade(*row)


def _ticker(batch: dict[str, list[Any]]) -> Iterator[Ticker]:
    names = [*Ticker.__struct_fields__[:-2], "exchange_time", "received"]
    for row in zip(*(batch[name] for name in names), strict=True):
        yield Ticker(*row)


def _bar(batch: dict[str, list[Any]]) -> Iterator[Bar]:
    names = ("symbol", "open", "high", "low", "close", "volume", "start", "interval")
    for row in zip(*(batch[name] for name in names), strict=True):
        yield Bar(*row)


def _gap(batch: dict[str, list[Any]]) -> Iterator[Gap]:
    names = ("symbol", "channel", "reason", "from", "to", "lost")
    for row in zip(*(batch[name] for name in names), strict=True):
        yield Gap(*row)


_MAKERS: dict[str, Callable[[dict[str, list[Any]]], Iterator[Event]]] = {
    "depth": _depth,
    "trade": _trade,
    "ticker": _ticker,
    "bar": _bar,
    "gap": _gap,
}
