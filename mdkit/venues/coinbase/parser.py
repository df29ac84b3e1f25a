"""Coinbase's frames, which are counted over the whole connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Level, Ticker, Trade
from mdkit.venues.assembly.parsed import (
    Beat,
    BookUpdate,
    Counted,
    Figures,
    Parsed,
    Reply,
    Trades,
)
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.reading.numbers import Counter, Figure, Id, Price, Size
from mdkit.venues.reading.times import nanoseconds


class _Frame(Struct, gc=False):
    channel: str = ""
    type: str = ""
    sequence_num: Counter | None = None
    timestamp: datetime | None = None
    events: Raw = Raw(b"")


class _Change(Struct, gc=False):
    side: str
    price_level: Price
    new_quantity: Size


class _Book(Struct, gc=False):
    type: str
    product_id: str
    updates: list[_Change] = []


class _BookFrame(Struct, gc=False):
    events: list[_Book]
    sequence_num: Counter | None = None
    timestamp: datetime | None = None


class _Trade(Struct, gc=False):
    trade_id: Id
    product_id: str
    price: Price
    size: Size
    side: str
    time: datetime


class _Trades(Struct, gc=False):
    type: str
    trades: list[_Trade] = []


class _Ticker(Struct, gc=False):
    product_id: str
    price: Price
    best_bid: Figure | None = None
    best_ask: Figure | None = None
    volume_24_h: Figure | None = None
    high_24_h: Figure | None = None
    low_24_h: Figure | None = None
    price_percent_chg_24_h: Figure | None = None


class _Tickers(Struct, gc=False):
    tickers: list[_Ticker] = []


_read_frame = json_decoder(_Frame)
_read_book_frame = json_decoder(_BookFrame)
_read_books = json_decoder(list[_Book])
_BOOK = b'{"channel":"l2_data",'
_read_trades = json_decoder(list[_Trades])
_read_tickers = json_decoder(list[_Tickers])
_BEAT, _REPLY = Beat(), Reply()
# The side of a trade is the maker's: whoever came to him did the opposite.
_SIDES = {"BUY": "sell", "SELL": "buy"}


class CoinbaseParser:
    """Reads the frames of Coinbase's Advanced Trade feed; see `assembly.parser.Parser`."""

    book_mark = b"l2_data"

    def parse(self, raw: bytes) -> Sequence[Parsed]:
        """Return the frame's number, and what it says."""
        said: list[Parsed] = []
        if raw.startswith(_BOOK):  # as nearly all do: read once and not twice
            book_frame = _read_book_frame(raw)
            if book_frame.sequence_num is not None:
                said.append(Counted(book_frame.sequence_num))
            ns = nanoseconds(book_frame.timestamp)
            said += [_book(book, ns) for book in book_frame.events]
            return said
        frame = _read_frame(raw)
        if frame.sequence_num is not None:
            said.append(Counted(frame.sequence_num))
        ns = nanoseconds(frame.timestamp)
        channel = frame.channel
        if channel == "l2_data":
            said += [_book(book, ns) for book in _read_books(bytes(frame.events))]
        elif channel == "market_trades":
            for group in _read_trades(bytes(frame.events)):
                if group.type != "snapshot":  # which repeats what was before
                    said += _trades(group.trades)
        elif channel in ("ticker", "ticker_batch"):
            for tickers in _read_tickers(bytes(frame.events)):
                said += [_figures(ticker, ns) for ticker in tickers.tickers]
        elif channel in ("heartbeats", "status", "candles"):
            said.append(_BEAT)
        elif channel == "subscriptions" or frame.type == "error":
            said.append(_REPLY)
        else:
            raise InvalidMessage(f"unknown channel {(channel or frame.type)[:40]!r}")
        return said

    def parse_rest(self, request: str, body: bytes) -> Sequence[Parsed]:
        """Raise `InvalidMessage`: books come by the socket alone."""
        raise InvalidMessage("Coinbase's books do not come by REST")


def _book(book: _Book, ns: int) -> BookUpdate:
    bids: list[Level] = []
    asks: list[Level] = []
    for change in book.updates:
        side = bids if change.side == "bid" else asks
        side.append((change.price_level, change.new_quantity))
    return BookUpdate(book.product_id, bids, asks, book.type == "snapshot", exchange_ns=ns)


def _trades(trades: list[_Trade]) -> list[Parsed]:
    by_product: dict[str, list[Trade]] = {}
    for trade in reversed(trades):  # the newest is first
        by_product.setdefault(trade.product_id, []).append(
            Trade(
                trade.product_id,
                trade.price,
                trade.size,
                _SIDES.get(trade.side, "neutral"),
                trade.trade_id,
                nanoseconds(trade.time),
            )
        )
    return [Trades(product, events) for product, events in by_product.items()]


def _figures(t: _Ticker, ns: int) -> Figures:
    event = Ticker(
        t.product_id,
        t.price,
        t.best_bid,
        t.best_ask,
        t.volume_24_h,
        t.high_24_h,
        t.low_24_h,
        change_percent_24h=t.price_percent_chg_24_h,
        exchange_ns=ns,
    )
    return Figures(t.product_id, event)
