"""What a Result shows and writes."""

import numpy as np
import pandas as pd
import pytest

from mdkit.backtesting import metrics
from mdkit.backtesting.engine import backtest
from mdkit.backtesting.plots import png
from mdkit.backtesting.result import compare
from mdkit.errors import SettingsError
from mdkit.strategies import BuyAndHold, RsiReversion, SmaCross


@pytest.fixture
def result(seeded_bars):
    bars = seeded_bars(400, 6, interval="1h", volatility=0.01)
    return backtest(SmaCross(fast=4, slow=12, short=True), bars, fee=0.001, engine="python")


def test_stats_say_what_the_ratios_rest_on(result):
    stats = result.stats
    assert set(metrics.METRICS) < set(stats.index)
    assert stats["periods_per_year"] == 365.0
    assert stats["frequency"] == "daily (UTC)"
    assert stats["returns"] == 17
    assert (stats["start"], stats["bars"]) == (result.panel.index[0], 400)
    assert stats["end"] == result.panel.index[-1] + pd.Timedelta(hours=1)
    page = result._repr_html_()
    assert "17 returns, daily (UTC), 365 a year, risk-free 0.00%" in page
    assert "Engine: python (asked for)" in page
    assert "std(r - f, ddof=1) sqrt(A)" in page, "every figure shows its formula"
    assert repr(result).startswith("<Result of SmaCross(fast=4, slow=12, short=True): return ")
    assert "periods_per_year" in str(result)


def test_equity_positions_and_trades_agree(result):
    equity, trades = result.equity, result.trades
    assert equity["equity"].iloc[-1] - 10_000 == pytest.approx(trades["pnl"].sum())
    assert trades["fees"].sum() == pytest.approx(result.stats["fees"])
    held = equity["exposure"] != 0
    assert result.stats["exposure"] == held.mean()
    assert (equity["drawdown"] <= 0).all()
    assert trades["exit_reason"].iloc[-1] == "open"
    assert pd.isna(trades["exit_time"].iloc[-1])
    assert result.stats["trades"] == len(trades) - 1
    said = result.signals["asset"]
    assert said.isna().sum() == 11
    assert set(said.dropna()) == {1.0, -1.0}


def test_no_trade_at_all_is_a_result_too(seeded_bars):
    quiet = backtest(SmaCross, seeded_bars(20), engine="python")
    assert len(quiet.trades) == 0
    assert quiet.stats["return"] == 0.0
    assert np.isnan(quiet.stats["win_rate"])
    assert str(quiet.trades["exit_time"].dtype).startswith("datetime64")
    assert png(quiet.plot()).startswith(b"\x89PNG")
    assert repr(quiet)


def test_pictures_and_files(result, tmp_path):
    assert result.save(tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    page = result.save(tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "data:image/png;base64," in page
    with pytest.raises(SettingsError, match=r"ends in \.png or \.html"):
        result.save(tmp_path / "r.pdf")
    folder = result.to_parquet(tmp_path / "run")
    read = pd.read_parquet(folder / "equity.parquet")
    assert read["equity"].tolist() == result.equity["equity"].tolist()
    assert len(pd.read_parquet(folder / "trades.parquet")) == len(result.trades)
    assert {p.stem for p in folder.iterdir()} == {"equity", "fills", "signals", "stats", "trades"}


def test_the_plot_has_a_panel_for_each_thing(result, seeded_bars):
    titles = [axes.get_title(loc="left") for axes in result.plot().axes]
    assert titles == ["asset: price and trades", "Exposure", "Equity", "Drawdown"]
    two = backtest(RsiReversion, {"A": seeded_bars(50), "B": seeded_bars(60, 2)}, engine="python")
    assert two.plot().axes[0].get_title(loc="left") == "Prices"
    assert list(two.equity.columns[-2:]) == ["exposure A", "exposure B"]


def test_compare_lays_results_side_by_side(result, seeded_bars):
    held = backtest(
        BuyAndHold, seeded_bars(400, 6, interval="1h", volatility=0.01), engine="python"
    )
    free = backtest(
        SmaCross(fast=4, slow=12, short=True), seeded_bars(400, 6, interval="1h"), engine="python"
    )
    both = compare([result, held, free])
    assert list(both.stats.columns) == [
        "SmaCross(fast=4, slow=12, short=True)",
        "BuyAndHold(exposure=1.0)",
        "SmaCross(fast=4, slow=12, short=True) fee=0.0",
    ]
    assert both.stats.loc["return"].iloc[1] == held.stats["return"]
    assert "<table" in both._repr_html_()
    assert len(both.plot().axes) == 2
    assert list(compare({"mine": result}).stats.columns) == ["mine"]
    with pytest.raises(SettingsError, match="at least one"):
        compare([])


def test_buying_and_holding_is_its_own_benchmark(seeded_bars):
    bars = seeded_bars(500, 6, interval="1h", volatility=0.01)
    stats = backtest(BuyAndHold, bars, fill="close", engine="python").stats
    assert stats["beta"] == pytest.approx(1.0, abs=0.02)
    first, last = bars["open"].iloc[0], bars["close"].iloc[-1]
    assert stats["buy_and_hold"] == pytest.approx(last / first - 1.0)
