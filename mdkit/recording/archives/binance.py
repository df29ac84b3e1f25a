"""Binance's public archives: rows by place, with a line of names or without; times in ms or us.

They hold no time of receipt: `received_ns` is the exchange's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mdkit.events import Depth, Gap, Level, Trade

Row = Sequence[str]
MISSING_IDS = "ids are missing"
"""The reason of a gap where numbered trades do not follow each other."""
_LAST_MS = 10**14
"""Times from here on are in microseconds, as spot files have them since 2025."""


def trades(symbol: str, rows: Iterator[Row]) -> Iterator[Trade | Gap]:
    """Yield the rows of a `trades` file: id, price, size, quote size, time, buyer is maker."""
    return _numbered(symbol, rows, time=4, maker=5)


def aggregated(symbol: str, rows: Iterator[Row]) -> Iterator[Trade | Gap]:
    """Yield the rows of an `aggTrades` file: id, price, size, ids, time, buyer is maker."""
    return _numbered(symbol, rows, time=5, maker=6)


def tickers(symbol: str, rows: Iterator[Row]) -> Iterator[Depth]:
    """Yield the rows of a `bookTicker` file as books of one level: bid, ask and their sizes."""
    for row in rows:
        at = _nanoseconds(row[5])
        yield Depth(symbol, _side(row[1], row[2]), _side(row[3], row[4]), at, at)


def _side(price: str, size: str) -> tuple[Level, ...]:
    """Return a side of one level; of none where it has no size, as an empty one is written."""
    level = float(price), float(size)
    return () if level[1] == 0.0 else (level,)


def _numbered(symbol: str, rows: Iterator[Row], *, time: int, maker: int) -> Iterator[Trade | Gap]:
    last, last_ns = None, 0
    for row in rows:
        number, at = int(row[0]), _nanoseconds(row[time])
        if last is not None and number > last + 1:
            yield Gap(symbol, "trade", MISSING_IDS, last_ns, at, number - last - 1)
        last, last_ns = number, at
        side = "sell" if row[maker].lower() == "true" else "buy"
        yield Trade(symbol, float(row[1]), float(row[2]), side, row[0], at, at)


def _nanoseconds(text: str) -> int:
    stamp = int(text)
    return stamp * 1000 if stamp >= _LAST_MS else stamp * 1_000_000
