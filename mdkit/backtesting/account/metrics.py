"""What a backtest's equity and trades amount to: every figure with its formula and source.

Ratios are of *daily* returns: equity at the last bar of each day (by the clock of the bars' own
time zone) over that of the day before, the first day's over the cash at the beginning, however
little of that day there was. Bars longer than a day give a return each. Fewer than `MIN_RETURNS`
returns say nothing about a year: ratios are then nan, and so are growth and turnover a year
unless a year has passed. This is how empyrical (Quantopian; now
empyrical-reloaded) computes them, so that figures can be compared; libraries that annualise the
returns of single bars print ratios that differ by large factors for the same equity.

Symbols: r are the returns, N how many; A the returns per year (`periods_per_year`); f the
risk-free rate per return, (1 + risk_free)^(1/A) - 1; E the equity at each bar's close.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.calendar import Calendar
from mdkit.backtesting.account.terms import check_rates
from mdkit.backtesting.account.trades import Trades

Floats = npt.NDArray[np.float64]
NAN = math.nan
_DAY = pd.Timedelta(days=1)
MIN_RETURNS = 20
"""The fewest returns from which anything is told about a year."""
ENOUGH_YEARS = 0.99
"""After which growth and turnover a year are told however few returns there are."""


@dataclass(frozen=True)
class Account:
    """What the figures are computed from. What not every figure needs is called for.

    Attributes:
        cash: the equity at the beginning.
        calendar: of the bars.
        equity: at each close, (bars,).
        get_benchmark: value at each close of 1.0 in what the account is compared with, (bars,).
        get_invested: whether any position was held after each close, (bars,).
        get_traded: value traded in all, over the equity's mean.
        get_trades: as `trades.group` returns them.
        get_held: value at each close of 1.0 held without costs since the first open; None where
            that is the benchmark.
        periods_per_year: A; None takes the calendar's.
        risk_free: a year.

    Raises `SettingsError` for rates that cannot be.
    """

    cash: float
    calendar: Calendar
    equity: Floats
    get_benchmark: Callable[[], Floats]
    get_invested: Callable[[], Any]
    get_traded: Callable[[], float]
    get_trades: Callable[[], Trades]
    get_held: Callable[[], Floats] | None = None
    periods_per_year: float | None = None
    risk_free: float = 0.0

    def __post_init__(self) -> None:
        check_rates(self.periods_per_year, self.risk_free)

    @property
    def is_short(self) -> bool:
        """Whether there are too few returns for ratios."""
        return len(self.returns) < MIN_RETURNS

    @property
    def is_brief(self) -> bool:
        """Whether there are too few returns, and too little time, for figures a year."""
        return self.is_short and self.calendar.years < ENOUGH_YEARS

    @cached_property
    def year(self) -> float:
        """A, the returns per year."""
        given = self.periods_per_year
        return self.calendar.returns_per_year if given is None else float(given)

    @cached_property
    def returns(self) -> Floats:
        """The r of the formulas."""
        return _returns(self.equity[self.calendar.ends], self.cash)

    @cached_property
    def benchmark_returns(self) -> Floats:
        """The same of the benchmark, which is buying and holding unless another was given."""
        return _returns(self.benchmark[self.calendar.ends], 1.0)

    @cached_property
    def benchmark(self) -> Floats:
        """See `get_benchmark`."""
        return self.get_benchmark()

    @cached_property
    def free(self) -> float:
        """The f of the formulas."""
        return float((1.0 + self.risk_free) ** (1.0 / self.year) - 1.0)

    @cached_property
    def drawdowns(self) -> Floats:
        """E over its highest so far (the beginning included) - 1, at each close."""
        return self.equity / self.peaks - 1.0

    @cached_property
    def peaks(self) -> Floats:
        """The highest equity so far, the beginning included, at each close."""
        peaks: Floats = np.maximum(np.maximum.accumulate(self.equity), self.cash)
        return peaks

    @cached_property
    def trades(self) -> Trades:
        """See `get_trades`."""
        return self.get_trades()

    @cached_property
    def closed(self) -> Floats:
        """The pnl of the trades that have ended."""
        return self.trades.pnl[~self.trades.is_open]


def _returns(values: Floats, start: float) -> Floats:
    before = np.concatenate([[start], values[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        # Nothing can be earned on an equity that is gone.
        return np.where(before > 0.0, values / before - 1.0, 0.0)


def total_return(a: Account) -> float:
    """Return E_last / cash - 1."""
    return float(a.equity[-1]) / a.cash - 1.0


def cagr(a: Account) -> float:
    """Return (E_last / cash)^(1 / years) - 1, years of 365.25 days; -1 when nothing is left."""
    if a.equity[-1] <= 0.0:
        return -1.0
    if a.is_brief:
        return NAN
    growth = math.log(float(a.equity[-1]) / a.cash) / a.calendar.years
    return math.expm1(growth) if growth < 700.0 else math.inf


def volatility(a: Account) -> float:
    """Return std(r, ddof=1) sqrt(A)."""
    return float(np.std(a.returns, ddof=1)) * math.sqrt(a.year) if not a.is_short else NAN


def sharpe(a: Account) -> float:
    """Return mean(r - f) / std(r - f, ddof=1) sqrt(A). Sharpe 1994."""
    if a.is_short:
        return NAN
    excess = a.returns - a.free
    return _ratio(float(np.mean(excess)), float(np.std(excess, ddof=1))) * math.sqrt(a.year)


def sortino(a: Account) -> float:
    """Return mean(r - f) / sqrt(sum(min(r - f, 0)^2) / N) sqrt(A), over all N. Sortino 1994."""
    if a.is_short:
        return NAN
    excess = a.returns - a.free
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    return _ratio(float(np.mean(excess)), downside) * math.sqrt(a.year)


def max_drawdown(a: Account) -> float:
    """Return min(E / (highest E so far) - 1) over the closes of all bars; 0 or negative."""
    return float(a.drawdowns.min())


def max_drawdown_duration(a: Account) -> pd.Timedelta:
    """Return the longest time below an earlier high, from that high's bar to the recovery's."""
    under = a.drawdowns < 0.0
    if not under.any():
        return pd.Timedelta(0)
    # The last bar not under water, at each bar; before the first there is the beginning itself.
    above = np.maximum.accumulate(np.where(under, -1, np.arange(len(under))))
    began = np.where(above < 0, a.calendar.starts[0], a.calendar.starts[np.maximum(above, 0)])
    after = np.append(a.calendar.starts[1:], a.calendar.starts[-1])
    return pd.Timedelta(int((after - began)[under].max()), "ns")


def calmar(a: Account) -> float:
    """Return CAGR / |max drawdown|. Young 1991."""
    return _ratio(cagr(a), abs(max_drawdown(a)))


def exposure(a: Account) -> float:
    """Return the share of bars after whose close a position was held."""
    return float(a.get_invested().mean())


def turnover(a: Account) -> float:
    """Return the value traded over the mean equity, a year; buying and selling both count."""
    return a.get_traded() / a.calendar.years if not a.is_brief else NAN


def trade_count(a: Account) -> int:
    """Return how many trades have ended."""
    return len(a.closed)


def win_rate(a: Account) -> float:
    """Return the share of ended trades with a positive pnl."""
    return float((a.closed > 0.0).mean()) if len(a.closed) else NAN


def profit_factor(a: Account) -> float:
    """Return the sum of the winners' pnl over that of the losers, ended trades."""
    pnl = a.closed
    return _ratio(float(pnl[pnl > 0].sum()), -float(pnl[pnl < 0].sum()))


