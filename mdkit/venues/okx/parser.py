"""OKX's frames. Checksums are dead, and fixed to 0; those of old recordings still hold."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Ticker, Trade
from mdkit.venues.assembly.parsed import (
    Beat,
    BookUpdate,
    Figures,
    Notice,
    Parsed,
    Reply,
    Trades,
)
from mdkit.venues.reading.messages import MAX_MESSAGE_BYTES, json_decoder
from mdkit.venues.reading.numbers import Checksum, Counter, Figure, Id, Millis, Price, Size
from mdkit.venues.refusals import beginning

_MS = 1_000_000


class _Arg(Struct, frozen=True, gc=False):
    channel: str = ""
    instId: str = ""  # noqa: N815 - the venue's own name


class _Frame(Struct, gc=False):
    event: str = ""
    arg: _Arg = _Arg()
    action: str = ""
    code: str = ""
    msg: str = ""
    data: Raw = Raw(b"")


class _Book(Struct, gc=False):
    bids: list[tuple[Price, Size, str, str]]
    asks: list[tuple[Price, Size, str, str]]
    ts: Millis
    checksum: Checksum = 0
    seqId: Counter = 0  # noqa: N815
    prevSeqId: Counter = 0  # noqa: N815


class _BookText(Struct, gc=False):
    bids: list[tuple[Id, Id, str, str]]
    asks: list[tuple[Id, Id, str, str]]


class _Trade(Struct, gc=False):
    instId: str  # noqa: N815
    tradeId: Id  # noqa: N815
    px: Price
    sz: Size
    side: str
    ts: Millis


class _Ticker(Struct, gc=False):
    instId: str  # noqa: N815
    last: Price
    bidPx: Figure | str | None = None  # noqa: N815
    askPx: Figure | str | None = None  # noqa: N815
    vol24h: Figure | None = None
    high24h: Figure | None = None
    low24h: Figure | None = None
    ts: Millis = 0


_read_frame = json_decoder(_Frame, MAX_MESSAGE_BYTES)
_read_books = json_decoder(list[_Book])
_read_texts = json_decoder(list[_BookText])
_read_trades = json_decoder(list[_Trade])
_read_tickers = json_decoder(list[_Ticker])
_BEAT, _REPLY = Beat(), Reply()
_SIDES = {"buy": "buy", "sell": "sell"}


class OkxParser:
    """Reads the frames of OKX's public feed; see `assembly.parser.Parser`."""

    book_mark = b'"books"'

    def parse(self, raw: bytes) -> Sequence[Parsed]:
        """Return what a frame says."""
        if raw == b"pong":
            return (_BEAT,)
        frame = _read_frame(raw)
        if frame.event == "notice":
            return (Notice(f"the venue announced an upgrade ({beginning(frame.msg)})"),)
        if frame.event:
            return (_BEAT,) if frame.event.startswith("channel-conn") else (_REPLY,)
        channel, data = frame.arg.channel, bytes(frame.data)
        if channel == "books":
            return _books(frame, data)
        if channel == "trades":
            return [_trade(trade) for trade in _read_trades(data)]
        if channel == "tickers":
            return [_figures(ticker) for ticker in _read_tickers(data)]
        raise InvalidMessage(f"unknown channel {channel[:40]!r}")

    def parse_rest(self, request: str, body: bytes) -> Sequence[Parsed]:
        """Raise `InvalidMessage`: books come by the socket alone."""
        raise InvalidMessage("OKX's books do not come by REST")


def _books(frame: _Frame, data: bytes) -> list[Parsed]:
    books = _read_books(data)
    texts = _read_texts(data) if any(book.checksum for book in books) else None
    said: list[Parsed] = []
    for number, book in enumerate(books):
        update = BookUpdate(
            frame.arg.instId,
            [level[:2] for level in book.bids],
            [level[:2] for level in book.asks],
            frame.action == "snapshot",
            exchange_ns=book.ts * _MS,
            last=book.seqId,
            previous=book.prevSeqId,
        )
        if texts is not None:
            update.checksum = book.checksum
            update.bid_texts = [f"{p}:{s}".encode() for p, s, *_ in texts[number].bids]
            update.ask_texts = [f"{p}:{s}".encode() for p, s, *_ in texts[number].asks]
        said.append(update)
    return said


def _trade(t: _Trade) -> Trades:
    side = _SIDES.get(t.side, "neutral")
    return Trades(t.instId, [Trade(t.instId, t.px, t.sz, side, t.tradeId, t.ts * _MS)])


def _figures(t: _Ticker) -> Figures:
    bid, ask = (price if isinstance(price, float) else None for price in (t.bidPx, t.askPx))
    event = Ticker(
        t.instId, t.last, bid, ask, t.vol24h, t.high24h, t.low24h, exchange_ns=t.ts * _MS
    )
    return Figures(t.instId, event)
