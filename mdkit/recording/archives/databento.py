"""Databento's DBN files: trades, mbp-1, mbp-10 and ohlcv, read by Databento's own package.

Times are in nanoseconds; prices are whole numbers of 1e-9, undefined ones are no levels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mdkit.errors import RecordingError
from mdkit.events import Bar, Depth, Gap, Level, MarketEvent, Trade
from mdkit.extras import install_hint
from mdkit.recording.file.compression import read_chunks

MAYBE_WRONG = "Databento marks the book as perhaps wrong"
"""The reason of a gap in the place of books that have Databento's flag for it."""
ANOTHER = "another instrument"
"""The reason of a gap where a symbol, such as a continuous contract, names another instrument."""
_SIDES = {"A": "sell", "B": "buy"}
"""Of the side that began a trade."""
_SCALE = 1e9
_DAY_NS = 86_400_000_000_000


def events(path: Path) -> Iterator[MarketEvent | Gap]:
    """Yield what a `.dbn` or `.dbn.zst` file holds.

    A book comes once all records of its event have been read. Raises `RecordingError` where the
    package is missing, the file breaks off, or it is of another schema.
    """
    try:
        import databento_dbn as dbn
    except ImportError:
        raise RecordingError(
            f"{path} is read by Databento's package: {install_hint('databento')}."
        ) from None
    reader = _Reader(dbn, path)
    for record in _records(dbn, path):
        yield from reader.read(record)
    yield from reader.end()


def _records(dbn: Any, path: Path) -> Iterator[Any]:
    """Yield the metadata and the records of a file."""
    decoder = dbn.DBNDecoder(compression=dbn.Compression.NONE)
    faults: list[str] = []
    try:
        for chunk in read_chunks(path, faults):
            decoder.write(chunk)
            yield from decoder.decode()
    except dbn.DBNError as error:
        raise RecordingError(f"{path} is no DBN file that can be read: {error}.") from None
    if decoder.buffer():
        faults.append("its last record is not whole")
    if faults:
        raise RecordingError(f"{path} cannot be read to its end: {'; '.join(faults)}.")


