"""On what terms an account trades, and the rates that its figures rest on: both checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mdkit.backtesting.account.contracts import Contract, Fees, as_fees
from mdkit.backtesting.account.fills import Account
from mdkit.backtesting.account.leverage import Financing, Margin
from mdkit.backtesting.account.sizing import ATRStop, RiskSize, VolatilityTarget
from mdkit.errors import SettingsError
from mdkit.numbers import is_finite

Fill = Literal["next_open", "close"]
Fills = Literal["touch", "book", "queue"]
BarFills = Literal["through", "touch"]


class BacktestWarning(UserWarning):
    """A backtest ran, but on less than it was given, or on more than a market would have given."""


_ON_BOOKS = {
    "size": "a target is a share of the equity, and md.Limit and md.Quote have their own size: "
    "leave it out, and scale what the strategy says",
    "margin": "targets are at most the equity: leave it out, and bound md.Quote by max_position "
    "and md.Limit by its size",
    "financing": "holding costs nothing: leave it out, and subtract what the time held would cost",
}
"""What takes the place of terms that only bars have."""


@dataclass(frozen=True)
class Terms:
    """On what terms an account trades; see `backtest`.

    Raises `SettingsError` for whatever is no finite number in its range.
    """

    fee: float | Fees = 0.0
    slippage: float = 0.0
    fill: Fill = "next_open"
    cash: float = 10_000.0
    stop_loss: float | ATRStop | None = None
    take_profit: float | ATRStop | None = None
    weights: Mapping[str, float] | None = None
    trade: bool = True
    fills: Fills | BarFills = "book"
    max_share: float = 1.0
    time_in_force: Literal["GTC", "IOC"] = "GTC"
    contracts: Mapping[str, Contract] | None = None
    trailing_stop: float | ATRStop | None = None
    size: RiskSize | VolatilityTarget | None = None
    margin: Margin | None = None
    financing: Financing | None = None

    def __post_init__(self) -> None:
        as_fees(self.fee)
        if not (is_finite(self.slippage) and 0.0 <= self.slippage < 0.5):
            raise SettingsError(
                f"slippage is {self.slippage!r}; give a fraction of the value traded, such as 0.001"
            )
        for name in ("stop_loss", "take_profit", "trailing_stop"):
            value = getattr(self, name)
            if isinstance(value, ATRStop) or value is None:
                continue
            if not (is_finite(value) and value > 0.0):
                raise SettingsError(
                    f"{name} is {value!r}; give None, a fraction of the entry price, such as 0.05, "
                    "or md.ATRStop(3)"
                )
        if not (is_finite(self.cash) and self.cash > 0.0):
            raise SettingsError(f"cash is {self.cash!r}; give a positive amount")
        if self.fill not in ("next_open", "close"):
            raise SettingsError(f'fill is {self.fill!r}; give "next_open" or "close"')
        if not isinstance(self.trade, bool):
            raise SettingsError(f"trade is {self.trade!r}; give True or False")
        if self.weights is not None:
            _check_weights(self.weights)
        if self.fills not in (*get_args(Fills), *get_args(BarFills)):
            raise SettingsError(
                f'fills is {self.fills!r}; give "touch", "book" or "queue", on bars "through" or '
                '"touch"'
            )
        if not (is_finite(self.max_share) and 0.0 < self.max_share <= 1.0):
            raise SettingsError(
                f"max_share is {self.max_share!r}; give the share of what the book shows that can "
                "be taken, above 0 and at most 1"
            )
        if self.time_in_force not in ("GTC", "IOC"):
            raise SettingsError(
                f'time_in_force is {self.time_in_force!r}; give "GTC", what is not filled waits, '
                'or "IOC", it is given up'
            )
        if self.fills == "queue" and self.time_in_force == "IOC":
            raise SettingsError('time_in_force is "IOC", and fills="queue" waits; leave it out')
        if self.contracts is not None:
            _check_contracts(self.contracts)
        for name, kinds, cure in (
            ("size", RiskSize | VolatilityTarget, "md.RiskSize(0.01) or md.VolatilityTarget(0.15)"),
            ("margin", Margin, "md.Margin(initial=0.5, maintenance=0.25)"),
            ("financing", Financing, "md.Financing(borrow=0.03)"),
        ):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), kinds):
                raise SettingsError(f"{name} is {getattr(self, name)!r}; give None or {cure}")
        if isinstance(self.size, RiskSize) and self.stop_loss is None:
            raise SettingsError(
                "size=md.RiskSize(...) is sized by the stop; give stop_loss as well"
            )
        ranges = {(stop.period, stop.interval) for stop in self.atr_stops}
        if len(ranges) > 1:
            raise SettingsError(
                "the md.ATRStop of stop_loss, trailing_stop and take_profit differ in period or "
                "interval; give them the same"
            )

    @property
    def atr_stops(self) -> list[ATRStop]:
        """The stops whose distances are average true ranges."""
        levels = (self.stop_loss, self.take_profit, self.trailing_stop)
        return [level for level in levels if isinstance(level, ATRStop)]

    @property
    def is_plain(self) -> bool:
        """Whether an account over bars needs no more than targets, and stops that are fractions."""
        resizes = isinstance(self.size, VolatilityTarget) and self.size.rebalance
        return (
            self.trailing_stop is None
            and not self.atr_stops
            and self.margin is None
            and self.financing is None
            and not (resizes and (self.stop_loss is not None or self.take_profit is not None))
        )

    def is_simple(self, symbols: tuple[str, ...]) -> bool:
        """Whether `fills.run_single` does: one symbol, no stops."""
        return len(symbols) == 1 and self.stop_loss is None and self.take_profit is None

    def check_bars(self) -> None:
        """Raise `SettingsError` for terms that only books have."""
        for name, given in (
            ("max_share", self.max_share != 1.0),
            ("contracts", self.contracts),
            ("time_in_force", self.time_in_force != "GTC"),
        ):
            if given:
                raise SettingsError(
                    f"{name} is for books; on bars orders fill whole, so leave it out"
                )
        if self.fills == "queue":
            raise SettingsError(
                'fills="queue" is for books; limits on bars fill "through" their price or at the '
                '"touch"'
            )
        if any(stop.interval for stop in self.atr_stops):
            raise SettingsError("ATRStop: interval is for books; on bars it is their own")

    def check_books(self) -> None:
        """Raise `SettingsError` for terms that only bars have."""
        for name, cure in _ON_BOOKS.items():
            given = getattr(self, name)
            if given is not None:
                raise SettingsError(
                    f"{name} is an md.{type(given).__name__}, which is for bars; on books {cure}"
                )
        if self.fills == "through":
            raise SettingsError('fills="through" is for bars; give "touch", "book" or "queue"')
        if any(stop.interval is None for stop in self.atr_stops):
            raise SettingsError(
                'ATRStop: on books give the bars that the range is of, such as interval="1m"'
            )

    @property
    def taker(self) -> float:
        """The fee of what takes, which on bars all orders do."""
        return as_fees(self.fee).taker

    def single(self, symbols: tuple[str, ...]) -> list[float]:
        """Return the terms that `fills.run_single` takes."""
        (weight,) = self.shares(symbols)
        return [weight, float(self.cash), self.taker, float(self.slippage)]

    def shares(self, symbols: tuple[str, ...]) -> list[float]:
        """Return each symbol's share of the equity; equal ones unless there are weights."""
        weights = self.weights
        if weights is None:
            weights = dict.fromkeys(symbols, 1.0 / len(symbols))
        elif set(weights) != set(symbols):
            raise SettingsError(
                f"weights are for {', '.join(map(str, weights))}; the symbols are "
                f"{', '.join(symbols)}"
            )
        return [float(weights[symbol]) for symbol in symbols]

    def account(self, symbols: tuple[str, ...], fills: Any) -> Account:
        """Return a fresh account for these symbols."""
        return Account(
            self.shares(symbols),
            float(self.cash),
            self.taker,
            float(self.slippage),
            _fraction(self.stop_loss),
            _fraction(self.take_profit),
            fills,
        )


