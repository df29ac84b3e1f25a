"""Capacity, bands by chance, deflated ratios, signals in place of a strategy, sweeps over books."""

import math

import numpy as np
import pandas as pd
import pytest

import mdkit as md
from mdkit.backtesting.account.metrics import MIN_RETURNS
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.errors import SettingsError
from mdkit.events import Depth

START = 1_700_000_000_000_000_000


def walk(count, seed=1, size=5.0, drift=0.0):
    """Books of a random walk that leans to where it goes next."""
    random = np.random.default_rng(seed)
    steps = random.normal(drift, 0.05, count + 1).round(2)
    prices = 100.0 + np.cumsum(steps)
    return [
        Depth(
            "A",
            tuple((p - 0.01 - k / 100, size * (1.5 + np.sign(step))) for k in range(5)),
            tuple((p + 0.01 + k / 100, size * (1.5 - np.sign(step))) for k in range(5)),
            0,
            START + i * 1_000_000_000,
        )
        for i, (p, step) in enumerate(zip(prices[:-1].tolist(), steps[1:].tolist(), strict=True))
    ]


@md.strategy("depth")
def lean(book, enter=0.3):
    value = md.imbalance(book, 5)
    return 1.0 if value > enter else (-1.0 if value < -enter else 0.0)


def test_capacity_falls_with_size():
    result = md.backtest(lean, walk(400), cash=100.0)
    found = result.capacity([100.0, 1e4, 1e6])
    returns = found.table["return"].tolist()
    assert returns[0] > returns[1] > returns[2]
    assert found.table["filled"].is_monotonic_decreasing
    assert returns[1] == md.backtest(lean, walk(400), cash=1e4).stats["return"]
    assert found.plot().axes[0].get_title(loc="left") == "Return"
    with pytest.raises(SettingsError, match="no positive amount"):
        result.capacity([0.0])


def test_capacity_is_of_books(seeded_bars):
    result = md.backtest(md.strategies.SmaCross, seeded_bars(300))
    with pytest.raises(SettingsError, match="of backtests on books"):
        result.capacity()
    with pytest.raises(SettingsError, match="every order is a fill"):
        _ = result.orders


def test_bands_hold_the_result_and_are_the_same_each_time(seeded_bars):
    bars = seeded_bars(60 * 24 * 40, volatility=0.001)
    daily = md.backtest(md.strategies.SmaCross(fast=50, slow=200), bars)
    bands = daily.bootstrap(300)
    assert len(daily.account.returns) >= MIN_RETURNS
    assert bands.table.loc["sharpe", "result"] == pytest.approx(daily.stats["sharpe"])
    assert bands.table.loc["return", "result"] == pytest.approx(daily.stats["return"])
    row = bands.table.loc["sharpe"]
    assert row["5 %"] < row["result"] < row["95 %"]
    pd.testing.assert_frame_equal(bands.draws, daily.bootstrap(300).draws)
    short = md.backtest(lean, walk(300), cash=100.0).bootstrap(50)
    assert "steps of" in short.frequency
    assert short.table.loc["return", "result"] > 0.0
    assert len(short.plot().axes) == 3
    with pytest.raises(SettingsError, match="draws is 3"):
        daily.bootstrap(3)