def expectancy(a: Account) -> float:
    """Return the mean return of the ended trades."""
    returns = a.trades.returns[~a.trades.is_open]
    return float(returns.mean()) if len(returns) else NAN


def sqn(a: Account) -> float:
    """Return sqrt(n) mean(pnl) / std(pnl, ddof=1) over n ended trades. Tharp 2008."""
    pnl = a.closed
    if len(pnl) < 2:
        return NAN
    return _ratio(float(pnl.mean()), float(pnl.std(ddof=1))) * math.sqrt(len(pnl))


def buy_and_hold(a: Account) -> float:
    """Return what holding from the first open to the last close gave, equal shares, no costs."""
    return float((a.get_held or a.get_benchmark)()[-1]) - 1.0


def beta(a: Account) -> float:
    """Return cov(r, b) / var(b), with b those of the benchmark (buying and holding). CAPM."""
    if a.is_short:
        return NAN
    own = a.returns - np.mean(a.returns)
    other = a.benchmark_returns - np.mean(a.benchmark_returns)
    return _ratio(float(np.mean(own * other)), float(np.mean(other * other)))


def alpha(a: Account) -> float:
    """Return (1 + mean((r - f) - beta (b - f)))^A - 1. Jensen 1968, annualised."""
    slope = beta(a)
    if math.isnan(slope):
        return NAN
    rest = (a.returns - a.free) - slope * (a.benchmark_returns - a.free)
    mean = float(np.mean(rest))
    if mean <= -1.0:
        return -1.0
    growth = a.year * math.log1p(mean)
    return math.expm1(growth) if growth < 700.0 else math.inf