def _fraction(level: float | ATRStop | None) -> float:
    """Return a stop's fraction, inf for none; an account that is plain has no other."""
    assert not isinstance(level, ATRStop)
    return math.inf if level is None else float(level)


def _check_weights(weights: Any) -> None:
    if not isinstance(weights, Mapping):
        raise SettingsError(
            f"weights is {weights!r}; give each symbol's share of the equity, such as "
            '{"A": 0.5, "B": 0.5}'
        )
    for symbol, weight in weights.items():
        if not (is_finite(weight) and weight >= 0.0):
            raise SettingsError(
                f"weights: that of {symbol} is {weight!r}; give a share of the equity, 0 or more, "
                "such as 0.5"
            )


def _check_contracts(contracts: Any) -> None:
    good = isinstance(contracts, Mapping)
    if not good or not all(isinstance(each, Contract) for each in contracts.values()):
        raise SettingsError(
            f"contracts is {contracts!r}; give contracts by symbol, such as "
            '{"BTCUSD_PERP": md.Contract(100, inverse=True)}'
        )


def check_rates(periods_per_year: Any, risk_free: Any) -> None:
    """Raise `SettingsError` unless figures can be annualised with these."""
    if periods_per_year is not None and not (
        is_finite(periods_per_year) and 0.0 < periods_per_year <= 366.0
    ):
        raise SettingsError(
            f"periods_per_year is {periods_per_year!r}; give the number of returns a year, above "
            "0 and at most 366 (returns are daily, whatever the bars), or None to have it counted"
        )
    if not (is_finite(risk_free) and -1.0 < risk_free < 2.0):
        raise SettingsError(
            f"risk_free is {risk_free!r}; give a yearly rate as a fraction, such as 0.04 for 4 %"
        )
