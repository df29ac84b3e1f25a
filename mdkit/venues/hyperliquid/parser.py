"""Hyperliquid's frames: every book is whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Trade
from mdkit.venues.assembly.parsed import Beat, BookUpdate, Parsed, Reply, Trades
from mdkit.venues.messages import MAX_MESSAGE_BYTES, json_decoder
from mdkit.venues.numbers import Counter, Id, Millis, Price, Size

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
_MOST_RECENT, _MOST_COINS = 1000, 1000


class HyperliquidParser:
    """Reads the frames of Hyperliquid's feed; see `assembly.parser.Parser`.

    The first message of trades after each subscription repeats recent ones: what a connection
    before has brought is left out.
    """

    book_mark = b""

    def __init__(self) -> None:
        self._recent: dict[str, deque[int]] = {}

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
            return self._trades(_read_trades(bytes(frame.data)))
        if channel == "pong":
            return (_BEAT,)
        if channel in ("subscriptionResponse", "error"):
            return (_REPLY,)
        raise InvalidMessage(f"unknown channel {channel[:40]!r}")

    def parse_rest(self, request: str, body: bytes) -> Sequence[Parsed]:
        """Raise `InvalidMessage`: books come by the socket alone."""
        raise InvalidMessage("Hyperliquid's books do not come by REST")

    def _trades(self, trades: list[_Trade]) -> list[Parsed]:
        by_coin: dict[str, list[Trade]] = {}
        for t in trades:
            events = by_coin.setdefault(t.coin, [])
            recent = self._recent.get(t.coin)
            if recent is None:
                if len(self._recent) >= _MOST_COINS:  # that nobody asked for
                    self._recent.clear()
                recent = self._recent[t.coin] = deque(maxlen=_MOST_RECENT)
            if t.tid not in recent:
                recent.append(t.tid)
                side = _SIDES.get(t.side, "neutral")
                events.append(Trade(t.coin, t.px, t.sz, side, str(t.tid), t.time * _MS))
        return [Trades(coin, events) for coin, events in by_coin.items()]