def information_ratio(a: Account) -> float:
    """Return mean(r - b) / std(r - b, ddof=1) sqrt(A), b of the benchmark. Goodwin 1998."""
    if a.is_short:
        return NAN
    active = a.returns - a.benchmark_returns
    return _ratio(float(np.mean(active)), float(np.std(active, ddof=1))) * math.sqrt(a.year)


def _ratio(over: float, under: float) -> float:
    """Return over / under; inf with the sign of `over` when under is 0, nan when both are."""
    if under > 1e-15 * abs(over) or under < 0.0 or over != over:
        return over / under if under else NAN
    return math.copysign(math.inf, over) if over else NAN


class Metric(NamedTuple):
    """A figure: how it is computed, and how to show it: "share", "number", "count", "time".

    `best` is 1 where the highest value is the best one and -1 where the lowest is. `yearly`
    figures need `MIN_RETURNS` returns.
    """

    compute: Callable[[Account], Any]
    form: str
    best: int = 1
    yearly: bool = False

    def needs_returns(self, count: int, years: float) -> bool:
        """Whether so many returns over so much time are too few for this figure."""
        if not self.yearly or count >= MIN_RETURNS:
            return False
        return years < ENOUGH_YEARS or self.compute not in (cagr, calmar, turnover)

    def worth(self, value: Any) -> float:
        """Return a value as a number, of which the highest is the best."""
        return self.best * (value / _DAY if isinstance(value, pd.Timedelta) else float(value))


METRICS: Mapping[str, Metric] = {
    "return": Metric(total_return, "share"),
    "cagr": Metric(cagr, "share", yearly=True),
    "volatility": Metric(volatility, "share", -1, yearly=True),
    "sharpe": Metric(sharpe, "number", yearly=True),
    "sortino": Metric(sortino, "number", yearly=True),
    "calmar": Metric(calmar, "number", yearly=True),
    "max_drawdown": Metric(max_drawdown, "share"),
    "max_drawdown_duration": Metric(max_drawdown_duration, "time", -1),
    "exposure": Metric(exposure, "share"),
    "turnover": Metric(turnover, "number", -1, yearly=True),
    "trades": Metric(trade_count, "count"),
    "win_rate": Metric(win_rate, "share"),
    "profit_factor": Metric(profit_factor, "number"),
    "expectancy": Metric(expectancy, "share"),
    "sqn": Metric(sqn, "number"),
    "buy_and_hold": Metric(buy_and_hold, "share"),
    "alpha": Metric(alpha, "share", yearly=True),
    "beta": Metric(beta, "number", yearly=True),
    "information_ratio": Metric(information_ratio, "number", yearly=True),
}
"""Every figure of `Result.stats`, by name; the docstring of `compute` is its definition."""


def describe(name: str) -> str:
    """Return the formula and source of a figure, such as `describe("sharpe")`."""
    text = METRICS[name].compute.__doc__ or ""
    return " ".join(text.split()).removeprefix("Return ")