def test_the_best_of_noise_is_luck(seeded_bars):
    """Bars of a random walk: the best of a grid is no evidence of anything."""
    bars = seeded_bars(2000, volatility=0.01).set_axis(
        pd.date_range("2015-01-01", periods=2000, freq="D", tz="UTC")
    )
    grid = {"fast": [3, 5, 8, 13], "slow": [20, 30, 50, 80]}
    frame = md.sweep(md.strategies.SmaCross, bars, grid, metric="sharpe")
    found = md.deflated(frame)
    assert found.trials == 16
    assert found.sharpe == pytest.approx(frame["sharpe"].max() / math.sqrt(365))
    assert 0.0 < found.probability < 0.95
    assert found.luck == 1.0 - found.probability
    # The formula once more, by hand, of what the sweep kept.
    kept = frame.attrs["trials"]
    deviation = np.std(kept["sharpe"], ddof=1)
    assert 1.5 * deviation < found.expected < 2.0 * deviation
    best = md.backtest(md.strategies.SmaCross(**found.best), bars)
    r = best.account.returns
    skew = np.mean((r - r.mean()) ** 3) / np.std(r) ** 3
    kurtosis = np.mean((r - r.mean()) ** 4) / np.std(r) ** 4
    sr = found.sharpe
    under = math.sqrt(1 - skew * sr + (kurtosis - 1) / 4 * sr**2)
    z = (sr - found.expected) * math.sqrt(len(r) - 1) / under
    assert found.probability == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))))
    with pytest.raises(SettingsError, match="deflated needs what"):
        md.deflated(pd.DataFrame({"sharpe": [1.0, 2.0]}))


def test_what_is_no_luck_is_told_from_it():
    with pytest.warns(BacktestWarning, match="nan, since"):
        frame = md.sweep(
            lean,
            walk(1500),
            {"enter": [0.1, 0.3, 0.5, 0.9]},
            metric=["return", "sharpe"],
            cash=10.0,
        )
    assert frame["return"].iloc[0] > 0.0
    found = md.deflated(frame)
    assert found.probability > 0.99
    assert found.returns == 250


def test_a_sweep_over_books_is_its_backtests():
    books = walk(200)
    frame = md.sweep(
        lean, iter(books), {"enter": [0.1, 0.9]}, metric="return", latency_ms=10, fills="touch",
        fee=md.Fees(taker=0.0001), cash=1000.0,
    )  # fmt: skip
    single = md.backtest(
        lean(enter=0.1), books, latency_ms=10, fills="touch", fee=md.Fees(taker=0.0001), cash=1000.0
    )
    assert frame["return"].iloc[0] == single.stats["return"]
    with pytest.raises(SettingsError, match="run in this process"):
        md.sweep(lean, books, {"enter": [0.1]}, metric="return", workers=2)


def test_some_of_a_grid(seeded_bars):
    bars = seeded_bars(200)
    grid = {"fast": range(2, 12), "slow": range(20, 30)}
    options = {"metric": "return", "search": "random", "budget": 7}
    frame = md.sweep(md.strategies.SmaCross, bars, grid, **options)
    assert len(frame.drop_duplicates(["fast", "slow"])) == 7
    pd.testing.assert_frame_equal(frame, md.sweep(md.strategies.SmaCross, bars, grid, **options))
    other = md.sweep(md.strategies.SmaCross, bars, grid, seed=1, **options)
    assert not other[["fast", "slow"]].equals(frame[["fast", "slow"]])
    with pytest.raises(SettingsError, match="budget is None"):
        md.sweep(md.strategies.SmaCross, bars, grid, metric="return", search="random")
    with pytest.raises(SettingsError, match="budget is for search"):
        md.sweep(md.strategies.SmaCross, bars, grid, metric="return", budget=3)


def test_a_series_is_enough_on_bars(seeded_bars):
    bars = seeded_bars(300)
    told = md.backtest(md.strategies.SmaCross(fast=5, slow=20), bars, fee=0.001)
    series = told.signals.iloc[:, 0]
    given = md.backtest(signals=series, bars=bars, fee=0.001)
    assert given.run.equity.tobytes() == told.run.equity.tobytes()
    assert repr(given.strategy) == f"signals({series.count()} given)"
    with pytest.raises(SettingsError, match="at times at which no bar starts"):
        md.backtest(signals=series.set_axis(series.index + pd.Timedelta("1s")), bars=bars)
    with pytest.raises(SettingsError, match="are not in order"):
        md.backtest(signals=series[::-1], bars=bars)
    with pytest.raises(SettingsError, match="both given"):
        md.backtest(md.strategies.SmaCross, bars, signals=series)
    with pytest.raises(SettingsError, match="there is nothing to run over"):
        md.backtest(signals=series)


