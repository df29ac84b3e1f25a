"""Backtests of the frames that people have, and of what sessions hold."""

import warnings

import numpy as np
import pandas as pd
import pytest

import mdkit as md
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.backtesting.data.volume import reads_volume
from mdkit.errors import SettingsError
from mdkit.events import Bar
from mdkit.frames import Frames
from mdkit.strategies import BuyAndHold, SmaCross, as_strategy


def same_run(one, other):
    return one.run.equity.tobytes() == other.run.equity.tobytes()


@pytest.mark.parametrize("engine", ["python", "auto"])
@pytest.mark.parametrize("case", [str.capitalize, str.upper, " {} ".format])
def test_columns_may_be_in_any_case(seeded_bars, case, engine):
    bars = seeded_bars(200)
    mine = SmaCross(fast=3, slow=8)
    spelt = bars.rename(columns=case)
    spelt["Adj Close"] = 0.0
    assert same_run(md.backtest(mine, spelt, engine=engine), md.backtest(mine, bars))


def test_the_exact_name_counts_where_there_is_one(seeded_bars):
    bars = seeded_bars(50)
    assert same_run(md.backtest(BuyAndHold, bars.assign(Close=1.0)), md.backtest(BuyAndHold, bars))


@pytest.mark.outer
@pytest.mark.parametrize("engine", ["python", "auto"])
def test_bars_need_no_volume_that_nobody_reads(seeded_bars, engine):
    bars = seeded_bars(200)
    bare = bars.drop(columns="volume")
    for mine in (BuyAndHold, SmaCross(fast=3, slow=8)):
        assert same_run(md.backtest(mine, bare, engine=engine), md.backtest(mine, bars))
        assert md.verify(mine, bare)


@md.strategy("bar")
def by_volume(bar):
    return 1.0 if bar.volume > 10.0 else 0.0


def weight(bar):
    return getattr(bar, "volume")  # noqa: B009 - the word as text


@md.strategy("bar")
def by_helper(bar):
    return min(weight(bar), 1.0)


@md.strategy("bar")
class ByIndicator:
    def start(self):
        self.average = Averager()

    def __call__(self, bar):
        return self.average.update(bar)


class Averager:
    def update(self, bar):
        return (lambda x: min(x.volume, 1.0))(bar)


@pytest.mark.parametrize("mine", [by_volume, by_helper, ByIndicator])
def test_a_strategy_that_reads_the_volume_is_refused_bars_without(seeded_bars, mine):
    assert reads_volume(as_strategy(mine))
    bare = seeded_bars(20).drop(columns="volume")
    with pytest.raises(SettingsError, match=r"no column volume, which strategy .* reads"):
        md.backtest(mine, bare)
    with pytest.raises(SettingsError, match="no column volume"):
        md.verify(mine, bare)


@md.strategy("bar")
def by_kind(bar):
    return 1.0 if isinstance(bar, Bar) else None


def test_naming_an_event_is_no_reading_of_its_volume(seeded_bars):
    bars = seeded_bars(20)
    bare = bars.drop(columns="volume")
    assert same_run(md.backtest(by_kind, bare), md.backtest(by_kind, bars))
    given = pd.Series([1.0, 0.0], bars.index[[2, 9]])
    ran = [md.backtest(signals=given, bars=one) for one in (bare, bars)]
    assert same_run(*ran)
    assert len(ran[0].fills) == 2


def test_an_index_without_a_zone_is_utc_and_says_so_once(seeded_bars):
    bars = seeded_bars(100)
    naive = bars.tz_localize(None)
    with pytest.warns(BacktestWarning, match="bars has no time zone and is taken as UTC") as told:
        got = md.backtest(BuyAndHold, naive)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert same_run(got, md.backtest(BuyAndHold, bars))
    with pytest.warns(BacktestWarning, match="bars of A, B has no time zone") as told:
        md.backtest(BuyAndHold, {"A": naive, "B": naive, "C": bars})
    assert len(told) == 1


