"""Figures on accounts small enough to work them out."""

import math

import numpy as np
import pandas as pd
import pytest

from mdkit.backtesting.account import metrics
from mdkit.backtesting.account.calendar import DAY, Calendar
from mdkit.backtesting.account.metrics import METRICS, MIN_RETURNS, Account
from mdkit.backtesting.account.trades import Trades
from mdkit.errors import SettingsError


def trades_of(pnl):
    """Trades of which each but the figures of interest is 0; all have ended."""
    pnl = np.array(pnl, float)
    columns = dict.fromkeys(Trades._fields, np.zeros(len(pnl)))
    return Trades(**{**columns, "pnl": pnl, "returns": pnl / 100})


def account(equity, *, step=DAY, first="2024-01-01", pnl=(), **more):
    start = pd.Timestamp(first, tz="UTC").value
    equity = np.array(equity, float)
    return Account(
        cash=100.0,
        calendar=Calendar(start + step * np.arange(len(equity)), single=step),
        equity=equity,
        get_benchmark=lambda: np.linspace(1.0, 1.2, len(equity)),
        get_invested=lambda: np.arange(len(equity)) % 2 == 0,
        get_traded=lambda: 4.0,
        get_trades=lambda: trades_of(pnl),
        **more,
    )


def test_returns_are_of_utc_days_the_partial_first_included():
    hours = account([101, 102, 103, 104, 105], step=DAY // 2, first="2024-01-01 12:00")
    assert hours.returns == pytest.approx([0.01, 103 / 101 - 1, 105 / 103 - 1])
    assert hours.calendar.frequency == "daily (UTC)"
    weeks = account([101, 102], step=7 * DAY)
    assert weeks.calendar.frequency == "per bar"
    assert weeks.year == pytest.approx(365.25 / 7)


def test_the_year_is_the_calendars_unless_given():
    assert account([100] * 5).year == 252.0
    assert account([100] * 7).year == 365.0
    assert account([100] * 7, periods_per_year=300).year == 300.0


@pytest.mark.parametrize(
    ("rate", "says"),
    [
        *(({"periods_per_year": x}, "periods_per_year is") for x in (0, -5, math.nan, math.inf)),
        *(({"periods_per_year": x}, "at most 366") for x in (525_600, True, "252")),
        *(({"risk_free": x}, "risk_free is") for x in (math.nan, math.inf, -1.0, -2, 4, None, "x")),
    ],
)
def test_rates_that_cannot_be_are_refused(rate, says):
    with pytest.raises(SettingsError, match=says):
        account([100.0, 101.0], **rate)


YEARLY = [name for name, metric in METRICS.items() if metric.yearly]


def test_fewer_than_twenty_returns_say_nothing_about_a_year():
    random = np.random.default_rng(1)
    equity = 100.0 * np.exp(np.cumsum(random.normal(0.001, 0.01, MIN_RETURNS)))
    few, enough = account(equity[:-1]), account(equity)
    assert {name for name in YEARLY if math.isnan(METRICS[name].compute(few))} == set(YEARLY)
    assert not [name for name in YEARLY if math.isnan(METRICS[name].compute(enough))]
    others = set(METRICS) - set(YEARLY) - {"win_rate", "profit_factor", "expectancy", "sqn"}
    for name in others:
        assert not pd.isna(METRICS[name].compute(few)), name


def test_what_grew_over_years_is_told_however_few_bars_there_were():
    years = account([110.0, 121.0, 133.1], step=365 * DAY)
    assert metrics.cagr(years) == pytest.approx(1.1 ** (365.25 / 365) - 1.0)
    assert math.isnan(metrics.sharpe(years))


def test_growth_is_over_elapsed_time():
    year = account([100.0] * 364 + [150.0])
    assert metrics.total_return(year) == pytest.approx(0.5)
    assert metrics.cagr(year) == pytest.approx(1.5 ** (365.25 / 365) - 1)
    assert metrics.cagr(account([100.0, -5.0])) == -1.0


def test_drawdown_counts_from_the_beginning_and_until_recovery():
    fallen = account([90.0, 110.0, 99.0, 88.0, 120.0, 119.0])
    assert metrics.max_drawdown(fallen) == pytest.approx(-0.2)
    assert metrics.max_drawdown_duration(fallen) == pd.Timedelta(days=3)
    assert metrics.max_drawdown(account([100.0, 101.0])) == 0.0
    assert metrics.max_drawdown_duration(account([100.0, 101.0])) == pd.Timedelta(0)


def test_trades_by_hand():
    traded = account([100.0, 101.0], pnl=(30.0, -10.0, -5.0, 25.0))
    assert metrics.trade_count(traded) == 4
    assert metrics.win_rate(traded) == 0.5
    assert metrics.profit_factor(traded) == pytest.approx(55 / 15)
    assert metrics.expectancy(traded) == pytest.approx(0.1)
    deviation = np.std([30, -10, -5, 25], ddof=1)
    assert metrics.sqn(traded) == pytest.approx(2 * 10 / deviation)
    assert metrics.profit_factor(account([100.0], pnl=(1.0,))) == math.inf


def test_exposure_and_turnover():
    a = account([100.0] * 20)
    assert metrics.exposure(a) == 0.5
    assert metrics.turnover(a) == pytest.approx(4.0 * 365.25 / 20)


@pytest.mark.parametrize("equity", [[100.0], [100.0, 100.0], [0.0, 0.0], [100.0, -3.0, -3.0]])
def test_figures_of_odd_accounts_are_numbers_or_nan_without_a_warning(equity):
    found = {name: metric.compute(account(equity)) for name, metric in METRICS.items()}
    assert all(isinstance(value, (int, float, pd.Timedelta)) for value in found.values())


@pytest.mark.parametrize("name", METRICS)
def test_every_figure_says_its_formula(name):
    text = metrics.describe(name)
    assert len(text) > 15
    assert text.endswith((".", ")"))
