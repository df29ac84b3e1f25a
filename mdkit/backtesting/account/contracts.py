"""What trading costs, and what a contract is worth: `Fees` and `Contract`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdkit.errors import SettingsError
from mdkit.numbers import is_finite


@dataclass(frozen=True)
class Fees:
    """Fees as fractions of the value traded, 0.0004 for 4 basis points.

    Attributes:
        maker: of an order that rested in the book; below 0 for a rebate.
        taker: of an order that took what was shown.

    Raises `SettingsError` for what is no fraction between -0.5 and 0.5 (taker: from 0 on).

    Example:
        >>> fees = md.Fees(maker=-0.0001, taker=0.0004)
        >>> fills = md.backtest(md.strategies.pressure, md.sample(), fee=fees).fills
        >>> bool((fills["fee"] > 0).all())  # they took what was shown
        True
    """

    maker: float = 0.0
    taker: float = 0.0

    def __post_init__(self) -> None:
        for name, lowest in (("maker", -0.5), ("taker", 0.0)):
            value = getattr(self, name)
            if not (is_finite(value) and lowest <= value < 0.5):
                raise SettingsError(
                    f"Fees: {name} is {value!r}; give a fraction of the value traded, such as "
                    f"0.0004{', or -0.0001 for a rebate' if lowest < 0 else ''}"
                )


@dataclass(frozen=True)
class Contract:
    """What one unit of a symbol's sizes is, in the books and in orders.

    A linear contract is `size` units of what is traded, worth `size` x price. An inverse one is
    worth `size` units of the money itself, whatever the price, and gains in what is traded:
    n contracts bought at p and sold at q gain n size (1/p - 1/q), which at q is n size (q/p - 1).
    So bought at p it is the same as size / p units, which is how the account holds it.

    Attributes:
        size: units of what is traded; of an inverse contract, of the account's money.
        inverse: True for contracts such as Binance's coin-margined BTCUSD_PERP (size 100).
        tick: limit prices are multiples of it, bids rounded down and asks up; 0 for any price.
        lot: orders are multiples of so many contracts, rounded towards zero; 0 for any size.

    Raises `SettingsError` for numbers that cannot be.

    Example:
        >>> shares = dict.fromkeys(["AAPL.US", "MSFT.US"], md.Contract(tick=0.01, lot=1.0))
        >>> result = md.backtest(md.strategies.pressure, md.sample(), contracts=shares)
        >>> bool((result.fills["units"] % 1 == 0).all())
        True
    """

    size: float = 1.0
    inverse: bool = False
    tick: float = 0.0
    lot: float = 0.0

    def __post_init__(self) -> None:
        if not (is_finite(self.size) and self.size > 0.0):
            raise SettingsError(f"Contract: size is {self.size!r}; give a number above 0")
        for name in ("tick", "lot"):
            value = getattr(self, name)
            if not (is_finite(value) and value >= 0.0):
                raise SettingsError(f"Contract: {name} is {value!r}; give 0 or more")
        if not isinstance(self.inverse, bool):
            raise SettingsError(f"Contract: inverse is {self.inverse!r}; give True or False")


def as_fees(fee: Any) -> Fees:
    """Return `Fees` from one fraction for both sides, or from such; raise `SettingsError`."""
    if isinstance(fee, Fees):
        return fee
    if not (is_finite(fee) and 0.0 <= fee < 0.5):
        raise SettingsError(
            f"fee is {fee!r}; give a fraction of the value traded, such as 0.001, or "
            "md.Fees(maker=0.0002, taker=0.0005)"
        )
    return Fees(float(fee), float(fee))
