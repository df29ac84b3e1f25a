"""What messages hold, field by field, under the service's own names."""

from __future__ import annotations

from msgspec import Raw, Struct

from mdkit.wire.numbers import Figure, LevelSize, Millis, Price, Size


class Book(Struct, gc=False):
    """An order book, best prices first, in which something is to be had at every level."""

    bids: tuple[tuple[Price, LevelSize], ...]
    asks: tuple[tuple[Price, LevelSize], ...]
    timestamp: Millis = 0


class Execution(Struct, gc=False):
    """One trade."""

    price: Price
    quantity: Size
    side: str = "neutral"
    id: str | int = ""
    timestamp: Millis = 0


class Executions(Struct, gc=False):
    """Several trades in `trades`, or one spelled out flat, as China futures push it."""

    trades: tuple[Execution, ...] = ()
    price: Price | None = None
    quantity: Size | None = None
    side: str = "neutral"
    id: str | int = ""
    timestamp: Millis = 0


class Figures(Struct, gc=False):
    """What a ticker says: the last price and the figures of the day."""

    last_price: Price
    bid_price: Figure | None = None
    ask_price: Figure | None = None
    volume_24h: Figure | None = None
    high_24h: Figure | None = None
    low_24h: Figure | None = None
    price_change_24h: Figure | None = None
    price_change_percent_24h: Figure | None = None
    trade_session: str | None = None
    timestamp: Millis = 0


class Candle(Struct, gc=False):
    """One bar; `time` is its start."""

    time: Millis
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size = 0.0
    interval: str = "1m"


class Head(Struct, gc=False):
    """Enough of any message to tell what it is."""

    cmd: str = ""
    type: str = ""
    via: str = ""
    code: int | None = None
    symbol: str | int = ""
    data: Raw = Raw(b"")


class SymbolOnly(Struct, gc=False):
    """What tells whom a body is about."""

    symbol: str | int = ""


class BookMessage(Struct, gc=False):
    """A book in its envelope, as the `realtime` dialect has it."""

    data: Book


class ExecutionsMessage(Struct, gc=False):
    """Trades in their envelope."""

    data: Executions


class FiguresMessage(Struct, gc=False):
    """One symbol's figures, or those of several, in an envelope."""

    data: Figures | list[Figures]


class CandleMessage(Struct, gc=False):
    """A bar in its envelope."""

    data: Candle
