"""`read_archive`: files of others as events, told by their names and first lines."""

from __future__ import annotations

import csv
import gzip
import heapq
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mdkit.errors import RecordingError
from mdkit.recording.archives import binance, databento, tardis
from mdkit.recording.archives.quality import usable
from mdkit.recording.tables.event_tables import EventTables

_BINANCE: dict[str, Callable[[str, Iterator[Any]], Iterator[Any]]] = {
    "aggTrades": binance.aggregated,
    "trades": binance.trades,
    "bookTicker": binance.tickers,
}
_NAME = re.compile(r"([A-Za-z0-9_]+)-(aggTrades|trades|bookTicker)-\d{4}-\d{2}(-\d{2})?\.")
_LONGEST = 1 << 16
"""Characters of a line; 25 levels a side take some two thousand."""
_FORMS = (
    "Tardis' trades, book_snapshot_N and incremental_book_L2 (.csv, .csv.gz), Binance's "
    "SYMBOL-trades-, SYMBOL-aggTrades- and SYMBOL-bookTicker-DATE files (.csv, .zip), and "
    "Databento's trades, mbp-1, mbp-10 and ohlcv (.dbn, .dbn.zst)"
)


class Archive(EventTables):
    """The events of archives, merged by time of receipt; see `read_archive`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._readers = [_reader_of(path) for path in self.paths]
        self.symbols = tuple(
            dict.fromkeys(event.symbol for reader in self._readers for event in reader())
        )

    def __iter__(self) -> Iterator[Any]:
        streams = [_timed(reader()) for reader in self._readers]
        for *_, event in heapq.merge(*streams, key=lambda entry: entry[:2]):
            yield event

    def __repr__(self) -> str:
        return f"<Archive of {', '.join(path.name for path in self.paths)}>"


def read_archive(path: str | Path | Sequence[str | Path]) -> Archive:
    """Return the events of files of Tardis, Binance or Databento, with gaps where some are missing.

    Args:
        path: a file, or several, which are merged by time of receipt. Tardis' trades,
            book_snapshot_N and incremental_book_L2, known by their first line; Binance's trades,
            aggTrades and bookTicker, known by their names; Databento's trades, mbp-1, mbp-10 and
            ohlcv in .dbn and .dbn.zst, read by its package `databento-dbn`.

    Binance's have no time of receipt: the exchange's stands in its place. Numbers of trades that
    are missing, new snapshots among increments, and trades and books that cannot be true (prices
    that are none, sides that cross) are gaps. Raises `RecordingError` where there
    is no such file, it is none of these, or a line in it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> file = Path("BTCUSDT-aggTrades-2024-08-08.csv")  # as Binance publishes them
        >>> written = file.write_text("7,57000.1,0.5,1,1,1723075200000,true,true")
        >>> md.read_archive(file).frame("trade", "BTCUSDT")[["price", "side"]].values.tolist()
        [[57000.1, 'sell']]
    """
    given = [path] if isinstance(path, str | Path) else list(path)
    if not given:
        raise RecordingError("There is no archive to read.")
    return Archive([Path(one).expanduser() for one in given])


def _reader_of(path: Path) -> Callable[[], Iterator[Any]]:
    """Return what reads a file's events, again and again."""
    if path.name.endswith((".dbn", ".dbn.zst")):
        if not path.is_file():
            raise RecordingError(f"{path} does not exist.")
        return lambda: _checked(path, databento.events(path), allow_nonpositive=True)
    named = _NAME.match(path.name)
    if named is not None:
        return lambda: _checked(path, _of_binance(path, named[1], named[2]))
    with _lines(path) as lines:
        head = next(csv.reader(lines), [])
    if not {"symbol", "timestamp", "local_timestamp"} <= set(head):
        raise RecordingError(f"{path} is no archive that is known; there are {_FORMS}.")
    if "is_snapshot" in head:
        return lambda: _checked(path, _of_tardis(path, tardis.increments))
    if "bids[0].price" in head:
        return lambda: _checked(path, _of_tardis(path, tardis.snapshots))
    if {"id", "side", "price", "amount"} <= set(head):
        return lambda: _checked(path, _of_tardis(path, tardis.trades))
    raise RecordingError(f"{path} is none of what can be read of Tardis; there are {_FORMS}.")


def _of_binance(path: Path, symbol: str, kind: str) -> Iterator[Any]:
    with _lines(path) as lines:
        rows = (row for row in csv.reader(lines) if row and row[0].isdecimal())
        yield from _BINANCE[kind](symbol, rows)


def _of_tardis(path: Path, read: Callable[[Iterator[Any]], Iterator[Any]]) -> Iterator[Any]:
    with _lines(path) as lines:
        yield from read(csv.DictReader(lines))


def _checked(
    path: Path, events: Iterator[Any], *, allow_nonpositive: bool = False
) -> Iterator[Any]:
    """Yield events; say where a line cannot be read."""
    count = 0
    try:
        for event in usable(events, allow_nonpositive=allow_nonpositive):
            count += 1
            yield event
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, csv.Error) as error:
        raise RecordingError(
            f"{path}: behind its first {count:,} events a line cannot be read ({error})."
        ) from None
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{path} cannot be read: {error}.") from None


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    """Open a file as text, unpacked; a .zip must hold one file."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as packed, packed.open(_only(path, packed)) as member:
                yield _bounded(path, io.TextIOWrapper(member, encoding="utf-8", newline=""))
        elif path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
                yield _bounded(path, text)
        else:
            with path.open(encoding="utf-8", newline="") as text:
                yield _bounded(path, text)
    except FileNotFoundError:
        raise RecordingError(f"{path} does not exist.") from None
    except (OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise RecordingError(f"{path} cannot be read: {error}.") from None


def _bounded(path: Path, text: Any) -> Iterator[str]:
    """Yield lines; raise `RecordingError` for one that does not end."""
    while line := text.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise RecordingError(f"{path} has a line of {_LONGEST:,} characters or more.")
        yield line


def _only(path: Path, packed: zipfile.ZipFile) -> str:
    names = packed.namelist()
    if len(names) != 1:
        raise RecordingError(f"{path} holds {len(names)} files; an archive holds one.")
    return names[0]


def _timed(events: Iterator[Any]) -> Iterator[tuple[int, int, Any]]:
    """Yield (time, rank, event) that never goes back; a gap comes before what is of its end."""
    last = 0
    for event in events:
        is_gap = event.kind == "gap"
        at = event.start_ns if event.kind == "bar" else event.to_ns if is_gap else event.received_ns
        last = max(last, at)
        yield last, 0 if is_gap else 1, event
