"""Where a message belongs and how to read it: a `Route` for each symbol and channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Bar, Depth, MarketEvent, Ticker, Trade
from mdkit.wire.bodies import (
    Book,
    BookMessage,
    Candle,
    CandleMessage,
    Executions,
    ExecutionsMessage,
    Figures,
    FiguresMessage,
)
from mdkit.wire.numbers import Figure, Price
from mdkit.wire.reading import json_decoder
from mdkit.wire.salvage import some, usable_book, usable_executions, usable_figures

CHANNELS = ("depth", "trade", "ticker")
"""What can be subscribed to. Bars ("kline") are understood as well: they go on channel "bar"."""
ANSWER = "answer"
"""The channel of answers to commands, which are not market data."""
UNREADABLE = "unreadable"
"""The channel of messages so broken that not even their channel can be told."""
_MS = 1_000_000
_INF = float("inf")
Read = Callable[[str, bytes, int], tuple[MarketEvent, ...]]
"""`read(symbol, raw, received_ns)` returns a message's events, or raises `InvalidMessage`.

Where only parts of a message are unusable the events are `SomeEvents`, which says which."""
LIVE, REST = "live", "rest"
"""Where a message came from: the socket, or the REST service after a gap."""


P = TypeVar("P")


class Route(Struct, Generic[P], eq=False):
    """Where a message belongs, and how to read it. The symbols of a channel share one `read`.

    `place` is what the router's owner keeps for a symbol and channel: None until it is set.
    """

    channel: str
    symbol: str
    read: Read
    origin: str = LIVE
    place: P | None = None

    def decode(self, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        """Return a message's events; raise `InvalidMessage` with the reason."""
        return self.read(self.symbol, raw, received_ns)

    @property
    def account(self) -> str:
        """The name under which such messages are counted: what REST filled in, by itself."""
        return self.channel if self.origin == LIVE else f"{self.channel}:{self.origin}"


def _depth_reader(price: Any, enveloped: bool) -> Read:
    read: Any = json_decoder(BookMessage[price] if enveloped else Book[price])

    def decode(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        try:
            book = read(raw).data if enveloped else read(raw)
        except InvalidMessage as error:
            book = usable_book(raw, enveloped, price, error)
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


def invalid_route(channel: str, symbol: str, reason: str) -> Route[Any]:
    """Return a route whose messages are all invalid, for one reason."""

    def decode(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        raise InvalidMessage(reason)

    return Route(channel, symbol, decode)


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
