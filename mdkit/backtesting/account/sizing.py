"""How large a position is, and how far its stop is away: `RiskSize`, `VolatilityTarget`, `ATRStop`.

How they are computed over bars stands in `mdkit.backtesting.bars.sizes`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mdkit.errors import SettingsError
from mdkit.history.intervals import check_interval
from mdkit.numbers import is_finite


@dataclass(frozen=True)
class ATRStop:
    """A distance of so many average true ranges, for `stop_loss`, `trailing_stop`, `take_profit`.

    It is that which is known when the position is entered, and stays until it is closed: `multiple`
    times Wilder's average (`md.ATR`) of the bars completed by then; while there are fewer than
    `period`, the mean of theirs. Wilder, New Concepts in Technical Trading Systems, 1978.

    Attributes:
        multiple: above 0.
        period: bars.
        interval: on books, those of the bars of mid prices that the range is of, such as "1m"; on
            bars their own.

    Raises `SettingsError` for numbers that cannot be.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
        >>> lows = [99.0, 99.0, 95.0, 99.0]
        >>> bars = pd.DataFrame({"open": 100.0, "high": 101.0, "low": lows, "close": 100.0}, days)
        >>> bought = pd.Series([1.0], days[:1])
        >>> result = md.backtest(signals=bought, bars=bars, stop_loss=md.ATRStop(2, period=2))
        >>> result.fills[["price", "reason"]]
           price     reason
        0  100.0     signal
        1   96.0  stop_loss
    """

    multiple: float
    period: int = 14
    interval: str | None = None

    def __post_init__(self) -> None:
        if not (is_finite(self.multiple) and self.multiple > 0.0):
            raise SettingsError(f"ATRStop: multiple is {self.multiple!r}; give a number above 0")
        _check_period(self.period, 1, "ATRStop")
        if self.interval is not None:
            check_interval(self.interval)


@dataclass(frozen=True)
class RiskSize:
    """A position of which a stop-loss costs so much of the equity.

    A signal's exposure becomes signal x risk x price / (distance of `stop_loss`), at most
    `max_exposure` either way: with `stop_loss=0.05`, risk / 0.05; with an `md.ATRStop` the distance
    and the price when the signal is said. Slippage, and an open beyond the stop, cost more.
    "Percent risk" of Tharp, Trade Your Way to Financial Freedom, 1998.

    Attributes:
        risk: a fraction of the equity, 0.01 for 1 %.
        max_exposure: of the equity; above 1 with borrowed money.

    Raises `SettingsError` for numbers that cannot be.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
        >>> bars = pd.DataFrame({"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0}, days)
        >>> bought = pd.Series([1.0], days[:1])
        >>> terms = {"stop_loss": 0.05, "size": md.RiskSize(0.01)}
        >>> result = md.backtest(signals=bought, bars=bars, **terms)
        >>> round(float(result.fills["units"].iloc[0]), 2)
        20.0
    """

    risk: float
    max_exposure: float = 1.0

    def __post_init__(self) -> None:
        if not (is_finite(self.risk) and 0.0 < self.risk <= 1.0):
            raise SettingsError(
                f"RiskSize: risk is {self.risk!r}; give a fraction of the equity, such as 0.01"
            )
        _check_most(self.max_exposure, "RiskSize")


@dataclass(frozen=True)
class VolatilityTarget:
    """A position that would have had such a volatility over the last bars.

    A signal's exposure becomes signal x volatility / v, at most `max_exposure` either way, with v
    the standard deviation (ddof=1) of the returns of the last `period` bars up to the one on which
    it is said, times the root of the bars of a year. A signal waits until there are so many.
    Moskowitz, Ooi and Pedersen, Time Series Momentum, 2012, section 4.

    Attributes:
        volatility: a year, as a fraction, 0.15 for 15 %.
        period: returns, at least 2.
        max_exposure: of the equity; above 1 with borrowed money.
        rebalance: True sizes anew on every bar; else only when the signal changes.

    Raises `SettingsError` for numbers that cannot be.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
        >>> closes = [100.0, 102.0, 100.0, 102.0]
        >>> bars = pd.DataFrame({name: closes for name in ("open", "high", "low", "close")}, days)
        >>> said = pd.Series([1.0], days[2:3])
        >>> result = md.backtest(signals=said, bars=bars, size=md.VolatilityTarget(0.15, period=2))
        >>> round(float(result.fills["units"].iloc[0]), 2)
        33.08
    """

    volatility: float
    period: int = 20
    max_exposure: float = 1.0
    rebalance: bool = False

    def __post_init__(self) -> None:
        if not (is_finite(self.volatility) and self.volatility > 0.0):
            raise SettingsError(
                f"VolatilityTarget: volatility is {self.volatility!r}; give a fraction a year, "
                "such as 0.15"
            )
        _check_period(self.period, 2, "VolatilityTarget")
        _check_most(self.max_exposure, "VolatilityTarget")
        if not isinstance(self.rebalance, bool):
            raise SettingsError(
                f"VolatilityTarget: rebalance is {self.rebalance!r}; give True or False"
            )


def _check_period(period: object, least: int, what: str) -> None:
    if not (isinstance(period, int) and not isinstance(period, bool) and period >= least):
        raise SettingsError(f"{what}: period is {period!r}; give a number of bars from {least} on")


def _check_most(most: object, what: str) -> None:
    if not (is_finite(most) and most > 0.0):  # type: ignore[operator]
        raise SettingsError(
            f"{what}: max_exposure is {most!r}; give a multiple of the equity above 0"
        )
