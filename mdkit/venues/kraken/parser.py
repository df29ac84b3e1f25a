"""Kraken's frames. Checksums are over the text of numbers, which floats would lose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Ticker, Trade
from mdkit.venues.assembly.parsed import Beat, BookUpdate, Figures, Parsed, Reply, Trades
from mdkit.venues.reading.messages import MAX_MESSAGE_BYTES, json_decoder
from mdkit.venues.reading.numbers import Checksum, Counter, Figure, Price, Size
from mdkit.venues.reading.times import nanoseconds


class _Frame(Struct, gc=False):
    channel: str = ""
    type: str = ""
    method: str = ""
    error: str = ""
    data: Raw = Raw(b"")


class _BookFrame(Struct, gc=False):
    data: list[_Book]
    type: str = ""


class _Level(Struct, gc=False):
    price: Raw
    qty: Raw


class _Book(Struct, gc=False):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]
    checksum: Checksum
    timestamp: datetime | None = None


class _Trade(Struct, gc=False):
    symbol: str
    side: str
    price: Price
    qty: Size
    trade_id: Counter
    timestamp: datetime | None = None


class _Ticker(Struct, gc=False):
    symbol: str
    last: Price
    bid: Figure | None = None
    ask: Figure | None = None
    volume: Figure | None = None
    high: Figure | None = None
    low: Figure | None = None
    change: Figure | None = None
    change_pct: Figure | None = None
    timestamp: datetime | None = None


_read_frame = json_decoder(_Frame, MAX_MESSAGE_BYTES)
_read_book_frame = json_decoder(_BookFrame, MAX_MESSAGE_BYTES)
_read_books = json_decoder(list[_Book])
_BOOK = b'{"channel":"book",'
_read_trades = json_decoder(list[_Trade])
_read_tickers = json_decoder(list[_Ticker])
_BEAT, _REPLY = Beat(), Reply()
_SIDES = {"buy": "buy", "sell": "sell"}


class KrakenParser:
    """Reads the frames of Kraken's spot feed; see `assembly.parser.Parser`."""

    book_mark = b'"channel":"book"'

    def parse(self, raw: bytes) -> Sequence[Parsed]:
        """Return what a frame says."""
        if raw.startswith(_BOOK):  # as nearly all do: read once and not twice
            book_frame = _read_book_frame(raw)
            is_snapshot = book_frame.type == "snapshot"
            return [_book(book, is_snapshot) for book in book_frame.data]
        frame = _read_frame(raw)
        channel = frame.channel
        if channel == "book":
            is_snapshot = frame.type == "snapshot"
            return [_book(book, is_snapshot) for book in _read_books(bytes(frame.data))]
        if channel == "trade":
            return _trades(_read_trades(bytes(frame.data)))
        if channel == "ticker":
            return [_figures(ticker) for ticker in _read_tickers(bytes(frame.data))]
        # A status is the market's, also that of maintenance: another connection has the same.
        if channel in ("heartbeat", "status") or frame.method == "pong":
            return (_BEAT,)
        if frame.method or frame.error:
            return (_REPLY,)
        raise InvalidMessage(f"unknown channel {channel[:40]!r}")

    def parse_rest(self, request: str, body: bytes) -> Sequence[Parsed]:
        """Raise `InvalidMessage`: books come by the socket alone."""
        raise InvalidMessage("Kraken's books do not come by REST")


def _book(book: _Book, is_snapshot: bool) -> BookUpdate:
    bids, bid_texts = _levels(book.bids)
    asks, ask_texts = _levels(book.asks)
    return BookUpdate(
        book.symbol,
        bids,
        asks,
        is_snapshot,
        exchange_ns=nanoseconds(book.timestamp),
        checksum=book.checksum,
        bid_texts=bid_texts,
        ask_texts=ask_texts,
    )


def _levels(levels: list[_Level]) -> tuple[list[tuple[float, float]], list[bytes]]:
    """Return levels as numbers, and as what the checksum takes: digits without leading zeros."""
    numbers: list[tuple[float, float]] = []
    texts: list[bytes] = []
    if not levels:
        return numbers, texts
    try:
        for level in levels:
            price, size = bytes(level.price).strip(b'"'), bytes(level.qty).strip(b'"')
            number = float(price), float(size)
            if not 0 < number[0] < _MOST or not 0 <= number[1] < _MOST:
                raise ValueError
            if len(price) + len(size) > _LONGEST:  # which would be kept for the checksum
                raise ValueError
            numbers.append(number)
            texts.append(
                price.replace(b".", b"").lstrip(b"0") + size.replace(b".", b"").lstrip(b"0")
            )
    except ValueError:
        raise InvalidMessage("a level of the book is no price and size") from None
    return numbers, texts


_MOST = float("inf")
_LONGEST = 64
"""Characters of a price and a size; those that are real have half as many."""


def _trades(trades: list[_Trade]) -> list[Parsed]:
    by_symbol: dict[str, list[Trade]] = {}
    for trade in trades:
        by_symbol.setdefault(trade.symbol, []).append(
            Trade(
                trade.symbol,
                trade.price,
                trade.qty,
                _SIDES.get(trade.side, "neutral"),
                str(trade.trade_id),
                nanoseconds(trade.timestamp),
            )
        )
    return [Trades(symbol, events) for symbol, events in by_symbol.items()]


def _figures(ticker: _Ticker) -> Figures:
    event = Ticker(
        ticker.symbol,
        ticker.last,
        ticker.bid,
        ticker.ask,
        ticker.volume,
        ticker.high,
        ticker.low,
        ticker.change,
        ticker.change_pct,
        exchange_ns=nanoseconds(ticker.timestamp),
    )
    return Figures(ticker.symbol, event)
