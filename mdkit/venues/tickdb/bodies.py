"""What messages hold, field by field, under the service's own names."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Raw, Struct

from mdkit.venues.reading.numbers import Figure, LevelSize, Millis, Size

P = TypeVar("P", bound=float)
"""What prices may be: `Price`, or `Figure` where those of 0 and below are allowed."""


class Book(Struct, Generic[P], gc=False):
    """An order book, best prices first, in which something is to be had at every level."""

    bids: tuple[tuple[P, LevelSize], ...]
    asks: tuple[tuple[P, LevelSize], ...]
    timestamp: Millis = 0


class Execution(Struct, Generic[P], gc=False):
    """One trade."""

    price: P
    quantity: Size
    side: str = "neutral"
    id: str | int = ""
    timestamp: Millis = 0


class Executions(Struct, Generic[P], gc=False):
    """Several trades in `trades`, or one spelled out flat, as China futures push it."""

    trades: tuple[Execution[P], ...] = ()
    price: P | None = None
    quantity: Size | None = None
    side: str = "neutral"
    id: str | int = ""
    timestamp: Millis = 0


class Figures(Struct, Generic[P], gc=False):
    """What a ticker says: the last price and the figures of the day."""

    last_price: P
    bid_price: Figure | None = None
    ask_price: Figure | None = None
    volume_24h: Figure | None = None
    high_24h: Figure | None = None
    low_24h: Figure | None = None
    price_change_24h: Figure | None = None
    price_change_percent_24h: Figure | None = None
    trade_session: str | None = None
    timestamp: Millis = 0


class Candle(Struct, Generic[P], gc=False):
    """One bar; `time` is its start."""

    time: Millis
    open: P
    high: P
    low: P
    close: P
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


class BookMessage(Struct, Generic[P], gc=False):
    """A book in its envelope, as the `realtime` dialect has it."""

    data: Book[P]


class ExecutionsMessage(Struct, Generic[P], gc=False):
    """Trades in their envelope."""

    data: Executions[P]


class FiguresMessage(Struct, Generic[P], gc=False):
    """One symbol's figures, or those of several, in an envelope."""

    data: Figures[P] | list[Figures[P]]


class CandleMessage(Struct, Generic[P], gc=False):
    """A bar in its envelope."""

    data: Candle[P]
