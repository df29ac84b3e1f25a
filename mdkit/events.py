"""What the market says: typed, immutable, small.

Times are integer nanoseconds since the Unix epoch, UTC. `exchange_ns` is the exchange's own
clock (0 where a message carried none); `received_ns` is this machine's clock, read when the
bytes came off the socket. The two clocks may differ by seconds, so their difference is a delay
only after an offset has been estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

Level = tuple[float, float]
"""One price level of an order book: (price, size)."""

_MS = 1_000_000


class Event(msgspec.Struct, frozen=True, gc=False):
    """The root of all events. `kind` names the channel such events come on."""

    kind: ClassVar[str] = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the event as the flat dict of the `flat` dialect, JSON-ready."""
        raise NotImplementedError


class Depth(Event, frozen=True, gc=False):
    """A snapshot of the visible order book: bids by price descending, asks ascending.

    Example:
        >>> book = md.Depth("AAPL.US", bids=((100.0, 300.0),), asks=((100.02, 100.0),))
        >>> price, size = book.bids[0]
        >>> price, size, md.mid(book)
        (100.0, 300.0, 100.01)
    """

    kind: ClassVar[str] = "depth"

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    exchange_ns: int = 0
    received_ns: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return `type, symbol, bids, asks, timestamp` with levels as [price, size] lists."""
        return {
            "type": "depth",
            "symbol": self.symbol,
            "bids": [list(level) for level in self.bids],
            "asks": [list(level) for level in self.asks],
            "timestamp": self.exchange_ns // _MS,
        }


class Trade(Event, frozen=True, gc=False):
    """One execution. `side` is the aggressor's: "buy", "sell" or "neutral" (unknown).

    Example:
        >>> trade = md.Trade("AAPL.US", price=100.02, size=50.0, side="buy")
        >>> trade.price, trade.side
        (100.02, 'buy')
    """

    kind: ClassVar[str] = "trade"

    symbol: str
    price: float
    size: float
    side: str = "neutral"
    id: str = ""
    exchange_ns: int = 0
    received_ns: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return `type, symbol, price, quantity, side, id, timestamp`."""
        return {
            "type": "trade",
            "symbol": self.symbol,
            "id": self.id,
            "price": self.price,
            "quantity": self.size,
            "side": self.side,
            "timestamp": self.exchange_ns // _MS,
        }


class Ticker(Event, frozen=True, gc=False):
    """The last price and, where the market gives them, quote and 24-hour figures.

    Example:
        >>> md.Ticker("AAPL.US", last=100.01, bid=100.0, ask=100.02).as_dict()["bid_price"]
        100.0
    """

    kind: ClassVar[str] = "ticker"

    symbol: str
    last: float
    bid: float | None = None
    ask: float | None = None
    volume_24h: float | None = None
    high_24h: float | None = None
    low_24h: float | None = None
    change_24h: float | None = None
    change_percent_24h: float | None = None
    trade_session: str | None = None
    exchange_ns: int = 0
    received_ns: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return `type, symbol, last_price, ..., timestamp`; absent figures are left out."""
        fields: Mapping[str, Any] = {
            "type": "ticker",
            "symbol": self.symbol,
            "last_price": self.last,
            "bid_price": self.bid,
            "ask_price": self.ask,
            "volume_24h": self.volume_24h,
            "high_24h": self.high_24h,
            "low_24h": self.low_24h,
            "price_change_24h": self.change_24h,
            "price_change_percent_24h": self.change_percent_24h,
            "trade_session": self.trade_session,
            "timestamp": self.exchange_ns // _MS,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Bar(Event, frozen=True, gc=False):
    """Open, high, low, close and volume of one period that began at `start_ns`.

    `partial` marks a bar that may lack trades: a live feed began, broke or ended within it.

    Example:
        >>> prices = {"open": 100.0, "high": 101.0, "low": 99.5, "close": 100.5}
        >>> bar = md.Bar("AAPL.US", **prices, volume=1200.0, start_ns=0)
        >>> bar.close, bar.interval, bar.partial
        (100.5, '1m', False)
    """

    kind: ClassVar[str] = "bar"

    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    start_ns: int
    interval: str = "1m"
    partial: bool = False

    @property
    def exchange_ns(self) -> int:
        """The time that signals about this bar carry: its start."""
        return self.start_ns

    def as_dict(self) -> dict[str, Any]:
        """Return `type, symbol, time, open, high, low, close, volume, interval, partial`.

        `partial` is left out where it is false.
        """
        fields: dict[str, Any] = {
            "type": "kline",
            "symbol": self.symbol,
            "interval": self.interval,
            "time": self.start_ns // _MS,
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": self.volume,
        }
        return {**fields, "partial": True} if self.partial else fields


class Gap(Event, frozen=True, gc=False):
    """A stretch of a channel that was not seen: from `from_ns` to `to_ns` by the local clock.

    `lost` is how many messages are known to be missing, None where nobody can know.

    Example:
        >>> gap = md.Gap("AAPL.US", "depth", "connection lost", from_ns=0, to_ns=2_000_000_000)
        >>> (gap.to_ns - gap.from_ns) / 1e9
        2.0
    """

    kind: ClassVar[str] = "gap"

    symbol: str
    channel: str
    reason: str
    from_ns: int
    to_ns: int
    lost: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return `type, symbol, channel, reason, from_ns, to_ns, lost`."""
        return {
            "type": "gap",
            "symbol": self.symbol,
            "channel": self.channel,
            "reason": self.reason,
            "from_ns": self.from_ns,
            "to_ns": self.to_ns,
            "lost": self.lost,
        }


DROPPED = "dropped"
"""The reason of a gap that the queue's own policy made."""
REFUSED = "subscription refused"

SET_BACK = "this machine's clock was set back"
"""How the reason of a gap begins that is one of the local clock alone: nothing is missing."""

MarketEvent = Depth | Trade | Ticker | Bar
"""What the live channels carry."""


class Signal(msgspec.Struct, frozen=True, gc=False):
    """What a strategy said about one event: its target exposure, or any measure.

    Example:
        >>> signal = md.Signal("AAPL.US", "pressure", 1.0)
        >>> signal.strategy, signal.value
        ('pressure', 1.0)
    """

    symbol: str
    strategy: str
    value: float
    exchange_ns: int = 0
    received_ns: int = 0
