"""Positions beyond the equity and what holding costs: `Margin` and `Financing`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.numbers import is_finite


@dataclass(frozen=True)
class Margin:
    """How much equity positions need. Values are sums over symbols of |units| x price.

    Orders are cut so that the value after them is at most equity / `initial`, before their own
    costs. When a bar's prices bring the equity below `maintenance` times the value, every position
    is closed, with the reason "liquidation"; where in a bar stands in `mdkit.backtesting.bars`.
    The defaults are those of a US margin account: Regulation T of the Federal Reserve, 12 CFR
    220.12, and FINRA rule 4210.

    Attributes:
        initial: a fraction of the value, above 0; 0.1 for ten times the equity.
        maintenance: likewise, from 0 to `initial`.

    Raises `SettingsError` for numbers that cannot be.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
        >>> bars = pd.DataFrame({"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0}, days)
        >>> bought = pd.Series([1.0], days[:1])
        >>> terms = {"stop_loss": 0.02, "size": md.RiskSize(0.1, max_exposure=5.0)}
        >>> result = md.backtest(signals=bought, bars=bars, margin=md.Margin(0.5), **terms)
        >>> result.fills["units"].tolist()
        [200.0]
    """

    initial: float = 0.5
    maintenance: float = 0.25

    def __post_init__(self) -> None:
        if not (is_finite(self.initial) and 0.0 < self.initial <= 1.0):
            raise SettingsError(
                f"Margin: initial is {self.initial!r}; give a fraction above 0 and at most 1"
            )
        if not (is_finite(self.maintenance) and 0.0 <= self.maintenance <= self.initial):
            raise SettingsError(
                f"Margin: maintenance is {self.maintenance!r}; give a fraction from 0 to "
                f"initial, {self.initial}"
            )


@dataclass(frozen=True, eq=False)
class Financing:
    """What it costs to hold positions over time.

    Rates a year are simple and count days over 365 (ACT/365). They are charged from bar to bar, on
    what is held when a bar begins and before any order of it, at the last close. With
    `fill="close"` a bar's own time is charged at its close, before the orders that fill there.

    Attributes:
        borrow: a year, on the value of what is sold short; a number, or one by symbol.
        loan: a year, on cash below zero.
        funding: of perpetual contracts: fractions of the value, by time, of which holders pay each
            to those who are short (below 0: get); a Series, or a DataFrame with a column per
            symbol. One is charged when the first bar begins that starts at its time or later;
            those after the start of the last bar, at its close. With `fill="close"` those within a
            bar, its end included, at its close.

    Raises `SettingsError` for what are no rates.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=4, tz="UTC")
        >>> bars = pd.DataFrame({"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0}, days)
        >>> short = pd.Series([-1.0], days[:1])
        >>> result = md.backtest(signals=short, bars=bars, financing=md.Financing(borrow=0.0365))
        >>> result.equity["equity"].round(2).tolist()
        [10000.0, 10000.0, 9999.0, 9997.0]
    """

    borrow: float | Mapping[str, float] = 0.0
    loan: float = 0.0
    funding: pd.Series[Any] | pd.DataFrame | None = None

    def __post_init__(self) -> None:
        given = self.borrow
        rates = given.values() if isinstance(given, Mapping) else [given]
        for name, rate in (*(("borrow", rate) for rate in rates), ("loan", self.loan)):
            if not (is_finite(rate) and 0.0 <= rate < 100.0):
                raise SettingsError(
                    f"Financing: {name} is {rate!r}; give a yearly rate as a fraction, such as 0.03"
                )
        funding = self.funding
        if funding is None:
            return
        if not isinstance(funding, pd.Series | pd.DataFrame) or not isinstance(
            funding.index, pd.DatetimeIndex
        ):
            raise SettingsError(
                f"Financing: funding is a {type(funding).__name__}; give a Series of rates by "
                "time, or a DataFrame with a column per symbol"
            )
        try:
            values = funding.to_numpy(float)
        except (TypeError, ValueError):
            values = np.array([np.nan])
        if not np.isfinite(values[~np.isnan(values)]).all() or (
            np.isnan(values).any() and isinstance(funding, pd.Series)
        ):
            raise SettingsError("Financing: funding has rates that are no finite numbers")
        if not (funding.index.is_monotonic_increasing and funding.index.is_unique):
            raise SettingsError(
                "Financing: the times of funding are not in order, or twice there; sort them"
            )