def test_a_series_is_enough_on_books():
    books = walk(60)
    told = md.backtest(lean, books, cash=100.0, latency_ms=20)
    given = md.backtest(signals=told.signals["A"], bars=books, cash=100.0, latency_ms=20)
    assert given.run.equity.tobytes() == told.run.equity.tobytes()
    # Between two books: sent at the first one afterwards.
    at = pd.Timestamp(books[10].received_ns + 1, tz="UTC")
    late = md.backtest(signals=pd.Series([1.0], [at]), bars=books, cash=100.0)
    assert late.fills["time"].tolist() == [pd.Timestamp(books[11].received_ns, tz="UTC")]


def test_signals_of_nobody_or_of_no_time_are_refused(seeded_bars, tmp_path):
    books, bars = walk(60), seeded_bars(40)
    at = pd.Timestamp(books[10].received_ns, tz="UTC")
    with pytest.raises(SettingsError, match="signals: there is no 'a'"):
        md.backtest(signals=pd.DataFrame({"a": [1.0]}, [at]), bars=books)
    with pytest.raises(SettingsError, match="signals: there is no 'B'"):
        md.backtest(
            signals=pd.DataFrame({"A": 1.0, "B": 1.0}, bars.index), bars={"A": bars, "C": bars}
        )
    with pytest.raises(SettingsError, match="none of 1 signals is at or before the last book"):
        md.backtest(signals=pd.Series([1.0], [at + pd.Timedelta("1D")]), bars=books)
    with pytest.raises(SettingsError, match="two columns of one name"):
        md.backtest(signals=pd.DataFrame([[1.0, 0.0]], [at], columns=["A", "A"]), bars=books)
    path = tmp_path / "market.jsonl.gz"
    source = md.Simulated(rate=2.0, count=400, speed=0)
    md.live("AAPL.US", source=source, channels=["trade"], record=path).run_blocking()
    odd = pd.Series([1.0], [pd.Timestamp("2020-01-01 00:00:01", tz="UTC")])
    with pytest.raises(SettingsError, match="no bar starts"):
        md.backtest(signals=odd, bars=path, interval="1m")


def test_purge_and_embargo(seeded_bars):
    bars = seeded_bars(400)
    options = {"train": 100, "test": 50, "metric": "return"}
    plain = md.walk_forward(md.strategies.SmaCross, bars, {"fast": [3, 5]}, **options)
    apart = md.walk_forward(
        md.strategies.SmaCross, bars, {"fast": [3, 5]}, purge=10, embargo=5, **options
    )
    assert (plain.windows["test_bars"] == 50).all()
    assert (apart.windows["test_bars"][:-1] == 45).all()
    first = apart.windows.iloc[0]
    assert first["test_start"] == bars.index[105]
    best = md.backtest(md.strategies.SmaCross(fast=int(first["fast"])), bars.iloc[:90])
    assert first["in_sample"] == best.stats["return"]
    with pytest.raises(SettingsError, match="purge is 100; give 0 or more bars, less than train"):
        md.walk_forward(md.strategies.SmaCross, bars, {"fast": [3]}, purge=100, **options)


@pytest.mark.parametrize(
    "terms", [{"fills": "queue"}, {"max_share": 0.5}, {"time_in_force": "IOC"},
              {"contracts": {"asset": md.Contract(10)}}],
)  # fmt: skip
def test_what_is_of_books_is_refused_on_bars(seeded_bars, terms):
    with pytest.raises(SettingsError, match=f"{next(iter(terms))}.* is for books"):
        md.backtest(md.strategies.SmaCross, seeded_bars(100), **terms)
    with pytest.raises(SettingsError, match=f"{next(iter(terms))}.* is for books"):
        md.sweep(md.strategies.SmaCross, seeded_bars(100), {"fast": [3]}, **terms)
    fees = md.backtest(md.strategies.SmaCross, seeded_bars(100), fee=md.Fees(taker=0.001))
    same = md.backtest(md.strategies.SmaCross, seeded_bars(100), fee=0.001)
    assert fees.run.equity.tobytes() == same.run.equity.tobytes()
