"""backtest(): what it accepts, what it refuses, and what a strategy gets to see."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from mdkit.backtesting.engine import backtest
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Bar
from mdkit.strategies import ALL, SmaCross, as_strategy, strategy

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("account")]

ON_BARS = [name for name, found in ALL.items() if "bar" in as_strategy(found).kinds]


@strategy("bar")
class Diary:
    """Keeps all it sees, where a test can read it."""

    seen = []  # noqa: RUF012 - shared on purpose

    def __call__(self, bar):
        type(self).seen.append(bar)
        return


@pytest.fixture
def diary():
    Diary.seen = []
    return Diary


def test_a_strategy_is_handed_completed_bars_one_at_a_time_and_nothing_else(seeded_bars, diary):
    bars = seeded_bars(50)
    bars.attrs["symbol"] = "AAPL.US"
    backtest(diary, bars, engine="python")
    assert len(diary.seen) == 50
    for bar, (start, row) in zip(diary.seen, bars.iterrows(), strict=True):
        assert isinstance(bar, Bar)
        assert (bar.symbol, bar.start_ns, bar.interval) == ("AAPL.US", start.value, "1m")
        assert [bar.open, bar.high, bar.low, bar.close, bar.volume] == row.tolist()
        with pytest.raises(AttributeError):
            bar.close = 0.0


@pytest.mark.parametrize("engine", ["python", "native"])
@pytest.mark.parametrize("name", ON_BARS)
def test_the_future_changes_nothing_before_it(seeded_bars, name, engine):
    if engine == "native":
        pytest.importorskip("numba")
    bars = seeded_bars(300, 4, volatility=0.01)
    other = bars.copy()
    other.iloc[200:] *= 3.0
    one = backtest(ALL[name], bars, fee=0.001, engine=engine)
    two = backtest(ALL[name], other, fee=0.001, engine=engine)
    assert one.run.signals[:200].tobytes() == two.run.signals[:200].tobytes()
    assert one.run.equity[:200].tobytes() == two.run.equity[:200].tobytes()
    cut = backtest(ALL[name], bars.iloc[:200], fee=0.001, engine=engine)
    assert cut.run.equity.tobytes() == one.run.equity[:200].tobytes()


def test_what_was_decided_on_a_bar_cannot_fill_at_a_price_of_that_bar(seeded_bars):
    bars = seeded_bars(200, 2, volatility=0.02)

    @strategy("bar")
    def clairvoyant(bar):
        return 1.0 if bar.close > bar.open else 0.0

    fills = backtest(clairvoyant, bars, engine="python").fills
    assert len(fills) > 50
    assert fills["price"].tolist() == bars["open"].loc[fills["time"]].tolist()


def test_running_twice_gives_the_same_and_leaves_the_strategy_alone(seeded_bars):
    bars, mine = seeded_bars(300), SmaCross(fast=3, slow=8)
    one, two = (backtest(mine, bars, engine="python") for _ in range(2))
    assert one.run.equity.tobytes() == two.run.equity.tobytes()
    assert not hasattr(mine, "fast_average")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda b: b.drop(columns="close"), "no column close; the columns are open, high, low"),
        (
            lambda b: pd.DataFrame(),
            "no column open, high, low, close; the table is empty, and need",
        ),
        (lambda b: b.assign(Close=1.0, CLOSE=1.0).drop(columns="close"), "'Close' and 'CLOSE' may"),
        (lambda b: b.iloc[:0], "no rows"),
        (lambda b: b.iloc[::-1], r"not in order; use bars.sort_index\(\)"),
        (lambda b: b.reset_index(drop=True), "give bar starts as a DatetimeIndex"),
        (lambda b: pd.concat([b.iloc[:2], b.iloc[1:]]), "occurs twice"),
        (
            lambda b: b.assign(close=np.where(np.arange(len(b)) == 3, np.nan, 1.0)),
            "close is nan at",
        ),
        (lambda b: b.assign(low=0.0), "low is 0 at .* positive"),
        (lambda b: b.assign(high=np.inf), "high is inf"),
        (lambda b: b.assign(volume=-1.0), "volume is -1 .* not negative"),
        (lambda b: b.assign(close="x"), "close holds more than numbers"),
        (lambda b: b.assign(high=b["close"] * 0.5), "high is .*, below low at .* 10 such bars"),
        (lambda b: b.assign(high=b["low"], low=b["low"]), "high is .*, below open or close at"),
        (lambda b: b.assign(low=b["high"]), "low is .*, above open or close at"),
        (lambda b: b.assign(low=b["high"] + 1.0), "high is .*, below low at"),
        (lambda b: pd.concat([b, b["close"]], axis=1), "two columns close"),
        (lambda b: {1: b, "1": b}, "symbols that read alike: 1, '1'"),
        (lambda b: [1, 2], "bars is a list; give a DataFrame"),
        (lambda b: {}, "empty dict"),
        (lambda b: {"A": b, "B": b.iloc[:0]}, "bars of B: no rows"),
    ],
)
def test_bars_that_cannot_work_are_refused_with_the_cure(seeded_bars, spoil, says):
    with pytest.raises(SettingsError, match=says):
        backtest(SmaCross, spoil(seeded_bars(10)))


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"fee": -0.1}, "fee is -0.1; give a fraction"),
        ({"fee": 1.0}, "fee is 1.0"),
        ({"slippage": float("nan")}, "slippage is nan"),
        ({"cash": 0}, "cash is 0"),
        ({"fill": "open"}, "fill is 'open'"),
        ({"engine": "fast"}, "engine is 'fast'"),
        ({"stop_loss": 0}, "stop_loss is 0"),
        ({"take_profit": "5%"}, "take_profit is '5%'"),
        ({"weights": {"B": 1.0}}, "weights are for B; the symbols are asset"),
        ({"latency_ms": 5}, "latency_ms is for depth"),
    ],
)
def test_terms_that_cannot_work_are_refused(seeded_bars, terms, says):
    with pytest.raises(SettingsError, match=says):
        backtest(SmaCross, seeded_bars(10), **terms)


def test_no_strategy_and_async_ones_are_refused(seeded_bars):
    @strategy("bar")
    async def slow(bar):
        return None

    with pytest.raises(SettingsError, match="is not a strategy; decorate"):
        backtest(None, seeded_bars(10))
    with pytest.raises(SettingsError, match="slow is async"):
        backtest(slow, seeded_bars(10))


@pytest.mark.parametrize("engine", ["python", "auto"])
def test_a_failing_strategy_is_named_with_its_bar(seeded_bars, engine):
    @strategy("bar")
    class Fails:
        def start(self):
            self.count = 0

        def __call__(self, bar):
            self.count += 1
            return 1.0 / (self.count - 5.0)

    bars = seeded_bars(10)
    with pytest.raises(
        StrategyError, match=r"Fails failed on the bar of 2024-01-01T00:04:00Z: Zero"
    ):
        backtest(Fails, bars, engine=engine)


@pytest.mark.parametrize("engine", ["python", "auto"])
@pytest.mark.parametrize(
    ("value", "says"),
    [(3.5, "said 3.5 on the bar of 2024-01-01 .* between -1 and 1"), (np.nan, "returned nan")],
)
def test_what_is_no_exposure_is_an_error(seeded_bars, engine, value, says):
    said = float(value)

    @strategy("bar")
    def odd(bar):
        return said

    with pytest.raises(StrategyError, match=says):
        backtest(odd, seeded_bars(5), engine=engine)


def test_symbols_as_a_dict_and_as_a_level_are_the_same(seeded_bars):
    bars = {"A": seeded_bars(60, 1), "B": seeded_bars(80, 2)}
    stacked = pd.concat(bars, names=["symbol", "time"])
    one, two = (backtest(SmaCross(fast=3, slow=8), given) for given in (bars, stacked))
    assert one.run.equity.tobytes() == two.run.equity.tobytes()
    assert list(one.signals.columns) == ["A", "B"]
    assert two.signals["B"].notna().sum() == one.signals["B"].notna().sum()
    swapped = stacked.swaplevel().sort_index(level=0)
    three = backtest(SmaCross(fast=3, slow=8), swapped)
    assert three.run.equity.tobytes() == one.run.equity.tobytes()


def test_one_instance_may_see_all_symbols_in_order_of_time(seeded_bars, diary):
    shared = strategy("bar", per="session")(type("Shared", (Diary,), {}))
    shared.seen = []
    result = backtest(shared, {"A": seeded_bars(4), "B": seeded_bars(4, 2)})
    assert [bar.symbol for bar in shared.seen[-8:]] == ["A", "B"] * 4
    assert result.engine == "python"
    with pytest.raises(SettingsError, match=r"session|holds|numba"):
        backtest(shared, {"A": seeded_bars(4), "B": seeded_bars(4, 2)}, engine="native")


def test_real_daily_bars(market):
    with gzip.open(market / "AAPL.US_1d.json.gz") as file:
        rows = json.load(file)["data"]
    rows = rows if isinstance(rows, list) else rows["klines"]
    bars = pd.DataFrame(rows)
    index = pd.DatetimeIndex(pd.to_datetime(bars["time"].astype("int64"), unit="ms", utc=True))
    bars = bars.set_index(index)[["open", "high", "low", "close", "volume"]].astype(float)
    result = backtest(SmaCross(fast=20, slow=100), bars, fee=0.001, engine="python")
    assert result.account.year == 252.0
    assert result.stats["bars"] == 3270
    assert result.stats["trades"] > 10


def test_a_high_that_adjusting_rounded_below_the_close_is_no_fault(seeded_bars):
    bars = seeded_bars(10)
    rounded = bars.assign(high=np.maximum(bars["open"], bars["close"]) * (1.0 - 1e-13))
    assert len(backtest(SmaCross, rounded).panel) == 10
