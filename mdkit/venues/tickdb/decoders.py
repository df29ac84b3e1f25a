"""TickDB's messages to events: a decoder for each channel, with and without an envelope."""

from __future__ import annotations

from typing import Any

import msgspec

from mdkit.errors import InvalidMessage
from mdkit.events import Bar, Depth, MarketEvent, Ticker, Trade
from mdkit.venues.reading.messages import BROKEN, json_decoder, unreadable
from mdkit.venues.reading.numbers import Figure, Price
from mdkit.venues.routes import LIVE, Read, Route
from mdkit.venues.tickdb.bodies import (
    Book,
    BookMessage,
    Candle,
    CandleMessage,
    Executions,
    ExecutionsMessage,
    Figures,
    FiguresMessage,
)
from mdkit.venues.tickdb.salvage import some, usable_book, usable_executions, usable_figures

_MS = 1_000_000
_INF = float("inf")


def _depth_reader(price: Any, enveloped: bool) -> Read:
    kind: Any = BookMessage[price] if enveloped else Book[price]
    read = msgspec.json.Decoder(kind, strict=False).decode  # books are most of a feed

    def decode(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        try:
            book = read(raw).data if enveloped else read(raw)
        except BROKEN as error:
            book = usable_book(raw, enveloped, price, unreadable(raw, error))
        bids, asks = book.bids, book.asks
        previous = _INF
        for bid, _ in bids:
            if bid >= previous:
                raise InvalidMessage(f"bids are not sorted: {bid:g} follows {previous:g}")
            previous = bid
        previous = -_INF
        for ask, _ in asks:
            if ask <= previous:
                raise InvalidMessage(f"asks are not sorted: {ask:g} follows {previous:g}")
            previous = ask
        if bids and asks and bids[0][0] > asks[0][0]:
            raise InvalidMessage(f"book is crossed: bid {bids[0][0]:g} above ask {asks[0][0]:g}")
        return (Depth(symbol, bids, asks, book.timestamp * _MS, received_ns),)

    return decode


def _trade_reader(price: Any, enveloped: bool) -> Read:
    read: Any = json_decoder(ExecutionsMessage[price] if enveloped else Executions[price])

    def decode(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        reasons: list[str] | None = None
        try:
            body = read(raw).data if enveloped else read(raw)
            executions = body.trades
            if not executions:
                if body.price is None or body.quantity is None:
                    raise InvalidMessage("message holds no trades")
                executions = (body,)
        except InvalidMessage as error:
            executions, reasons = usable_executions(raw, enveloped, price, error)
        trades = [
            Trade(symbol, x.price, x.quantity, x.side, str(x.id), x.timestamp * _MS, received_ns)
            for x in executions
        ]
        return tuple(trades) if reasons is None else some(trades, reasons)

    return decode


def _ticker_reader(price: Any, enveloped: bool) -> Read:
    read: Any = json_decoder(FiguresMessage[price] if enveloped else Figures[price])

    def decode(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        reasons: list[str] | None = None
        try:
            body = read(raw).data if enveloped else read(raw)
        except InvalidMessage as error:
            body, reasons = usable_figures(raw, enveloped, price, error)
        tickers = [
            Ticker(
                symbol,
                x.last_price,
                x.bid_price,
                x.ask_price,
                x.volume_24h,
                x.high_24h,
                x.low_24h,
                x.price_change_24h,
                x.price_change_percent_24h,
                x.trade_session,
                x.timestamp * _MS,
                received_ns,
            )
            for x in (body if isinstance(body, list) else (body,))
        ]
        return tuple(tickers) if reasons is None else some(tickers, reasons)

    return decode


def _bar_reader(price: Any, enveloped: bool) -> Read:
    read: Any = json_decoder(CandleMessage[price] if enveloped else Candle[price])

    def decode(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        x = read(raw).data if enveloped else read(raw)
        if x.low > min(x.open, x.close) or x.high < max(x.open, x.close):
            raise InvalidMessage(f"bar is impossible: high {x.high:g}, low {x.low:g}")
        start_ns = x.time * _MS
        return (Bar(symbol, x.open, x.high, x.low, x.close, x.volume, start_ns, x.interval),)

    return decode


# Shared by all symbols: a decoder for each would not fit into the processor's cache.
_READERS = {
    (command, enveloped, signed): (channel, make(Figure if signed else Price, enveloped))
    for command, channel, make in (
        ("depth", "depth", _depth_reader),
        ("trade", "trade", _trade_reader),
        ("ticker", "ticker", _ticker_reader),
        ("kline", "bar", _bar_reader),
    )
    for enveloped in (False, True)
    for signed in (False, True)
}
COMMANDS = frozenset(command for command, _, _ in _READERS)
"""The service's names of what it pushes."""


def new_route(
    command: str, symbol: str, enveloped: bool, origin: str = LIVE, *, signed: bool = False
) -> Route[Any]:
    """Return the route of what the service calls `command`, with or without an envelope.

    Where `signed`, prices may be 0 and below.
    """
    channel, read = _READERS[command, enveloped, signed]
    return Route(channel, symbol, read, origin)