class _Names:
    """The symbols of instruments, which differ from day to day."""

    def __init__(self) -> None:
        self._spans: dict[int, list[tuple[date, date, str]]] = defaultdict(list)
        self._known: dict[tuple[int, int], str] = {}

    def read(self, metadata: Any) -> None:
        """Take the symbols that were asked for."""
        for name, spans in metadata.mappings.items():
            for span in spans:
                if span["symbol"].isdecimal():
                    own = span["start_date"], span["end_date"], name
                    self._spans[int(span["symbol"])].append(own)

    def of(self, instrument: int, ns: int) -> str:
        """Return the symbol of an instrument at a time; its number where none was asked for."""
        key = instrument, ns // _DAY_NS
        found = self._known.get(key)
        if found is None:
            day = datetime.fromtimestamp(ns // 1_000_000_000, UTC).date()
            found = self._on(instrument, day) or str(instrument)
            others = (self._on(other, day) for other in self._spans if other != instrument)
            if found in others:  # one symbol for many, as that of all expiries
                found = f"{found}:{instrument}"
            self._known[key] = found
        return found

    def _on(self, instrument: int, day: date) -> str:
        spans = self._spans.get(instrument, ())
        return next((name for start, end, name in spans if start <= day < end), "")


class _Reader:
    """Makes events of records, one file's in order."""

    def __init__(self, dbn: Any, path: Path) -> None:
        self._dbn = dbn
        self._path = path
        self._names = _Names()
        self._books: dict[int, Any] = {}  # by instrument: a record of an event that goes on
        self._last: dict[tuple[str, str], tuple[int, int]] = {}  # instrument, and time
        self._wrong: dict[str, int] = {}  # by symbol: since when
        self._intervals = {
            getattr(dbn.RType, f"OHLCV_{unit}"): unit.lower() for unit in ("1S", "1M", "1H", "1D")
        }

    def read(self, record: Any) -> Iterator[MarketEvent | Gap]:
        """Yield the events of a record."""
        dbn = self._dbn
        if isinstance(record, dbn.TradeMsg):
            yield from self._trade(record)
        elif isinstance(record, dbn.MBP1Msg | dbn.MBP10Msg):
            if record.action in ("T", "F"):
                if record.action == "T":
                    yield from self._trade(record)
            else:
                before = self._books.get(record.instrument_id)
                if before is not None and before.ts_event != record.ts_event:
                    yield from self._book(before)  # whose end was not marked
                self._books[record.instrument_id] = record
            if record.flags & dbn.F_LAST:
                book = self._books.pop(record.instrument_id, None)
                if book is not None:
                    yield from self._book(book)
        elif isinstance(record, dbn.OHLCVMsg):
            yield from self._bar(record)
        elif isinstance(record, dbn.Metadata):
            self._names.read(record)
        elif not isinstance(record, dbn.SystemMsg | dbn.SymbolMappingMsg):
            raise RecordingError(
                f"{self._path} holds {type(record).__name__} records; what can be read of "
                "Databento is trades, mbp-1, mbp-10 and ohlcv."
            )

    def end(self) -> Iterator[MarketEvent | Gap]:
        """Yield what nothing comes after."""
        for book in list(self._books.values()):
            yield from self._book(book)
        for symbol, since in self._wrong.items():
            yield Gap(symbol, "depth", MAYBE_WRONG, since, self._last[symbol, "depth"][1])

    def _trade(self, record: Any) -> Iterator[MarketEvent | Gap]:
        received = self._received(record)
        symbol = yield from self._symbol(record, "trade", received)
        yield Trade(
            symbol,
            record.price / _SCALE,
            float(record.size),
            _SIDES.get(str(record.side), "neutral"),
            str(record.sequence),
            record.ts_event,
            received,
        )

    def _book(self, record: Any) -> Iterator[MarketEvent | Gap]:
        received = self._received(record)
        symbol = yield from self._symbol(record, "depth", received)
        if record.flags & self._dbn.F_MAYBE_BAD_BOOK:
            self._wrong.setdefault(symbol, received)
            return
        since = self._wrong.pop(symbol, None)
        if since is not None:
            yield Gap(symbol, "depth", MAYBE_WRONG, since, received)
        bids = self._side((level.bid_px, level.bid_sz) for level in record.levels)
        asks = self._side((level.ask_px, level.ask_sz) for level in record.levels)
        yield Depth(symbol, bids, asks, record.ts_event, received)

    def _side(self, levels: Iterator[tuple[int, int]]) -> tuple[Level, ...]:
        none = self._dbn.UNDEF_PRICE
        return tuple((price / _SCALE, float(size)) for price, size in levels if price != none)

    def _bar(self, record: Any) -> Iterator[MarketEvent | Gap]:
        interval = self._intervals.get(record.rtype)
        if interval is None:
            raise RecordingError(
                f"{self._path} holds bars of {record.rtype}, which cannot be read."
            )
        symbol = yield from self._symbol(record, "bar", record.ts_event)
        yield Bar(
            symbol,
            record.open / _SCALE,
            record.high / _SCALE,
            record.low / _SCALE,
            record.close / _SCALE,
            float(record.volume),
            record.ts_event,
            interval,
        )

    def _symbol(self, record: Any, channel: str, ns: int) -> Any:
        """Return the symbol of a record; yield a gap where it was another instrument's."""
        symbol = self._names.of(record.instrument_id, record.ts_event)
        before = self._last.get((symbol, channel))
        if before is not None and before[0] != record.instrument_id:
            yield Gap(symbol, channel, ANOTHER, before[1], ns)
        self._last[symbol, channel] = record.instrument_id, ns
        return symbol

    def _received(self, record: Any) -> int:
        told = record.ts_recv
        return int(record.ts_event if told == self._dbn.UNDEF_TIMESTAMP else told)
