"""Hyperliquid's frames: every book is whole."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Trade
from mdkit.venues.assembly.parsed import Beat, BookUpdate, Parsed, Reply, Trades
from mdkit.venues.reading.messages import MAX_MESSAGE_BYTES, json_decoder
from mdkit.venues.reading.numbers import Counter, Id, Millis, Price, Size

_MS = 1_000_000
_GREETING = b"Websocket connection established."


class _Frame(Struct, gc=False):
    channel: str
    data: Raw = Raw(b"")


class _Level(Struct, gc=False):
    px: Price
    sz: Size


class _Book(Struct, gc=False):
    coin: str
    levels: tuple[list[_Level], list[_Level]]
    time: Millis = 0


class _Trade(Struct, gc=False):
    coin: Id
    side: str
    px: Price
    sz: Size
    tid: Counter
    time: Millis


_read_frame = json_decoder(_Frame, MAX_MESSAGE_BYTES)
_read_book = json_decoder(_Book)
_read_trades = json_decoder(list[_Trade])
_BEAT, _REPLY = Beat(), Reply()
_SIDES = {"B": "buy", "A": "sell"}


class HyperliquidParser:
    """Reads the frames of Hyperliquid's feed; see `assembly.parser.Parser`.

    The first message of trades after each subscription repeats recent ones, which is noted.
    """

    book_mark = b""

    def parse(self, raw: bytes) -> Sequence[Parsed]:
        """Return what a frame says."""
        if raw == _GREETING:
            return (_BEAT,)
        frame = _read_frame(raw)
        channel = frame.channel
        if channel == "l2Book":
            book = _read_book(bytes(frame.data))
            bids, asks = ([(level.px, level.sz) for level in side] for side in book.levels)
            return (BookUpdate(book.coin, bids, asks, True, exchange_ns=book.time * _MS),)
        if channel == "trades":
            return _trades(_read_trades(bytes(frame.data)))
        if channel == "pong":
            return (_BEAT,)
        if channel in ("subscriptionResponse", "error"):
            return (_REPLY,)
        raise InvalidMessage(f"unknown channel {channel[:40]!r}")

    def parse_rest(self, request: str, body: bytes) -> Sequence[Parsed]:
        """Raise `InvalidMessage`: books come by the socket alone."""
        raise InvalidMessage("Hyperliquid's books do not come by REST")


def _trades(trades: list[_Trade]) -> list[Parsed]:
    by_coin: dict[str, list[Trade]] = {}
    for t in trades:
        side = _SIDES.get(t.side, "neutral")
        trade = Trade(t.coin, t.px, t.sz, side, str(t.tid), t.time * _MS)
        by_coin.setdefault(t.coin, []).append(trade)
    return [Trades(coin, events, may_repeat=True) for coin, events in by_coin.items()]
