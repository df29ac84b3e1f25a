"""Sweeps: the same figures as single backtests, wherever they run."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mdkit.backtesting.account.metrics import METRICS
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.backtesting.engine import backtest
from mdkit.backtesting.plots import png
from mdkit.backtesting.trials.pictured import heatmap
from mdkit.backtesting.trials.sweep import sweep
from mdkit.backtesting.trials.walk_forward import walk_forward
from mdkit.errors import SettingsError
from mdkit.strategies import BuyAndHold, SmaCross, pressure, strategy

pytestmark = pytest.mark.outer

GRID = {"fast": [3, 5], "slow": np.arange(10, 40, 10)}


@pytest.mark.parametrize("engine", ["python", "native"])
def test_every_row_is_a_backtest(seeded_bars, engine):
    if engine == "native":
        pytest.importorskip("numba")
    bars = seeded_bars(3000, 3, interval="15min")
    figures = ["sharpe", "return", "max_drawdown", "trades", "exposure"]
    frame = sweep(SmaCross, bars, GRID, metric=figures, fee=0.001, engine=engine)
    assert list(frame.columns) == ["fast", "slow", *figures]
    assert len(frame) == 6
    for row in frame.to_dict("records"):
        single = backtest(
            SmaCross(fast=row["fast"], slow=row["slow"]), bars, fee=0.001, engine="python"
        )
        assert [row[name] for name in figures] == [single.stats[name] for name in figures]


def test_threads_change_nothing(seeded_bars, numba):
    bars = seeded_bars(2000, 5, interval="15min")
    one, many = (sweep(SmaCross, bars, GRID, workers=workers) for workers in (1, 3))
    assert one.equals(many)


def test_the_constraint_leaves_combinations_out(seeded_bars):
    frame = sweep(
        SmaCross, seeded_bars(50), {"fast": [5, 20], "slow": [10, 30]},
        constraint=lambda p: p["fast"] < p["slow"], metric="return",
    )  # fmt: skip
    assert frame[["fast", "slow"]].to_numpy().tolist() == [[5, 10], [5, 30], [20, 30]]


def test_progress_is_told(seeded_bars):
    seen = []
    progress = {"progress": lambda *x: seen.append(x), "workers": 1}
    sweep(SmaCross, seeded_bars(50), GRID, metric="return", **progress)
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"grid": {}}, "grid is empty"),
        ({"grid": {"fast": []}}, "no values for fast"),
        ({"grid": {"quick": [1]}}, "no parameter 'quick'; it has fast=10"),
        ({"metric": "sharp"}, "metric is 'sharp'; choose from return, cagr"),
        ({"constraint": lambda p: False}, "leaves no combination"),
        ({"fees": 0.1}, "unexpected keyword argument 'fees'"),
        ({"strategy": pressure, "grid": {"levels": [1]}}, "pressure wants depth: give such"),
    ],
)
def test_what_cannot_be_swept_is_refused(seeded_bars, change, says):
    given = {"strategy": SmaCross, "bars": seeded_bars(20), "grid": GRID, **change}
    with pytest.raises(SettingsError, match=says):
        sweep(given.pop("strategy"), given.pop("bars"), given.pop("grid"), **given)


def test_walk_forward_keeps_samples_apart(seeded_bars):
    bars = seeded_bars(1000, 7, interval="2h", volatility=0.01)
    walk = walk_forward(SmaCross, bars, GRID, train=400, test=200, fee=0.001)
    assert len(walk.windows) == 3
    assert len(walk.equity) == 600
    row = walk.windows.iloc[1]
    trained = bars.iloc[200:600]
    inside = sweep(SmaCross, trained, GRID, fee=0.001)
    best = inside.loc[inside["sharpe"].idxmax()]
    assert (row["fast"], row["slow"]) == (best["fast"], best["slow"])
    assert row["in_sample"] == best["sharpe"]
    assert row["test_start"] == bars.index[600]
    # What comes after a window changes nothing in it.
    later = bars.copy()
    later.iloc[800:] *= 2.0
    again = walk_forward(SmaCross, later, GRID, train=400, test=200, fee=0.001)
    assert again.windows.iloc[:2].equals(walk.windows.iloc[:2])
    first = walk.results[0]
    assert first.run.equity[0] == pytest.approx(10_000.0)
    assert first.panel.index[0] == bars.index[400]
    assert walk.plot() is not None
    with pytest.raises(SettingsError, match="there are 1,000 bars; train=900 and test=200 need"):
        walk_forward(SmaCross, bars, GRID, train=900, test=200)


def test_walking_forward_takes_over_what_was_said_in_training(seeded_bars):
    walk = walk_forward(
        BuyAndHold, seeded_bars(90), {"exposure": [0.5, 1.0]}, train=40, test=25, metric="return"
    )
    for result in walk.results:
        assert result.run.signals[0] == walk.windows["exposure"].iloc[0]
        assert np.isnan(result.run.signals[1:]).all()
        assert len(result.fills) == 1


def test_a_heat_map_is_drawn(seeded_bars):
    frame = sweep(SmaCross, seeded_bars(300), GRID, metric=["return", "trades"])
    assert png(heatmap(frame)).startswith(b"\x89PNG")
    axes = heatmap(frame, x="slow", y="fast", metric="trades").axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("slow", "fast")
    with pytest.raises(SettingsError, match="no column sharpe; there are fast, slow, return"):
        heatmap(frame, metric="sharpe")


SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from seeded import seeded_bars
from mdkit.backtesting.trials import sweep as home
from mdkit.strategies import SmaCross, strategy

print("began")

@strategy("bar")
def crossing(bar, fast=3, slow=10):
    # As in a script or notebook: no other process could import it.
    return (int(bar.close * 100) % fast) / slow

BARS, GRID = seeded_bars(500, 2), {"fast": [3, 5, 8], "slow": [10, 20, 30]}

def sweep(which=SmaCross, **more):
    return home.sweep(which, BARS, GRID, engine="python", **more)

def processes():
    home._WORTH_PROCESSES = 0
    assert sweep(crossing, workers=2).equals(sweep(crossing, workers=1))
    return sweep(workers=2)

def dask():
    from distributed import Client, LocalCluster
    seen = []
    def kill_one(done, total):
        seen.append(done)
        if len(seen) == 1:
            next(iter(cluster.workers.values())).process.process.kill()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        with Client(cluster) as client:
            spread = sweep(client=client, progress=kill_one)
    assert seen[-1] == 9, seen
    return spread

if sys.argv[2] == "processes" or __name__ == "__main__":
    assert globals()[sys.argv[2]]().equals(sweep(workers=1))
    print("equal")
"""


