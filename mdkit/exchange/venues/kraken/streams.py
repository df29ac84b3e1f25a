"""What Kraken pushes: checked books, trades and tickers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.book import Change, Level, VenueBook
from mdkit.exchange.venues.kraken.view import BookView
from mdkit.exchange.venues.numbers import fixed, rfc3339
from mdkit.exchange.venues.wire import Day, Encode, Execution, NewTrades, Stream

CHECKED = 10
"""Levels a side that the checksum is made of."""


def checksum(asks: Sequence[Level], bids: Sequence[Level], step: int) -> int:
    """Return the CRC32 over the ten best asks, then bids: digits without point and leading zeros.

    A price of `ticks * step` in the last of its decimals is just these digits, and so is a size.
    """
    digits = [f"{ticks * step}{units}" for ticks, units in (*asks[:CHECKED], *bids[:CHECKED])]
    return zlib.crc32("".join(digits).encode())


class BookStream(Stream):
    """Channel `book`: the server's view of the best levels, and what changes in it.

    What falls out of the depth is not deleted: clients must truncate. What comes back is told.
    """

    is_book = True

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, depth: int) -> None:
        super().__init__(key, spec, book)
        self._bids, self._asks = BookView(book.bids, depth), BookView(book.asks, depth)
        self._updates: list[tuple[list[Level], list[Level], int]] = []

    def on_change(self, change: Change) -> None:
        """Follow with both views."""
        told = self._bids.follow(change.bids), self._asks.follow(change.asks)
        if told[0] or told[1]:
            self._updates.append((*told, self._checksum()))

    def _checksum(self) -> int:
        book = self.book
        return checksum(book.asks.top(CHECKED), book.bids.top(CHECKED), self.spec.step)

    def take(self, now_ns: int) -> list[Encode]:
        """Return an update for each change of the view."""
        updates, self._updates = self._updates, []
        return [self._encode("update", *update) for update in updates]

    def first(self) -> list[Encode]:
        """Return the snapshot."""
        bids, asks = self._bids.levels(), self._asks.levels()
        return [self._encode("snapshot", bids, asks, self._checksum())]

    def _encode(self, kind: str, bids: list[Level], asks: list[Level], crc: int) -> Encode:
        def encode(ns: int) -> bytes:
            return (
                f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self.spec.symbol}",'
                f'"bids":[{self._levels(bids)}],"asks":[{self._levels(asks)}],'
                f'"checksum":{crc},"timestamp":"{rfc3339(ns, 6)}"}}]}}'
            ).encode()

        return encode

    def _levels(self, levels: list[Level]) -> str:
        price, size = self.spec.decimals, self.spec.size_decimals
        step = self.spec.step
        return ",".join(
            f'{{"price":{fixed(ticks * step, price)},"qty":{fixed(units, size)}}}'
            for ticks, units in levels
        )


class TradeStream(NewTrades):
    """Channel `trade`: `side` is the taker's."""

    def take(self, now_ns: int) -> list[Encode]:
        """Return what traded since the last push, in one frame."""
        new = self.taken()
        return [self._encode("update", new)] if new else []

    def first(self) -> list[Encode]:
        """Return the last 50 trades."""
        return [self._encode("snapshot", list(self.recent))]

    def _encode(self, kind: str, trades: list[Execution]) -> Encode:
        spec = self.spec

        def encode(ns: int) -> bytes:
            rows = ",".join(
                f'{{"symbol":"{spec.symbol}","side":"{trade.side}",'
                f'"price":{fixed(trade.ticks * spec.step, spec.decimals)},'
                f'"qty":{fixed(trade.units, spec.size_decimals)},"ord_type":"market",'
                f'"trade_id":{trade.id},"timestamp":"{rfc3339(trade.ns, 6)}"}}'
                for trade in trades
            )
            return f'{{"channel":"trade","type":"{kind}","data":[{rows}]}}'.encode()

        return encode


class TickerStream(Stream):
    """Channel `ticker`, pushed on trades or, asked for `bbo`, on changes of the best prices."""

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, day: Day, on_quotes: bool
    ) -> None:
        super().__init__(key, spec, book)
        self._day = day
        self._on_quotes = on_quotes
        self._is_due = False

    def on_change(self, change: Change) -> None:
        """Push with the best prices, if asked to."""
        self._is_due |= self._on_quotes and change.is_top

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Push with a trade."""
        self._day = self._day.after(trades[-1].ticks)
        self._is_due |= not self._on_quotes

    def on_day(self, day: Day) -> None:
        """Keep the day's figures."""
        self._day = day

    def take(self, now_ns: int) -> list[Encode]:
        """Return one frame if something that is pushed has happened."""
        due, self._is_due = self._is_due, False
        return [self._encode("update")] if due else []

    def first(self) -> list[Encode]:
        """Return the ticker as it stands."""
        return [self._encode("snapshot")]

    def _encode(self, kind: str) -> Encode:
        spec, day, top = self.spec, self._day, self.book.top(1)
        (bid, bid_size), (ask, ask_size) = top.bids[0], top.asks[0]

        def price(ticks: int) -> str:
            return fixed(ticks * spec.step, spec.decimals)

        def size(units: int) -> str:
            return fixed(units, spec.size_decimals)

        change = day.last - day.open
        row = (
            f'{{"symbol":"{spec.symbol}","bid":{price(bid)},"bid_qty":{size(bid_size)},'
            f'"ask":{price(ask)},"ask_qty":{size(ask_size)},"last":{price(day.last)},'
            f'"volume":{size(day.volume)},"vwap":{price(day.middle)},"low":{price(day.low)},'
            f'"high":{price(day.high)},"change":{"-" if change < 0 else ""}{price(abs(change))},'
            f'"change_pct":{100 * change / day.open:.2f}}}'
        )
        return lambda ns: f'{{"channel":"ticker","type":"{kind}","data":[{row}]}}'.encode()