def books(count):
    rng = np.random.default_rng(5)
    for n in range(1, count + 1):
        for symbol in ("A", "B"):
            sizes = rng.integers(1, 9, 16).astype(float).tolist()
            bids = tuple((100.0 - level / 100, sizes[level]) for level in range(8))
            asks = tuple((100.01 + level / 100, sizes[8 + level]) for level in range(8 - n % 3))
            yield md.Depth(symbol, bids, asks, n * 1_000_000, n * 1_000_000 + (symbol == "B"))


def frames_of(events):
    frames = Frames()
    for event in events:
        frames.extend(event.kind, event.symbol, [event])
    return frames


class Held:
    """What a session is to a backtest: its tables."""

    def __init__(self, frames):
        self.frame = frames.frame

    def explain(self):
        return ""


@pytest.mark.outer
@pytest.mark.parametrize("levels", [1, 3, 5, 8])
def test_a_table_of_books_and_a_session_are_the_events_they_were_made_of(levels):
    events = list(books(120))
    frames = frames_of(events)
    mine = md.strategies.pressure(levels=levels, enter=1.2)
    expected = md.backtest(mine, events, trade=False)
    for data in (frames.frame("depth"), frames.frame("depth", levels=2), Held(frames)):
        got = md.backtest(mine, data, trade=False)
        pd.testing.assert_frame_equal(got.signals, expected.signals)
    alone = md.backtest(mine, frames.frame("depth", "B"), cash=1.0)
    assert alone.panel.symbols == ("B",)
    only = [event for event in events if event.symbol == "B"]
    assert same_run(alone, md.backtest(mine, only, cash=1.0))
    assert md.verify(mine, frames.frame("depth")).digest == md.verify(mine, events).digest


def test_a_table_that_lacks_levels_is_refused():
    table = pd.DataFrame(frames_of(books(10)).frame("depth"))
    with pytest.raises(SettingsError, match=r"has 1 level a side.*levels=10"):
        md.backtest(md.strategies.pressure, table)


def test_a_gap_in_a_table_is_told():
    frames = Frames()
    heard = []

    @md.strategy("depth")
    class Listener:
        def on_gap(self, gap):
            heard.append((gap.symbol, gap.from_ns, gap.to_ns))

        def __call__(self, book):
            return 0.0

    events = [event for event in books(4) if event.symbol == "A"]
    frames.extend("depth", "A", events[:2])
    frames.table("depth", "A").break_off()
    frames.extend("depth", "A", events[2:])
    md.backtest(Listener, frames.frame("depth"))
    assert heard == [("A", events[1].received_ns, events[2].received_ns)]


def test_the_bars_of_a_session_are_its_whole_ones():
    frames = Frames()
    bars = [
        md.Bar("A", 1.0 + n, 2.0 + n, 0.5 + n, 1.5 + n, 3.0, n * 60_000_000_000, partial=n == 0)
        for n in range(30)
    ]
    frames.extend("bar", "A", bars)
    result = md.backtest(BuyAndHold, Held(frames))
    assert len(result.panel) == 29
    assert result.panel.interval == "1m"
    with pytest.raises(SettingsError, match="holds no whole bar"):
        md.backtest(BuyAndHold, Held(Frames()))
    with pytest.raises(SettingsError, match="holds no depth events"):
        md.backtest(md.strategies.pressure, Held(Frames()))


def test_a_live_session_can_be_backtested():
    source = md.Simulated(["AAPL.US"], count=100, speed=10)
    session = md.live(source=source, strategies=[md.strategies.pressure])
    session.run_blocking()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BacktestWarning)  # of fills larger than the book showed
        result = md.backtest(md.strategies.pressure, session)
    said = session.signals()["value"].tolist()
    assert result.signals["AAPL.US"].dropna().tolist() == said
    assert len(said) > 0