@pytest.mark.parametrize("where", ["processes", "dask"])
def test_other_processes_give_the_same(tmp_path, where):
    """The script runs once, whether it has a main guard or not.

    On Dask a worker is killed on the way: that costs its tasks, not the sweep.
    """
    if where == "dask":
        pytest.importorskip("distributed", reason="needs distributed")
    script = tmp_path / "sweeping.py"
    script.write_text(SCRIPT)
    # In a process of its own: pools and clusters leave helpers behind for a while.
    done = subprocess.run(
        [sys.executable, str(script), str(Path(__file__).parent), where],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    began = 1 if where == "processes" else done.stdout.count("began")
    assert done.stdout.split() == ["began"] * began + ["equal"], done.stderr[-3000:]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        *(({"periods_per_year": x}, "periods_per_year is") for x in (0, -5, NAN, INF, 525_600)),
        *(({"risk_free": x}, "risk_free is") for x in (NAN, INF, -2, "5%")),
        *(({"weights": {"asset": x}}, "that of asset is") for x in (NAN, INF, -0.5, "x", None)),
        ({"weights": [1.0]}, "weights is"),
        ({"weights": {"B": 1.0}}, "weights are for B; the symbols are asset"),
        ({"fee": INF}, "fee is inf"),
        ({"cash": NAN}, "cash is nan"),
        ({"cash": 10**400}, "cash is 1000"),
        ({"stop_loss": INF}, "stop_loss is inf"),
        ({"trade": "no"}, "trade is 'no'"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_every_door(seeded_bars, given, says):
    bars, grid = seeded_bars(60), {"exposure": [0.5, 1.0]}
    for door in (
        lambda: backtest(BuyAndHold, bars, **given),
        lambda: sweep(BuyAndHold, bars, grid, **given),
        lambda: walk_forward(BuyAndHold, bars, grid, train=20, test=10, **given),
    ):
        with pytest.raises(SettingsError, match=says):
            door()


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, NAN])
def test_a_number_of_workers_is_one_or_more(seeded_bars, workers):
    with pytest.raises(SettingsError, match="workers is"):
        sweep(SmaCross, seeded_bars(60), GRID, metric="return", workers=workers)


@pytest.mark.parametrize("bars", [{"train": True}, {"test": 0}, {"test": 2.5}, {"train": NAN}])
def test_a_number_of_bars_is_one_or_more(seeded_bars, bars):
    with pytest.raises(SettingsError, match="give a number of bars"):
        walk_forward(SmaCross, seeded_bars(60), GRID, **{"train": 20, "test": 10, **bars})


