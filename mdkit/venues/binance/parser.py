"""Binance's frames, of combined streams and raw ones, and the answers of its REST books."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

from msgspec import Raw, Struct, field

from mdkit.errors import InvalidMessage
from mdkit.events import Ticker, Trade
from mdkit.venues.assembly.parsed import (
    BestQuote,
    BookUpdate,
    Figures,
    Notice,
    Parsed,
    Reply,
    Trades,
)
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.reading.numbers import Counter, Figure, Millis, Price, Size

_MS = 1_000_000
_Levels = list[tuple[Price, Size]]


class _Combined(Struct, gc=False):
    stream: str = ""
    data: Raw = Raw(b"")


class _Head(Struct, gc=False):
    kind: str = field(name="e", default="")
    symbol: str = field(name="s", default="")
    u: Counter = 0
    id: int | None = None
    code: int | None = None


class _Depth(Struct, gc=False):
    s: str
    U: Counter
    u: Counter
    b: _Levels
    a: _Levels
    E: Millis = 0
    pu: Counter = 0


class _Best(Struct, gc=False):
    s: str
    u: Counter
    b: Price
    B: Size
    a: Price
    A: Size


class _Trade(Struct, gc=False):
    s: str
    p: Figure
    q: Figure
    T: Millis
    m: bool
    t: Counter = 0
    a: Counter = 0
    X: str = "MARKET"


class _Ticker(Struct, gc=False):
    s: str
    c: Price
    b: Figure | None = None
    a: Figure | None = None
    v: Figure | None = None
    h: Figure | None = None
    l: Figure | None = None  # noqa: E741 - the venue's own name
    p: Figure | None = None
    P: Figure | None = None
    E: Millis = 0


class _Snapshot(Struct, gc=False):
    lastUpdateId: Counter  # noqa: N815 - the venue's own name
    bids: _Levels
    asks: _Levels
    E: Millis = 0


_read_combined = json_decoder(_Combined)
_read_head = json_decoder(_Head)
_read_depth = json_decoder(_Depth)
_read_best = json_decoder(_Best)
_read_trade = json_decoder(_Trade)
_read_ticker = json_decoder(_Ticker)
_read_snapshot = json_decoder(_Snapshot)
_REPLY = Reply()


class BinanceParser:
    """Reads the frames of Binance's streams; see `assembly.parser.Parser`."""

    book_mark = b"depth"

    def parse(self, raw: bytes) -> Sequence[Parsed]:
        """Return what a frame says."""
        if raw.startswith(b'{"stream":'):
            combined = _read_combined(raw)
            return _said(bytes(combined.data), combined.stream.partition("@")[2])
        return _said(raw, "")

    def parse_rest(self, request: str, body: bytes) -> Sequence[Parsed]:
        """Return the snapshot that a request for `depth` gave."""
        symbol = parse_qs(request.partition("?")[2]).get("symbol", [""])[0]
        snapshot = _read_snapshot(body)
        return (
            BookUpdate(
                symbol,
                snapshot.bids,
                snapshot.asks,
                is_snapshot=True,
                via_rest=True,
                exchange_ns=snapshot.E * _MS,
                last=snapshot.lastUpdateId,
            ),
        )


def _said(raw: bytes, stream: str) -> Sequence[Parsed]:
    """Return what the body of a frame says; the stream's name, where known, says its kind."""
    if stream.startswith("depth"):
        kind = "depthUpdate"
    elif stream:
        kind = stream.partition("@")[0]
    else:
        head = _read_head(raw)
        kind = head.kind or ("bookTicker" if head.u else "")
        if not kind and (head.id is not None or head.code is not None or b'"result"' in raw):
            return (_REPLY,)
    if kind == "depthUpdate":
        d = _read_depth(raw)
        return (
            BookUpdate(d.s, d.b, d.a, exchange_ns=d.E * _MS, first=d.U, last=d.u, previous=d.pu),
        )
    if kind == "bookTicker":
        best = _read_best(raw)
        return (BestQuote(best.s, best.u, (best.b, best.B), (best.a, best.A)),)
    if kind in ("trade", "aggTrade"):
        return _trade(raw, kind)
    if kind in ("ticker", "24hrTicker"):
        return (_figures(_read_ticker(raw)),)
    if kind in ("serverShutdown", "!serverShutdown"):
        return (Notice("the venue announced that it shuts this server down"),)
    if kind.startswith(("kline", "markPrice", "miniTicker", "forceOrder")):
        return ()
    raise InvalidMessage(f"unknown stream {(stream or kind)[:40]!r}")


def _trade(raw: bytes, kind: str) -> Sequence[Parsed]:
    t = _read_trade(raw)
    if t.X not in ("MARKET", "") or not t.q:
        return ()  # of an insurance fund, or nothing at all: no trade of the book
    if not t.p > 0 or not t.q > 0:
        raise InvalidMessage(f"a trade of {t.q:g} at {t.p:g}")
    number = t.a if kind == "aggTrade" else t.t
    # The buyer was the maker, so somebody sold to him.
    side = "sell" if t.m else "buy"
    return (Trades(t.s, [Trade(t.s, t.p, t.q, side, str(number), t.T * _MS)]),)


def _figures(t: _Ticker) -> Figures:
    event = Ticker(t.s, t.c, t.b, t.a, t.v, t.h, t.l, t.p, t.P, exchange_ns=t.E * _MS)
    return Figures(t.s, event)
