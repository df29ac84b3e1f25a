"""Normalized messages: JSON objects that begin with `type` and `symbol`; times are in ns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Bar, Depth, Event, Level, MarketEvent, Ticker, Trade
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.reading.numbers import Price
from mdkit.venues.routes import REST, Read, SomeEvents

encode = msgspec.json.Encoder().encode


class BookMessage(Struct, tag_field="type", tag="depth"):
    """A whole book, as far as it is queued; a side may be written already."""

    symbol: str
    bids: Sequence[Level] | Raw
    asks: Sequence[Level] | Raw
    ns: int = 0


class TradesMessage(Struct, tag_field="type", tag="trade", omit_defaults=True, kw_only=True):
    """Trades of one frame: (price, size, side, id, ns), and why others are left out."""

    symbol: str
    via: str = ""
    trades: Sequence[tuple[float, float, str, str, int]]
    unusable: tuple[str, ...] = ()


class TickerMessage(Struct, tag_field="type", tag="ticker", omit_defaults=True):
    """A ticker's figures, as far as they are known."""

    symbol: str
    last: float
    bid: float | None = None
    ask: float | None = None
    volume_24h: float | None = None
    high_24h: float | None = None
    low_24h: float | None = None
    change_24h: float | None = None
    change_percent_24h: float | None = None
    ns: int = 0


class BarMessage(Struct, tag_field="type", tag="bar"):
    """A bar that REST gave: open, high, low, close and volume from `ns` on."""

    symbol: str
    via: str
    interval: str
    figures: tuple[float, float, float, float, float]
    ns: int


class InvalidText(Struct, tag_field="type", tag="invalid"):
    """A frame that cannot be used, and why."""

    symbol: str
    reason: str
    text: str


class _Book(Struct, gc=False):
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    ns: int = 0


class _Invalid(Struct, gc=False):
    reason: str


_read_book = json_decoder(_Book)
_read_trades = json_decoder(TradesMessage)
_read_ticker = json_decoder(TickerMessage)
_read_bar = json_decoder(BarMessage)
_read_invalid = json_decoder(_Invalid)


def message(event: Event | Sequence[Trade], *, via: str = "") -> bytes:
    """Return the message of an event, or of trades of one symbol."""
    if isinstance(event, Depth):
        return encode(BookMessage(event.symbol, event.bids, event.asks, event.exchange_ns))
    if isinstance(event, Trade):
        event = [event]
    if isinstance(event, Ticker):
        return encode(
            TickerMessage(
                event.symbol,
                event.last,
                event.bid,
                event.ask,
                event.volume_24h,
                event.high_24h,
                event.low_24h,
                event.change_24h,
                event.change_percent_24h,
                event.exchange_ns,
            )
        )
    if isinstance(event, Bar):
        figures = (event.open, event.high, event.low, event.close, event.volume)
        return encode(BarMessage(event.symbol, REST, event.interval, figures, event.start_ns))
    if isinstance(event, Sequence) and event:
        rows = [(t.price, t.size, t.side, t.id, t.exchange_ns) for t in event]
        return encode(TradesMessage(symbol=event[0].symbol, via=via, trades=rows))
    raise InvalidMessage(f"no message pushes {type(event).__name__}")


def read_book(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
    """Return the book of a message."""
    book = _read_book(raw)
    return (Depth(symbol, book.bids, book.asks, book.ns, received_ns),)


def trades_reader(price: Any) -> Read:
    """Return what reads messages of trades; `price` is what prices may be."""
    signed = price is not Price

    def read(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        found = _read_trades(raw)
        reasons = list(found.unusable)
        events: list[MarketEvent] = []
        for number, (price, size, side, id_, ns) in enumerate(found.trades, 1):
            if price > 0 or signed:
                events.append(Trade(symbol, price, size, side, id_, ns, received_ns))
            else:
                reasons.append(f"trade {number} of {len(found.trades)}: price {price:g}")
        if not events and reasons:
            raise InvalidMessage("; ".join(reasons[:3]))
        if not reasons:
            return tuple(events)
        some = SomeEvents(events)
        some.unusable = tuple(reasons)
        return some

    return read


def read_ticker(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
    """Return the ticker of a message."""
    t = _read_ticker(raw)
    return (
        Ticker(
            symbol,
            t.last,
            t.bid,
            t.ask,
            t.volume_24h,
            t.high_24h,
            t.low_24h,
            t.change_24h,
            t.change_percent_24h,
            exchange_ns=t.ns,
            received_ns=received_ns,
        ),
    )


def read_bar(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
    """Return the bar of a message."""
    bar = _read_bar(raw)
    open_, high, low, close, volume = bar.figures
    return (Bar(symbol, open_, high, low, close, volume, bar.ns, bar.interval),)


def read_invalid(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
    """Raise `InvalidMessage` with the reason that stands in the message."""
    raise InvalidMessage(_read_invalid(raw).reason)