def test_a_parameter_named_like_a_figure_loses_nothing(seeded_bars):
    bars, grid = seeded_bars(60), {"exposure": [0.25, 0.5, 1.0]}
    frame = sweep(BuyAndHold, bars, grid, metric=["exposure", "return"])
    assert list(frame.columns) == ["exposure (parameter)", "exposure", "return"]
    assert frame["exposure (parameter)"].tolist() == [0.25, 0.5, 1.0]
    assert frame["exposure"].nunique() == 1
    assert list(sweep(BuyAndHold, bars, grid, metric="return").columns) == ["exposure", "return"]

    @strategy("bar")
    def odd(bar, trades=1, in_sample=1.0, sharpe=0.5):
        return in_sample * sharpe / trades

    grid = {"trades": [1, 2], "in_sample": [0.5, 1.0], "sharpe": [0.5]}
    frame = sweep(odd, bars, grid, metric=["trades", "sharpe", "return"][:1])
    assert frame["trades (parameter)"].tolist() == [1, 1, 2, 2]
    assert png(heatmap(frame, x="trades", y="in_sample", metric="trades")).startswith(b"\x89PNG")
    walk = walk_forward(odd, bars, grid, train=20, test=20, metric="return")
    assert set(walk.windows["in_sample (parameter)"]) <= {0.5, 1.0}
    assert walk.windows["in_sample"].dtype == float
    assert png(walk.plot()).startswith(b"\x89PNG")


@pytest.mark.parametrize("metric", METRICS)
def test_any_figure_can_be_walked_forward_and_drawn(seeded_bars, metric):
    bars = seeded_bars(400, 7, interval="1D", volatility=0.01)
    grid = {"fast": [3, 5], "slow": [10, 20]}
    walk = walk_forward(SmaCross, bars, grid, train=200, test=100, metric=metric)
    inside = sweep(SmaCross, bars.iloc[:200], grid, metric=metric)
    best = inside.iloc[[METRICS[metric].worth(value) for value in inside[metric]].index(
        max(METRICS[metric].worth(value) for value in inside[metric])
    )]  # fmt: skip
    assert walk.windows.iloc[0][["fast", "slow"]].tolist() == best[["fast", "slow"]].tolist()
    assert walk.windows.iloc[0]["in_sample"] == best[metric]
    assert repr(walk)
    assert walk.degradation is not None
    assert png(walk.plot()).startswith(b"\x89PNG")
    assert png(heatmap(inside)).startswith(b"\x89PNG")


def test_the_lowest_volatility_and_the_shortest_drawdown_are_the_best(seeded_bars):
    bars = seeded_bars(60, 3, interval="1D", volatility=0.01)
    grid = {"exposure": [1.0, 0.25, 0.5]}
    for metric in ("volatility", "turnover"):
        walk = walk_forward(BuyAndHold, bars, grid, train=30, test=30, metric=metric)
        assert walk.windows["exposure"].tolist() == [0.25]


def test_the_last_window_tests_what_is_left(seeded_bars):
    bars = seeded_bars(107)
    walk = walk_forward(SmaCross, bars, GRID, train=40, test=25, metric="return")
    assert walk.windows["test_bars"].tolist() == [25, 25, 17]
    assert len(walk.equity) == 67
    assert walk.equity.index[-1] == bars.index[-1]
    seen = []
    progress = {"progress": lambda *x: seen.append(x)}
    walk_forward(SmaCross, bars, GRID, train=40, test=25, metric="return", **progress)
    assert seen[-1] == (18, 18)


@pytest.mark.parametrize("engine", ["python", "auto"])
@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("weights", [None, {"A": 0.3, "B": 0.5, "C": 0.2}])
def test_walking_forward_past_listings_and_delistings(seeded_bars, engine, fill, weights):
    """B lists late, C is delisted: each keeps its share, which is in cash while there is no bar."""
    data = {
        "A": seeded_bars(400, 1),
        "B": seeded_bars(400, 2).iloc[230:],
        "C": seeded_bars(400, 3).iloc[:120],
    }
    terms = {"fill": fill, "weights": weights, "engine": engine}
    grid = {"exposure": [1.0]}
    walk = walk_forward(BuyAndHold, data, grid, train=100, test=100, metric="return", **terms)
    share = weights or dict.fromkeys("ABC", 1 / 3)
    for result, held in zip(walk.results, ["AC", "AB", "AB"], strict=True):
        assert result.panel.symbols == ("A", "B", "C")
        bought = result.fills.set_index("symbol")
        worth = bought["units"] * bought["price"]
        assert sorted(worth.index) == list(held)
        for symbol in held:
            assert worth[symbol] == pytest.approx(share[symbol] * 10_000, rel=0.05)
        assert np.isfinite(result.stats["return"])
    (note,) = [n for n in walk.results[0].notes if "bars ended" in n]
    assert note.startswith("C was still held")


def test_where_no_figure_can_choose_it_is_said(seeded_bars):
    with pytest.warns(BacktestWarning, match=r"in 2 of 2 windows no combination has a sharpe"):
        walk_forward(SmaCross, seeded_bars(100), GRID, train=40, test=30)
    with pytest.warns(BacktestWarning, match="sharpe: nan, since there are 1 returns"):
        sweep(SmaCross, seeded_bars(100), GRID)


def test_what_was_walked_and_swept_can_be_pickled(seeded_bars):
    walk = walk_forward(SmaCross, seeded_bars(100), GRID, train=40, test=30, metric="return")
    again = pickle.loads(pickle.dumps(walk))
    assert again.windows.equals(walk.windows)
    assert again.equity.equals(walk.equity)
    assert again.results[1].stats.equals(walk.results[1].stats)
