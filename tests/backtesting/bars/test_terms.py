"""Stops that follow, sizes, margin and financing on bars, worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest

import mdkit as md
from mdkit.backtesting.account.ranges import average_ranges
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.bars.sizes import exposures
from mdkit.backtesting.data.panel import make_panel
from mdkit.backtesting.engine import backtest
from mdkit.backtesting.runs import account_run
from mdkit.errors import SettingsError
from mdkit.strategies import SmaCross, strategy

pytestmark = pytest.mark.xdist_group("bars account")


def frame(rows, start="2024-01-01"):
    index = pd.date_range(start, periods=len(rows), freq="1D", tz="UTC")
    made = pd.DataFrame(rows, index, columns=["open", "high", "low", "close"], dtype=float)
    return made.assign(volume=1.0)


def said(*answers):
    @strategy("bar")
    class Said:
        def start(self):
            self.left = list(answers)

        def __call__(self, bar):
            return self.left.pop(0) if self.left else None

    return Said()


def run(rows, *answers, **terms):
    terms = {"cash": 1000.0, "engine": "python"} | terms
    return backtest(said(*answers), frame(rows), **terms)


def fills(result):
    columns = ("units", "price", "reason")
    return list(zip(*(result.fills[name].tolist() for name in columns), strict=True))


FLAT = (100, 100, 100, 100)
BOUGHT = (10.0, 100.0, "signal")


def test_a_trailing_stop_follows_the_best_price_of_the_bars_before():
    rows = [FLAT, FLAT, (100, 120, 100, 119), (119, 119, 113, 118)]
    assert fills(run(rows, 1.0, trailing_stop=0.05)) == [BOUGHT, (-10.0, 114.0, "trailing_stop")]
    assert fills(run(rows, 1.0, trailing_stop=0.06)) == [BOUGHT]
    gap = [*rows[:3], (110, 111, 109, 110)]
    assert fills(run(gap, 1.0, trailing_stop=0.05)) == [BOUGHT, (-10.0, 110.0, "trailing_stop")]


def test_a_trailing_stop_was_met_where_the_close_is_beyond_that_of_the_bars_own_best():
    rows = [FLAT, FLAT, (100, 120, 100, 110)]
    assert fills(run(rows, 1.0, trailing_stop=0.05)) == [BOUGHT, (-10.0, 114.0, "trailing_stop")]
    assert fills(run([FLAT, FLAT, (100, 120, 100, 115)], 1.0, trailing_stop=0.05)) == [BOUGHT]


def test_a_trailing_stop_of_a_short_position_follows_down():
    rows = [FLAT, FLAT, (100, 100, 80, 81), (81, 85, 80, 84)]
    assert fills(run(rows, -1.0, trailing_stop=0.05)) == [
        (-10.0, 100.0, "signal"), (10.0, 84.0, "trailing_stop"),
    ]  # fmt: skip


def test_the_nearer_of_two_stops_counts_and_names_the_reason():
    rows = [FLAT, FLAT, (100, 100, 90, 92)]
    near = run(rows, 1.0, stop_loss=0.02, trailing_stop=0.05)
    assert fills(near)[1] == (-10.0, 98.0, "stop_loss")
    far = run(rows, 1.0, stop_loss=0.08, trailing_stop=0.05)
    assert fills(far)[1] == (-10.0, 95.0, "trailing_stop")


def test_an_atr_stop_is_so_many_ranges_from_the_entry_and_stays_there():
    # Ranges of 4; those of the wild bar after the entry change nothing.
    rows = [(100, 102, 98, 100)] * 3 + [(100, 130, 93, 100), (100, 101, 89, 95)]
    result = run(rows, None, None, 1.0, stop_loss=md.ATRStop(2.5, period=2))
    assert fills(result) == [BOUGHT, (-10.0, 90.0, "stop_loss")]
    taken = run(rows, None, None, 1.0, take_profit=md.ATRStop(2.5, period=2))
    assert fills(taken) == [BOUGHT, (-10.0, 110.0, "take_profit")]
    trailed = run(rows, None, None, 1.0, trailing_stop=md.ATRStop(10, period=2))
    assert fills(trailed) == [BOUGHT, (-10.0, 90.0, "trailing_stop")]


def test_an_entry_at_the_close_knows_the_range_of_its_bar():
    rows = [(100, 101, 99, 100), (100, 105, 95, 100), (100, 100, 87, 90)]
    result = run(rows, None, 1.0, fill="close", stop_loss=md.ATRStop(1, period=2))
    assert fills(result) == [BOUGHT, (-10.0, 94.0, "stop_loss")]


def test_average_ranges_are_wilders_and_before_that_means():
    rng = np.random.default_rng(1)
    high = 100 + rng.random(30).cumsum()
    low, close = high - 2 * rng.random(30) - 0.1, high - 0.05
    found = average_ranges(high, low, close, 5)
    ranges = [high[0] - low[0]]
    ranges += [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, 30)]
    expected = [sum(ranges[: i + 1]) / (i + 1) for i in range(5)]
    for each in ranges[5:]:
        expected.append(expected[-1] + (each - expected[-1]) / 5)
    assert found.tolist() == pytest.approx(expected)


def test_a_risk_size_loses_so_much_at_the_stop():
    rows = [FLAT, FLAT, (100, 100, 90, 92)]
    lost = run(rows, 1.0, size=md.RiskSize(0.01), stop_loss=0.05)
    assert fills(lost) == [
        (pytest.approx(2.0), 100.0, "signal"), (pytest.approx(-2.0), 95.0, "stop_loss"),
    ]  # fmt: skip
    assert lost.equity["equity"].iloc[-1] == pytest.approx(990.0)
    half = run(rows, 0.5, size=md.RiskSize(0.01), stop_loss=0.05)
    assert half.equity["equity"].iloc[-1] == pytest.approx(995.0)
    capped = run(rows, 1.0, size=md.RiskSize(0.2, max_exposure=1.5), stop_loss=0.05)
    assert fills(capped)[0] == (15.0, 100.0, "signal")
    wide = [(100, 102, 98, 100)] * 2 + [(100, 100, 85, 90)]
    ranged = run(wide, 1.0, size=md.RiskSize(0.01), stop_loss=md.ATRStop(2.5, period=3))
    assert fills(ranged) == [(1.0, 100.0, "signal"), (-1.0, 90.0, "stop_loss")]


@pytest.mark.outer
def test_numbers_that_are_whole_are_numbers_to_compiled_code_too(numba, seeded_bars):
    panel = make_panel(seeded_bars(100, 6))
    signals = np.where(np.arange(100) % 9 == 0, np.arange(100) % 2 * 2.0 - 1.0, np.nan)
    for terms in ({"trailing_stop": 0.5}, {"stop_loss": md.ATRStop(1), "cash": 500, "fee": 0}):
        one, two = (account_run(panel, Terms(**terms), signals, e) for e in ("python", "native"))
        assert one.fills.tobytes() == two.fills.tobytes()
    assert len(one.fills) > 10


def test_a_volatility_target_scales_by_the_returns_before(seeded_bars):
    bars = seeded_bars(80, 5, volatility=0.03)
    index = bars.index[[10, 30, 50, 60]]
    signals = pd.Series([1.0, -1.0, -1.0, 0.0], index)
    size = md.VolatilityTarget(0.2, period=20)
    result = backtest(signals=signals, bars=bars, size=size, engine="python")
    year = result.account.year * len(bars) / len(result.account.returns)
    close = bars["close"]

    def exposure(bar):
        return 0.2 / (close.pct_change().iloc[bar - 19 : bar + 1].std(ddof=1) * math.sqrt(year))

    # The first signal waits until there are twenty returns; one that is repeated is none.
    expected = {20: exposure(20), 30: -exposure(30), 60: 0.0}
    sized = exposures(result.panel, result.terms, result.run.signals).flat
    told = np.flatnonzero(~np.isnan(sized))
    assert dict(zip(told.tolist(), sized[told].tolist(), strict=True)) == pytest.approx(
        {bar: min(1.0, max(-1.0, value)) for bar, value in expected.items()}
    )
    assert len(result.fills) == 3
    assert result.fills["time"].iloc[0] == bars.index[21]
    again = backtest(
        signals=signals, bars=bars, size=md.VolatilityTarget(0.2, rebalance=True), engine="python"
    )
    assert len(again.fills) == 41, "on every bar from the twentieth to the sixtieth"


@pytest.mark.parametrize("own", [slice(0, 100), slice(50, 400)])
def test_a_volatility_target_does_not_know_how_long_a_symbol_is_listed(seeded_bars, own):
    one, two = (seeded_bars(400, seed, interval="1D", volatility=0.03) for seed in (5, 6))
    size = md.VolatilityTarget(0.15, period=20)
    signals = pd.Series([1.0], one.index[[90]])
    result = backtest(
        signals=signals, bars={"A": one, "B": two.iloc[own]}, size=size, engine="python"
    )
    returns = two["close"].iloc[: 90 + 1].pct_change().iloc[-20:]
    sized = exposures(result.panel, result.terms, result.run.signals).flat.reshape(2, -1)[1, 90]
    assert sized == pytest.approx(0.15 / (returns.std(ddof=1) * math.sqrt(365)))
    assert sized < 1.0


def test_what_a_stop_closed_is_not_sized_anew(seeded_bars):
    bars = seeded_bars(80, 5, volatility=0.03)
    size = md.VolatilityTarget(0.2, rebalance=True)
    signals = pd.Series([1.0, -1.0], bars.index[[25, 60]])
    result = backtest(signals=signals, bars=bars, size=size, stop_loss=0.01, engine="python")
    stopped = result.fills.index[result.fills["reason"] == "stop_loss"][0]
    after = result.fills.iloc[stopped + 1]
    assert after["time"] == bars.index[61]


def test_a_margin_cuts_orders_to_what_it_allows():
    result = run([FLAT] * 3, 1.0, weights={"asset": 5.0}, margin=md.Margin(0.5, 0.25))
    assert fills(result) == [(20.0, 100.0, "signal")]
    order = run(
        [FLAT, (100, 100, 90, 95), FLAT], md.Limit(95, 100), margin=md.Margin(0.25, 0.1)
    )  # fmt: skip
    assert fills(order) == [(pytest.approx(4000 / 95), 95.0, "signal")]
    assert order.orders["state"].tolist() == ["cut to the margin"]
    assert any("cut to what the margin allowed" in note for note in order.notes)


def test_positions_are_liquidated_where_the_margin_is_reached():
    # 20 units for 2000 with 1000 borrowed: 20 p - 1000 = 0.25 x 20 p at p = 66.67.
    terms = {"weights": {"asset": 2.0}, "margin": md.Margin(0.5, 0.25)}
    within = run([FLAT, FLAT, (100, 100, 60, 90), (90, 90, 90, 90)], 1.0, **terms)
    assert fills(within) == [
        (20.0, 100.0, "signal"),
        (-20.0, pytest.approx(1000 / 15), "liquidation"),
    ]
    assert within.equity["equity"].iloc[-1] == pytest.approx(1000 / 3)
    assert any("1 positions were liquidated" in note for note in within.notes)
    gap = run([FLAT, FLAT, (55, 60, 55, 60)], 1.0, **terms)
    assert fills(gap)[1] == (-20.0, 55.0, "liquidation")
    kept = run([FLAT, FLAT, (100, 100, 67, 90)], 1.0, **terms)
    assert len(kept.fills) == 1
    stopped = run([FLAT, FLAT, (100, 100, 60, 90)], 1.0, stop_loss=0.1, **terms)
    assert fills(stopped)[1] == (-20.0, 90.0, "stop_loss")
    short = run([FLAT, FLAT, (100, 150, 100, 110)], -1.0, **terms)
    # 1000 + 20 (100 - p) = 0.25 x 20 p at p = 120.
    assert fills(short)[1] == (20.0, pytest.approx(120.0), "liquidation")


def test_positions_of_several_symbols_are_liquidated_together():
    bars = {name: frame([FLAT, FLAT, (100, 100, 60, 90)]) for name in "AB"}
    result = backtest(
        said(1.0), bars, cash=1000.0, engine="python", weights={"A": 1.0, "B": 1.0},
        margin=md.Margin(0.5, 0.25),
    )  # fmt: skip
    assert [each[1:] for each in fills(result)[2:]] == [
        (pytest.approx(1000 / 15), "liquidation")
    ] * 2


def test_borrowed_stock_and_cash_cost_by_the_day():
    rows = [FLAT] * 5
    short = run(rows, -1.0, financing=md.Financing(borrow=0.365))
    # 10 units short for 1000, from the second bar's open to the end of the last: four days.
    assert short.financing.tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    assert short.stats["financing"] == pytest.approx(4.0)
    assert short.equity["equity"].iloc[-1] == pytest.approx(996.0)
    loan = run(rows, 1.0, weights={"asset": 2.0}, financing=md.Financing(loan=0.365))
    assert loan.financing.iloc[2] == pytest.approx(1.0)
    assert loan.financing.iloc[3] == pytest.approx(1.001), "on what was charged as well"
    long = run(rows, 1.0, financing=md.Financing(borrow=0.365))
    assert long.stats["financing"] == 0.0


def test_funding_is_paid_by_who_holds_when_it_is_due():
    rows = [FLAT] * 4
    index = pd.date_range("2024-01-01", periods=5, freq="1D", tz="UTC")
    rates = pd.Series([0.5, 0.01, 0.01, -0.02, 0.005], index)
    long = run(rows, 1.0, financing=md.Financing(funding=rates))
    # That at the second bar's open is before the order fills there.
    assert long.financing.tolist() == pytest.approx([0.0, 0.0, 10.0, -20.0, 5.0])
    short = run(rows, -1.0, financing=md.Financing(funding=rates))
    assert short.financing.tolist() == pytest.approx([0.0, 0.0, -10.0, 20.0, -5.0])
    hours = pd.Series(0.001, pd.date_range(index[0], periods=13, freq="8h"))
    assert run(rows, 1.0, financing=md.Financing(funding=hours)).financing.tolist() == (
        pytest.approx([0.0, 0.0, 3.0, 3.0, 3.0])
    )
    own = run(rows, 1.0, financing=md.Financing(funding=rates.to_frame("asset")))
    assert own.financing.tolist() == long.financing.tolist()


def test_what_is_traded_at_closes_is_financed_from_close_to_close():
    rows = [FLAT] * 5
    times = pd.DatetimeIndex(
        ["2024-01-02 08:00", "2024-01-03 08:00", "2024-01-04 00:00", "2024-01-04 08:00"], tz="UTC"
    )
    rates = pd.Series([0.001, 0.002, 0.004, 0.008], times)
    # Bought at the end of the 2nd, sold at the end of the 3rd: what falls due then is still paid.
    held = run(rows, None, 1.0, 0.0, fill="close", financing=md.Financing(funding=rates))
    assert held.financing.tolist() == pytest.approx([0.0, 0.0, 0.0, 6.0, 0.0, 0.0])
    short = run(rows, -1.0, fill="close", financing=md.Financing(borrow=0.365))
    # From the end of the first bar to that of the last: four days.
    assert short.financing.tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    weekend = frame(rows, "2024-01-04")
    weekend.index = weekend.index[:2].append(weekend.index[2:] + pd.Timedelta(days=2))
    terms = {"fill": "close", "financing": md.Financing(borrow=0.365), "cash": 1000.0}
    over = backtest(said(None, -1.0, 0.0), weekend, engine="python", **terms)
    # Sold at the end of Friday, bought at that of Monday: three days.
    assert over.stats["financing"] == pytest.approx(3.0)
    for result in (held, short, over):
        assert result.equity["equity"].iloc[-1] == pytest.approx(1000 - result.financing.sum())


def test_sweeps_and_walks_know_these_terms_and_the_bars_before(seeded_bars):
    bars = seeded_bars(300, 6, volatility=0.02)
    terms = {"stop_loss": md.ATRStop(2), "size": md.RiskSize(0.01), "trailing_stop": 0.1}
    table = md.sweep(SmaCross, bars, {"fast": [3, 5]}, metric="return", engine="python", **terms)
    one = backtest(SmaCross(fast=5), bars, engine="python", **terms)
    assert table["return"].iloc[1] == one.stats["return"]
    walked = md.walk_forward(
        SmaCross(short=True), bars, {"fast": [3, 5]}, train=100, test=100, metric="return",
        engine="python", size=md.VolatilityTarget(0.1, period=50),
    )  # fmt: skip
    first = walked.results[0]
    assert len(first.fills), "sized from the first bar of the test on"
    assert first.run.fills[:, 0].min() == 1.0
    whole = backtest(
        first.strategy, bars.iloc[:200], engine="python", size=md.VolatilityTarget(0.1, period=50)
    )
    same = whole.fills[whole.fills["time"] >= first.fills["time"].iloc[1]]
    held = first.fills.iloc[1:]["price"].tolist()
    assert held == same["price"].tolist()


TERMS = {
    "ranges": {"stop_loss": md.ATRStop(1.5), "take_profit": md.ATRStop(3), "fee": 0.001},
    "trail": {"trailing_stop": 0.03, "stop_loss": 0.05, "fill": "close", "slippage": 0.0005},
    "risk": {"size": md.RiskSize(0.02, 3.0), "stop_loss": md.ATRStop(2), "margin": md.Margin()},
    "target": {"size": md.VolatilityTarget(0.3, rebalance=True), "take_profit": 0.04},
    "carry": {"financing": md.Financing(0.05, 0.08), "weights": {"A": 1.5, "B": 1.5}},
}


@pytest.mark.outer
@pytest.mark.parametrize("name", TERMS)
def test_both_engines_give_the_same_bits(numba, seeded_bars, name):
    panel = make_panel({"A": seeded_bars(200, 6), "B": seeded_bars(150, 7) * 3.0})
    rng = np.random.default_rng(4)
    drawn = rng.choice([1.0, -1.0, 0.0, 0.5], len(panel) * 2)
    signals = np.where(rng.random(len(drawn)) < 0.2, drawn, np.nan)
    one, two = (
        account_run(panel, Terms(**TERMS[name]), signals, engine) for engine in ("python", "native")
    )
    assert len(one.fills) > 20
    assert one.equity.tobytes() == two.equity.tobytes()
    assert one.fills.tobytes() == two.fills.tobytes()


@pytest.mark.parametrize("stops", [{"stop_loss": 0.03}, {"stop_loss": 0.04, "take_profit": 0.02}])
def test_the_account_with_orders_does_without_them_what_the_plain_one_does(seeded_bars, stops):
    bars = seeded_bars(300, 8, volatility=0.02)
    terms = {"fee": 0.001, "slippage": 0.0005, "engine": "python"} | stops
    plain = backtest(SmaCross(fast=3, slow=9, short=True), bars, **terms)
    other = backtest(
        SmaCross(fast=3, slow=9, short=True), bars, trailing_stop=1e9, **terms
    )  # fmt: skip
    assert len(plain.fills) > 20
    assert plain.run.fills.tobytes() == other.run.fills.tobytes()
    assert plain.run.equity.tobytes() == other.run.equity.tobytes()


def test_what_cannot_be_is_refused(seeded_bars):
    bars = seeded_bars(30)
    for make in (
        lambda: md.ATRStop(0.0), lambda: md.ATRStop(1.0, 0), lambda: md.ATRStop(1.0, 3, "1x"),
        lambda: md.RiskSize(0.0), lambda: md.RiskSize(0.1, 0.0), lambda: md.VolatilityTarget(-1.0),
        lambda: md.VolatilityTarget(0.1, 1), lambda: md.VolatilityTarget(0.1, rebalance=1),
        lambda: md.Margin(0.0), lambda: md.Margin(0.2, 0.3), lambda: md.Financing(-0.1),
        lambda: md.Financing({"A": "x"}), lambda: md.Financing(loan=float("nan")),
        lambda: md.Financing(funding=3), lambda: md.Financing(funding=pd.Series([1.0, 2.0])),
        lambda: md.Financing(funding=pd.Series([np.nan], bars.index[:1])),
        lambda: md.Financing(funding=pd.Series(0.1, bars.index[::-1])),
    ):  # fmt: skip
        with pytest.raises(SettingsError):
            make()
    for terms, why in (
        ({"size": 0.1}, "size is 0.1; give None or md.RiskSize"), ({"margin": 2}, "margin is 2"),
        ({"financing": 0.1}, "financing is 0.1"), ({"size": md.RiskSize(0.1)}, "give stop_loss"),
        ({"stop_loss": md.ATRStop(1, 5), "trailing_stop": md.ATRStop(1, 6)}, "differ in period"),
        ({"stop_loss": md.ATRStop(1, 5, "1m")}, "interval is for books"),
        ({"financing": md.Financing({"XYZ": 0.1})}, "borrow is given for 'XYZ'"),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match=why):
            backtest(SmaCross, bars, engine="python", **terms)
    book = [md.Depth("A", ((9.0, 1.0),), ((10.0, 1.0),), 0, 1)]

    @strategy("depth")
    def long(book):
        return 1.0

    for terms, why in (
        ({"size": md.RiskSize(0.1), "stop_loss": 0.1}, "md.RiskSize, which is for bars"),
        ({"margin": md.Margin()}, "for bars"), ({"fills": "through"}, "is for bars"),
        ({"financing": md.Financing()}, "for bars"),
        ({"stop_loss": md.ATRStop(1)}, "on books give the bars"),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match=why):
            backtest(long, book, **terms)
