"""What a Result shows and writes."""

import pickle

import numpy as np
import pandas as pd
import pytest

from mdkit.backtesting.account import metrics
from mdkit.backtesting.engine import backtest
from mdkit.backtesting.plots import png
from mdkit.backtesting.report.comparison import compare
from mdkit.errors import SettingsError
from mdkit.strategies import BuyAndHold, RsiReversion, SmaCross, strategy


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


@pytest.mark.outer
def test_pictures_and_files(result, tmp_path):
    assert result.save(tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    page = result.save(tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "data:image/png;base64," in page
    with pytest.raises(SettingsError, match=r"ends in \.png, \.html or \.npz"):
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


def test_units_are_those_of_the_fills(result, seeded_bars):
    two = backtest(
        SmaCross(fast=3, slow=8, short=True), {"A": seeded_bars(80), "B": seeded_bars(60, 2)},
        fill="close", engine="python",
    )  # fmt: skip
    for found in (result, two):
        held = np.zeros_like(found.units)
        for bar, symbol, units, *_ in found.run.fills:
            held[int(symbol), int(bar) :] += units
        assert found.units == pytest.approx(held, abs=1e-9)
        assert found.units[:, -1].tolist() == [
            sum(units for units, s in zip(found.run.fills[:, 2], found.run.fills[:, 1], strict=True)
                if s == number)
            for number in range(len(held))
        ]  # fmt: skip


@strategy("bar")
def half(bar, exposure=0.5):
    return exposure


@pytest.mark.parametrize("chosen", [half, SmaCross(fast=4, slow=12)])
def test_a_result_can_be_pickled_before_and_after_its_figures_were_looked_at(seeded_bars, chosen):
    result = backtest(chosen, seeded_bars(400, 6, interval="1h"), engine="python")
    fresh = pickle.dumps(result)
    looked_at = (result.stats, result.trades, result.equity, result.notes, result.account.returns)
    assert len(looked_at) == 5
    for packed in (fresh, pickle.dumps(result)):
        again = pickle.loads(packed)
        assert again.stats.equals(result.stats)
        assert again.trades.equals(result.trades)
        assert repr(again) == repr(result)
    assert len(pickle.dumps(result)) < len(fresh) + 200, "figures do not travel along"
    assert pickle.loads(pickle.dumps(compare([result]))).stats.equals(compare([result]).stats)


def test_a_symbol_that_was_held_when_its_bars_ended_is_named(seeded_bars):
    data = {"A": seeded_bars(100), "GONE.US": seeded_bars(60, 2)}
    held = backtest(BuyAndHold, data, engine="python")
    (note,) = [note for note in held.notes if "bars ended" in note]
    assert note.startswith("GONE.US was still held (")
    assert "when its bars ended on 2024-01-01 00:59 UTC, 40 bars before the last" in note
    assert f"{data['GONE.US']['close'].iloc[-1]:,.6g}" in note
    assert note in str(held)
    assert "GONE.US was still held" in held._repr_html_()
    assert "in .notes" in repr(held)
    sold = backtest(half, {**data, "GONE.US": data["GONE.US"].iloc[:1]}, engine="python")
    assert not [note for note in sold.notes if "bars ended" in note], "it was never bought"


def test_days_are_those_of_the_bars_own_zone(seeded_bars):
    days = pd.bdate_range("2020-01-01", periods=500, tz="Asia/Hong_Kong")
    bars = seeded_bars(500, volatility=0.01).set_axis(days)
    local = backtest(SmaCross, bars, engine="python")
    dated = backtest(
        SmaCross, bars.set_axis(days.tz_localize(None).tz_localize("UTC")), engine="python"
    )
    for name in metrics.METRICS:
        assert local.stats[name] == dated.stats[name], name
    assert local.stats["periods_per_year"] == 252.0
    assert local.stats["frequency"] == "daily (Asia/Hong_Kong)"


def test_strategies_are_told_that_months_are_months(seeded_bars):
    seen = set()

    @strategy("bar")
    def look(bar):
        seen.add(bar.interval)
        return 1.0

    months = pd.date_range("2010-01-01", "2024-02-01", freq="MS", tz="UTC")
    bars = seeded_bars(len(months), volatility=0.02).set_axis(months)
    stats = backtest(look, bars, engine="python").stats
    assert seen == {"1M"}
    assert stats["periods_per_year"] == 12.0
    assert stats["end"] == pd.Timestamp("2024-03-01", tz="UTC")


def test_buying_and_holding_what_began_below_zero_is_not_a_number(seeded_bars):
    bars = seeded_bars(60)[["open", "high", "low", "close"]] - 150.0
    bars = bars.assign(volume=1.0)
    stats = backtest(BuyAndHold, bars, allow_nonpositive=True, engine="python").stats
    assert np.isnan(stats["buy_and_hold"])
    assert stats["return"] == 0.0
