"""What OKX pushes: chained books, the best levels, trades and tickers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.book import Change, Level, VenueBook
from mdkit.exchange.venues.dialect import Dialect
from mdkit.exchange.venues.numbers import trimmed
from mdkit.exchange.venues.wire import Day, Encode, Execution, Stream

LEVELS = 400


class OkxStream(Stream):
    """A stream, and the dialect that writes its numbers."""

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, dialect: Dialect) -> None:
        super().__init__(key, spec, book)
        self.dialect = dialect

    @property
    def arg(self) -> str:
        """What every frame begins with."""
        return f'"arg":{{"channel":"{self.key[0]}","instId":"{self.key[1]}"}}'

    def price(self, ticks: int) -> str:
        """Return a price's text."""
        return self.dialect.texts(self.spec, ticks, 0)[0]

    def size(self, units: int) -> str:
        """Return a size's text."""
        return self.dialect.texts(self.spec, 0, units)[1]

    def levels(self, levels: Sequence[Level]) -> str:
        """Return levels as arrays: price, size, "0", number of orders."""
        rows = [
            f'["{self.price(t)}","{self.size(u)}","0","{1 + (t * 7 + u) % 9 if u else 0}"]'
            for t, u in levels
        ]
        return f"[{','.join(rows)}]"


class BookStream(OkxStream):
    """`books`: 400 levels a side, their changes every 100 ms; `prevSeqId` is the last `seqId`.

    The checksum is 0 always. What falls out of the 400 levels is told as removed.
    """

    every = 0.1
    is_book = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._told_id = self.book.id
        self._bids = dict(self.book.bids.top(LEVELS))
        self._asks = dict(self.book.asks.top(LEVELS))
        self._is_due = False

    def on_change(self, change: Change) -> None:
        """Push with the next batch."""
        self._is_due = True

    def take(self, now_ns: int) -> list[Encode]:
        """Return what changed since the last push."""
        if not self._is_due:
            return []
        self._is_due = False
        bids, asks = dict(self.book.bids.top(LEVELS)), dict(self.book.asks.top(LEVELS))
        told = _difference(self._bids, bids), _difference(self._asks, asks)
        before, self._told_id = self._told_id, self.book.id
        self._bids, self._asks = bids, asks
        return [self._encode("update", *told, before, self._told_id)]

    def empty(self) -> list[Encode]:
        """Return the frame that the venue sends after a minute without changes."""
        return [self._encode("update", [], [], self._told_id, self._told_id)]

    def first(self) -> list[Encode]:
        """Return the snapshot."""
        bids, asks = list(self._bids.items()), list(self._asks.items())
        return [self._encode("snapshot", bids, asks, -1, self._told_id)]

    def _encode(
        self, action: str, bids: list[Level], asks: list[Level], before: int, last: int
    ) -> Encode:
        def encode(ns: int) -> bytes:
            return (
                f'{{{self.arg},"action":"{action}","data":[{{"asks":{self.levels(asks)},'
                f'"bids":{self.levels(bids)},"ts":"{ns // 1_000_000}","checksum":0,'
                f'"seqId":{last},"prevSeqId":{before}}}]}}'
            ).encode()

        return encode


def _difference(before: dict[int, int], now: dict[int, int]) -> list[Level]:
    gone = [(ticks, 0) for ticks in before if ticks not in now]
    return gone + [(ticks, units) for ticks, units in now.items() if before.get(ticks) != units]


class TopStream(OkxStream):
    """`books5` and `bbo-tbt`: the best levels as they stand, when they changed."""

    def __init__(
        self,
        key: Key,
        spec: Instrument,
        book: VenueBook,
        dialect: Dialect,
        levels: int,
        every: float,
    ) -> None:
        super().__init__(key, spec, book, dialect)
        self.every = every
        self._levels = levels
        self._told: tuple[list[Level], list[Level]] | None = None

    def take(self, now_ns: int) -> list[Encode]:
        """Return the levels if they are others than those told last."""
        top = self.book.top(self._levels)
        if self._told == (top.bids, top.asks):
            return []
        return self.first()

    def first(self) -> list[Encode]:
        """Return the levels."""
        top = self.book.top(self._levels)
        self._told = (top.bids, top.asks)
        return [
            lambda ns: (
                f'{{{self.arg},"data":[{{"asks":{self.levels(top.asks)},'
                f'"bids":{self.levels(top.bids)},"instId":"{self.spec.symbol}",'
                f'"ts":"{ns // 1_000_000}","seqId":{top.last_id}}}]}}'
            ).encode()
        ]


class TradeStream(OkxStream):
    """`trades`: `side` is the taker's."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._new: list[tuple[Execution, int]] = []

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Keep them for the next push."""
        self._new += [(trade, self.book.id) for trade in trades]

    def take(self, now_ns: int) -> list[Encode]:
        """Return a frame for each trade."""
        new, self._new = self._new, []
        return [self._encode(trade, last_id) for trade, last_id in new]

    def _encode(self, trade: Execution, last_id: int) -> Encode:
        text = (
            f'{{{self.arg},"data":[{{"instId":"{self.spec.symbol}","tradeId":"{trade.id}",'
            f'"px":"{self.price(trade.ticks)}","sz":"{self.size(trade.units)}",'
            f'"side":"{trade.side}","ts":"{trade.ns // 1_000_000}","count":"1","source":"0",'
            f'"seqId":{last_id}}}]}}'
        ).encode()
        return lambda ns: text


class TickerStream(OkxStream):
    """`tickers`: last trade, best prices and the day's figures, every 100 ms at most."""

    every = 0.1

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, dialect: Dialect, day: Day
    ) -> None:
        super().__init__(key, spec, book, dialect)
        self._day = day
        self._last_units = max(1, spec.size // 10)
        self._is_due = False

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Push with a trade."""
        self._day = self._day.after(trades[-1].ticks)
        self._last_units = trades[-1].units
        self._is_due = True

    def on_change(self, change: Change) -> None:
        """Push with the best prices."""
        self._is_due |= change.is_top

    def on_day(self, day: Day) -> None:
        """Keep the day's figures."""
        self._day = day

    def take(self, now_ns: int) -> list[Encode]:
        """Return a ticker if something is new."""
        due, self._is_due = self._is_due, False
        return self.first() if due else []

    def first(self) -> list[Encode]:
        """Return the ticker as it stands."""
        spec, day, top = self.spec, self._day, self.book.top(1)
        (bid, bid_size), (ask, ask_size) = top.bids[0], top.asks[0]
        decimals = spec.decimals + spec.size_decimals
        turnover = trimmed(day.middle * spec.step * day.volume, decimals)
        row = (
            f'"instType":"SPOT","instId":"{spec.symbol}","last":"{self.price(day.last)}",'
            f'"lastSz":"{self.size(self._last_units)}","askPx":"{self.price(ask)}",'
            f'"askSz":"{self.size(ask_size)}","bidPx":"{self.price(bid)}",'
            f'"bidSz":"{self.size(bid_size)}","open24h":"{self.price(day.open)}",'
            f'"high24h":"{self.price(day.high)}","low24h":"{self.price(day.low)}",'
            f'"sodUtc0":"{self.price(day.open)}","sodUtc8":"{self.price(day.open)}",'
            f'"volCcy24h":"{turnover}","vol24h":"{self.size(day.volume)}"'
        )
        return [lambda ns: f'{{{self.arg},"data":[{{{row},"ts":"{ns // 1_000_000}"}}]}}'.encode()]
