"""Orders that a strategy can answer with, beside a target exposure: `Limit` and `Quote`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mdkit.backtesting.account.numbers import is_finite
from mdkit.errors import SettingsError

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
        size: in the units of the book's sizes (contracts), below 0 to sell.
        time_in_force: "GTC", "IOC", or "GTX" for post only.

    Raises `SettingsError` for what is no price, no size or no time in force.
    """

    price: float
    size: float
    time_in_force: TimeInForce = "GTC"

    def __post_init__(self) -> None:
        if not is_finite(self.price):
            raise SettingsError(f"Limit: price is {self.price!r}; give a number")
        if not (is_finite(self.size) and self.size != 0.0):
            raise SettingsError(f"Limit: size is {self.size!r}; give a number, below 0 to sell")
        _check_time(self.time_in_force, "Limit")


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


def _check_time(value: object, what: str) -> None:
    if value not in get_args(TimeInForce):
        raise SettingsError(f'{what}: time_in_force is {value!r}; give "GTC", "IOC" or "GTX"')
