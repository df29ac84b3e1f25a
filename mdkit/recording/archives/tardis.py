"""Tardis' CSV files: times in microseconds, `local_timestamp` is when a message was received."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from mdkit.events import Depth, Gap, Level, Trade
from mdkit.recording.archives.quality import why_no_level

Row = dict[str, str]
_LEVELS = 10
_US = 1000
NEW_SNAPSHOT = "the venue sent a new snapshot"
"""The reason of a gap between increments: what lies before it does not lead to what follows."""


def trades(rows: Iterator[Row]) -> Iterator[Trade]:
    """Yield the rows of a `trades` file."""
    for row in rows:
        yield Trade(
            row["symbol"],
            float(row["price"]),
            float(row["amount"]),
            row["side"] if row["side"] in ("buy", "sell") else "neutral",
            row["id"],
            int(row["timestamp"]) * _US,
            int(row["local_timestamp"]) * _US,
        )


def snapshots(rows: Iterator[Row]) -> Iterator[Depth]:
    """Yield the rows of a `book_snapshot_N` file; a level without a price or size is none."""
    levels = 0
    for row in rows:
        levels = levels or sum(name.startswith("bids[") for name in row) // 2
        yield Depth(
            row["symbol"],
            _side(row, "bids", levels),
            _side(row, "asks", levels),
            int(row["timestamp"]) * _US,
            int(row["local_timestamp"]) * _US,
        )


def _side(row: Row, side: str, levels: int) -> tuple[Level, ...]:
    written = [
        (float(row[f"{side}[{n}].price"]), float(row[f"{side}[{n}].amount"]))
        for n in range(levels)
        if row[f"{side}[{n}].price"]
    ]
    return tuple([level for level in written if level[1] != 0.0])


def increments(rows: Iterator[Row]) -> Iterator[Depth | Gap]:
    """Yield the book after each message of an `incremental_book_L2` file, ten levels a side.

    Rows of one symbol and time of receipt are one message. Before the first snapshot there is no
    book; a later one begins the book anew, with a gap before it. A level that cannot be true loses
    the book until then.
    """
    books: dict[str, _Book] = {}
    message: list[Row] = []
    for row in rows:
        if message and (row["symbol"], row["local_timestamp"]) != (
            message[0]["symbol"],
            message[0]["local_timestamp"],
        ):
            yield from books.setdefault(message[0]["symbol"], _Book()).take(message)
            message = []
        message.append(row)
    if message:
        yield from books.setdefault(message[0]["symbol"], _Book()).take(message)
    for symbol, book in books.items():
        yield from book.end(symbol)


class _Book:
    """The book of one symbol, with the prices of each side in order."""

    def __init__(self) -> None:
        self.is_known = False
        self.lost: tuple[str, int] | None = None
        self.in_snapshot = False
        self.last_ns = 0
        self.sizes: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
        self.prices: dict[str, list[float]] = {"bid": [], "ask": []}

    def take(self, message: list[Row]) -> Iterator[Depth | Gap]:
        """Change the book by a message, and yield it; before it a gap where it begins anew."""
        symbol, received = message[0]["symbol"], int(message[0]["local_timestamp"]) * _US
        for row in message:
            is_snapshot = row["is_snapshot"].lower() == "true"
            if is_snapshot and not self.in_snapshot:
                if self.is_known:
                    yield Gap(symbol, "depth", NEW_SNAPSHOT, self.last_ns, received)
                yield from self._found(symbol, received)
                self.sizes = {"bid": {}, "ask": {}}
                self.prices = {"bid": [], "ask": []}
                self.is_known = True
            self.in_snapshot = is_snapshot
            if self.is_known:
                price, size = float(row["price"]), float(row["amount"])
                if wrong := why_no_level(price, size):
                    self.is_known, self.lost = False, (wrong, self.last_ns or received)
                else:
                    self._set(row["side"], price, size)
        self.last_ns = received
        if self.is_known:
            yield Depth(
                symbol,
                self._top("bid"),
                self._top("ask"),
                int(message[-1]["timestamp"]) * _US,
                received,
            )

    def end(self, symbol: str) -> Iterator[Gap]:
        """Yield the gap of a book that is still lost when nothing more comes."""
        yield from self._found(symbol, self.last_ns)

    def _found(self, symbol: str, to_ns: int) -> Iterator[Gap]:
        if self.lost is not None:
            reason, since_ns = self.lost
            self.lost = None
            yield Gap(symbol, "depth", reason, since_ns, to_ns)

    def _set(self, side: str, price: float, size: float) -> None:
        sizes, prices = self.sizes[side], self.prices[side]
        if size > 0.0:
            if price not in sizes:
                insort(prices, price)
            sizes[price] = size
        elif sizes.pop(price, None) is not None:
            del prices[bisect_left(prices, price)]

    def _top(self, side: str) -> tuple[Level, ...]:
        prices, sizes = self.prices[side], self.sizes[side]
        best = prices[: -_LEVELS - 1 : -1] if side == "bid" else prices[:_LEVELS]
        return tuple([(price, sizes[price]) for price in best])
