"""Equity and trades beside backtesting.py, figures beside empyrical; skipped without them."""

import warnings

import numpy as np
import pandas as pd
import pytest

from mdkit.backtesting.engine import backtest
from mdkit.strategies import SmaCross, strategy

pytestmark = pytest.mark.outer


@strategy("bar")
class LateCross(SmaCross):
    """Silent on the 30th bar too, on which both averages are ready but theirs is not asked."""

    def start(self):
        super().start()
        self.count = 0

    def __call__(self, bar):
        said = super().__call__(bar)
        self.count += 1
        return said if self.count > 30 else None


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backtesting = pytest.importorskip("backtesting", reason="compares with backtesting.py")
        from backtesting import test as samples
    # Its progress bar leaves a thread behind.
    backtesting.backtesting._tqdm = lambda steps, **_: steps
    return backtesting, samples


@pytest.fixture(scope="module")
def empyrical():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("empyrical", reason="compares with empyrical-reloaded")


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("short", [False, True])
def test_equity_and_trades_are_those_of_backtesting_py(theirs, fill, short):
    backtesting, samples = theirs
    goog = samples.GOOG
    cash, fee = 1e12, 0.002  # their units are whole; against so much cash that rounds nothing off

    class Cross(backtesting.Strategy):
        def init(self):
            close = pd.Series(self.data.Close)
            self.fast = self.I(lambda: close.rolling(10).mean())
            self.slow = self.I(lambda: close.rolling(30).mean())

        def next(self):
            # Turning takes two orders there; here one order has the same costs.
            if self.fast[-1] > self.slow[-1] and not self.position.is_long:
                self.position.close()
                self.buy()
            elif self.fast[-1] < self.slow[-1] and (self.position.is_long or not self.position):
                self.position.close()
                if short:
                    self.sell()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = backtesting.Backtest(
            goog, Cross, cash=cash, commission=fee, trade_on_close=fill == "close",
            exclusive_orders=False,
        ).run()  # fmt: skip
    ours = goog.rename(columns=str.lower).tz_localize("UTC")
    result = backtest(LateCross(short=short), ours, fee=fee, cash=cash, fill=fill, engine="python")
    trades = result.trades[result.trades["exit_reason"] == "signal"]
    other = stats["_trades"]
    assert len(trades) == len(other) > 20
    assert trades["entry_time"].dt.tz_localize(None).tolist() == other["EntryTime"].tolist()
    assert trades["exit_time"].dt.tz_localize(None).tolist() == other["ExitTime"].tolist()
    assert trades["entry_price"].to_numpy() == pytest.approx(other["EntryPrice"].to_numpy())
    assert trades["exit_price"].to_numpy() == pytest.approx(other["ExitPrice"].to_numpy())
    if not short:
        # Shorts are sized differently there: against cash rather than against what is left.
        equity = stats["_equity_curve"]["Equity"].to_numpy()
        # Orders at a close enter their equity on the next bar, and ours at once.
        same = ~result.panel.index.isin(result.fills["time"]) | (fill == "next_open")
        assert result.equity["equity"].to_numpy()[same] == pytest.approx(equity[same], rel=1e-6)
        assert trades["pnl"].to_numpy() == pytest.approx(other["PnL"].to_numpy(), rel=1e-4)
        assert result.stats["return"] == pytest.approx(stats["Return [%]"] / 100, rel=1e-6)
        assert result.stats["max_drawdown"] == pytest.approx(
            stats["Max. Drawdown [%]"] / 100, rel=1e-6
        )


@pytest.mark.parametrize("risk_free", [0.0, 0.04])
@pytest.mark.parametrize("interval", ["7h", "1D"])
def test_ratios_are_those_of_empyrical(empyrical, seeded_bars, interval, risk_free):
    bars = seeded_bars(900, 11, interval=interval, volatility=0.01)
    result = backtest(
        SmaCross(short=True), bars, engine="python", risk_free=risk_free, periods_per_year=300
    )
    equity = result.equity["equity"]
    daily = equity.groupby(equity.index.floor("D")).last()
    returns = daily / np.concatenate([[10_000.0], daily.to_numpy()[:-1]]) - 1.0
    held = pd.Series(result.account.benchmark, equity.index).groupby(equity.index.floor("D")).last()
    market = held / np.concatenate([[1.0], held.to_numpy()[:-1]]) - 1.0
    free = 1.0 + risk_free
    free = free ** (1 / 300) - 1.0
    stats = result.stats
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "sharpe": empyrical.sharpe_ratio(returns, free, annualization=300),
            "sortino": empyrical.sortino_ratio(returns, free, annualization=300),
            "volatility": empyrical.annual_volatility(returns, annualization=300),
            "beta": empyrical.beta(returns, market, free),
            "alpha": empyrical.alpha(returns, market, free, annualization=300),
            "max_drawdown": empyrical.max_drawdown(equity.pct_change().fillna(
                equity.iloc[0] / 10_000.0 - 1.0)),
            "return": empyrical.cum_returns_final(returns),
        }  # fmt: skip
    assert stats["returns"] == len(returns)
    for name, value in expected.items():
        assert stats[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert stats["calmar"] == pytest.approx(stats["cagr"] / -expected["max_drawdown"])
