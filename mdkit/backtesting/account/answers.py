"""Orders that a strategy can answer with, beside a target exposure.

`Limit` and `Quote` on books and on bars, `Stop` and `OCO` on bars. When they fill stands in
`mdkit.backtesting.books.door` and `mdkit.backtesting.bars`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mdkit.errors import SettingsError
from mdkit.numbers import is_finite

TimeInForce = Literal["GTC", "IOC", "GTX"]
"""How long an order stays: until it is cancelled; for what is there at once, the rest given up; or
until cancelled, but given up at once where it would take (post only)."""


@dataclass(frozen=True)
class Limit:
    """Buy at this price or below, or, with a size below 0, sell at it or above.

    It takes the place of all earlier orders of the symbol. The same `Limit` said again is no new
    order. What of it can be taken when it comes due is taken, and the rest waits in the book.

    Attributes:
        price: the limit.
        size: in the units of the book's sizes (contracts), on bars units; below 0 to sell.
        time_in_force: "GTC", "IOC", or "GTX" for post only.
        exposure: on bars, in place of a size: the target exposure that the order brings the
            position to, in [-1, 1]. It buys or sells as that needs when it comes due.

    Raises `SettingsError` for what is no price, no size or no time in force.

    Example:
        >>> @md.strategy("depth")
        ... def patient(book):
        ...     return md.Limit(book.bids[0][0], size=10.0)
        >>> len(md.backtest(patient, md.sample(), fills="queue", cash=100_000).fills)
        78
    """

    price: float
    size: float | None = None
    time_in_force: TimeInForce = "GTC"
    exposure: float | None = None

    def __post_init__(self) -> None:
        _check_order(self, "Limit")
        _check_time(self.time_in_force, "Limit")


@dataclass(frozen=True)
class Stop:
    """On bars: buy once the price has risen to this one, or sell once it has fallen to it.

    It then takes what there is: filled at the stop's price, or at the open where that is beyond.
    It takes the place of all earlier orders of the symbol, and stays until another does. The same
    `Stop` said again is no new order.

    Attributes:
        price: that sets it off.
        size: units, below 0 to sell.
        exposure: in place of a size: the target exposure that the order brings the position to,
            in [-1, 1]. It buys or sells as that needs when it comes due.

    Raises `SettingsError` for what is no price or no size.

    Example:
        >>> @md.strategy("bar")
        ... def breakout(bar):
        ...     return md.Stop(102.0, size=10.0)
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
        >>> highs = [101.0, 101.0, 103.0, 101.0]
        >>> bars = pd.DataFrame({"open": 100.0, "high": highs, "low": 99.0, "close": 100.0}, days)
        >>> md.backtest(breakout, bars).fills[["units", "price"]]
           units  price
        0   10.0  102.0
    """

    price: float
    size: float | None = None
    exposure: float | None = None

    def __post_init__(self) -> None:
        _check_order(self, "Stop")


@dataclass(frozen=True)
class OCO:
    """On bars: two orders of which one cancels the other when it fills.

    Such as the two ends of a trade, `md.OCO(md.Stop(95, exposure=0), md.Limit(110, exposure=0))`,
    or the two sides of a breakout. Where one bar reaches both, the one that is worth less at the
    bar's close is taken to have been filled.

    Attributes:
        first, second: `Limit` or `Stop`.

    Raises `SettingsError` for anything else.

    Example:
        >>> @md.strategy("bar")
        ... def breakout(bar):
        ...     return md.OCO(md.Stop(102.0, size=10.0), md.Stop(98.0, size=-10.0))
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
        >>> highs = [101.0, 101.0, 103.0, 101.0]
        >>> bars = pd.DataFrame({"open": 100.0, "high": highs, "low": 99.0, "close": 100.0}, days)
        >>> md.backtest(breakout, bars).fills[["units", "price"]]
           units  price
        0   10.0  102.0
    """

    first: Limit | Stop
    second: Limit | Stop

    def __post_init__(self) -> None:
        for name in ("first", "second"):
            if not isinstance(getattr(self, name), Limit | Stop):
                raise SettingsError(
                    f"OCO: {name} is {getattr(self, name)!r}; give md.Limit or md.Stop"
                )


@dataclass(frozen=True)
class Quote:
    """Stand in the book on both sides: buy at `bid` and sell at `ask`, `size` each.

    It takes the place of all earlier orders of the symbol, but an order that rests at the same
    price stays as it is, with what is left of it and its place in the queue. `Quote()` cancels.

    Attributes:
        bid, ask: the prices; None for no order on that side.
        size: in the units of the book's sizes (contracts), above 0.
        max_position: in the same units: a side is not quoted beyond such a position, long or
            short; None for no bound.
        time_in_force: "GTC", or "GTX" for post only.

    Raises `SettingsError` for what is no price, a bid not below the ask, or no size.

    Example:
        >>> @md.strategy("depth")
        ... def maker(book):
        ...     return md.Quote(book.bids[0][0], book.asks[0][0], size=10.0, max_position=50.0)
        >>> len(md.backtest(maker, md.sample(), fills="queue", cash=100_000).fills)
        184
    """

    bid: float | None = None
    ask: float | None = None
    size: float = 0.0
    max_position: float | None = None
    time_in_force: TimeInForce = "GTC"

    def __post_init__(self) -> None:
        for name in ("bid", "ask"):
            price = getattr(self, name)
            if price is not None and not is_finite(price):
                raise SettingsError(f"Quote: {name} is {price!r}; give a number or None")
        quoted = self.bid is not None or self.ask is not None
        if self.bid is not None and self.ask is not None and self.bid >= self.ask:
            raise SettingsError(f"Quote: bid {self.bid} is not below ask {self.ask}")
        if not (is_finite(self.size) and (self.size > 0.0 or not quoted)):
            raise SettingsError(f"Quote: size is {self.size!r}; give a number above 0")
        most = self.max_position
        if most is not None and not (is_finite(most) and most >= 0.0):
            raise SettingsError(f"Quote: max_position is {most!r}; give 0 or more, or None")
        _check_time(self.time_in_force, "Quote")
        if self.time_in_force == "IOC":
            raise SettingsError('Quote: time_in_force "IOC" would not stand; use a Limit')


def _check_order(order: Limit | Stop, what: str) -> None:
    if not is_finite(order.price):
        raise SettingsError(f"{what}: price is {order.price!r}; give a number")
    if order.size is not None and order.exposure is not None:
        raise SettingsError(f"{what}: size and exposure are both given; give one of them")
    if order.exposure is not None:
        if not (is_finite(order.exposure) and -1.0 <= order.exposure <= 1.0):
            raise SettingsError(
                f"{what}: exposure is {order.exposure!r}; give a number from -1 to 1"
            )
    elif not (is_finite(order.size) and order.size != 0.0):
        raise SettingsError(f"{what}: size is {order.size!r}; give a number, below 0 to sell")


def _check_time(value: object, what: str) -> None:
    if value not in get_args(TimeInForce):
        raise SettingsError(f'{what}: time_in_force is {value!r}; give "GTC", "IOC" or "GTX"')
