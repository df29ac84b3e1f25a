"""Walking forward over books: windows of time, fresh strategies, no book of another stretch."""

import numpy as np
import pandas as pd
import pytest

import mdkit as md
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.errors import SettingsError
from mdkit.events import Depth

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def books(count, every=1.0, start=START):
    """Books a second apart, whose prices rise and fall in turns of ten."""
    found = []
    for n in range(count):
        price = 100.0 + abs(n % 20 - 10) / 10
        sizes = (3.0, 1.0) if n % 20 >= 10 else (1.0, 3.0)
        found.append(
            Depth(
                "A", ((price, sizes[0]),), ((price + 0.1, sizes[1]),), 0,
                start + round(n * every * SECOND),
            )
        )  # fmt: skip
    return found


@md.strategy("depth")
def follow(book, way=1.0):
    return way if md.imbalance(book, 1) > 0 else -way


SEEN = []


@md.strategy("depth")
class Sees:
    """Keeps the times of what each instance is shown."""

    way: float = 1.0

    def start(self):
        self.times = []
        SEEN.append(self.times)

    def __call__(self, book):
        self.times.append((book.received_ns - START) // SECOND)
        return self.way


TERMS = {"train": "30s", "test": "20s", "metric": "return", "progress": False}
GRID = {"way": [-1.0, 1.0]}


@pytest.mark.parametrize("as_data", [list, md.load_books, iter], ids=["list", "loaded", "iterator"])
def test_windows_of_time_follow_one_another(as_data):
    walked = md.walk_forward(follow, as_data(books(101)), GRID, **TERMS)
    windows = walked.windows
    seconds = (windows["test_start"] - pd.Timestamp(START, tz="UTC")).dt.total_seconds()
    assert seconds.tolist() == [30.0, 50.0, 70.0, 90.0]
    assert windows["test_books"].tolist() == [20, 20, 20, 11]
    assert windows["train_start"].iloc[1] == pd.Timestamp(START + 20 * SECOND, tz="UTC")
    assert windows["test_end"].iloc[-1] == pd.Timestamp(START + 100 * SECOND, tz="UTC")
    assert len(walked.equity) == 71
    assert walked.equity.index.is_monotonic_increasing


def test_the_choice_and_the_verdict_are_those_of_backtests_by_hand():
    events = books(101)
    walked = md.walk_forward(follow, events, GRID, **TERMS, fee=0.0001, latency_ms=100)
    worth = 1.0
    for number, row in enumerate(walked.windows.to_dict("records")):
        begin = 20 * number
        trained, tested = events[begin : begin + 30], events[begin + 30 : begin + 50]
        by_hand = [
            md.backtest(follow(way=way), trained, fee=0.0001, latency_ms=100).stats["return"]
            for way in GRID["way"]
        ]
        assert row["way"] == GRID["way"][by_hand.index(max(by_hand))]
        assert row["in_sample"] == max(by_hand)
        result = md.backtest(follow(way=row["way"]), tested, fee=0.0001, latency_ms=100)
        assert row["out_of_sample"] == result.stats["return"]
        assert walked.results[number].run.equity.tobytes() == result.run.equity.tobytes()
        worth *= result.run.equity[-1] / result.terms.cash
    assert walked.equity.iloc[-1] == worth


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_no_instance_sees_a_book_of_another_stretch(engine):
    SEEN.clear()
    md.walk_forward(
        Sees, books(90), GRID, **TERMS, purge="5s", embargo="2500ms", engine=engine
    )  # fmt: skip
    spans = [(times[0], times[-1]) for times in SEEN if times]
    # Of each window both combinations in training, less what is purged, then the chosen one.
    expected = []
    for begin in (0, 20, 40):
        expected += [(begin, begin + 24)] * 2 + [(begin + 33, min(begin + 49, 89))]
    assert spans == expected


def test_windows_between_recordings_are_passed_over():
    events = books(60) + books(60, start=START + 200 * SECOND)
    with pytest.warns(BacktestWarning, match=r"of 12 windows are passed over, since there is no"):
        walked = md.walk_forward(follow, events, GRID, **TERMS)
    assert walked.windows["test_start"].is_monotonic_increasing
    assert (walked.windows["test_books"] > 0).all()


def test_a_figure_that_is_nan_everywhere_is_warned_of():
    with pytest.warns(BacktestWarning, match="in 4 of 4 windows no combination has a sharpe in"):
        walked = md.walk_forward(follow, books(101), GRID, **{**TERMS, "metric": "sharpe"})
    assert walked.windows["way"].tolist() == [-1.0] * 4


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"train": 30}, 'train is 30; over books give a span of time, such as "10min"'),
        ({"test": "soon"}, "test is 'soon'; give a time above zero"),
        ({"purge": "30s"}, "purge is '30s'; give less than train='30s'"),
        ({"embargo": 5}, "embargo is 5; over books give a span of time"),
        ({"embargo": "1min"}, "embargo is '1min'; give less than test='20s'"),
        ({"train": "1h"}, "the events span 0 days 00:01:40; train='1h' and test='20s' need more"),
        ({"metric": ["return"]}, "give the name of one figure"),
        ({"trade": False}, "trade is False; figures are of what was traded"),
        ({"feee": 1.0}, "walk_forward: "),
        ({"engine": "fast"}, 'engine is \'fast\'; give "auto", "python" or "native"'),
        ({"test": "1ns"}, "makes 70,000,000,001 windows of 101 events"),
    ],
)
def test_bad_arguments_are_refused(changes, match):
    with pytest.raises(SettingsError, match=match):
        md.walk_forward(follow, books(101), GRID, **{**TERMS, **changes})


def test_spans_of_time_are_for_books():
    @md.strategy("bar")
    def bars(bar, n=1):
        return 1.0

    with pytest.raises(SettingsError, match="train is '30s'; give a number of bars"):
        md.walk_forward(bars, pd.DataFrame(), {"n": [1]}, train="30s", test=3)
    with pytest.raises(SettingsError, match="latency_ms is for books"):
        md.walk_forward(bars, pd.DataFrame(), {"n": [1]}, train=3, test=3, latency_ms=5)


def test_spans_may_be_those_of_pandas_and_numpy():
    expected = md.walk_forward(follow, books(101), GRID, **TERMS)
    for train in (pd.Timedelta("30s"), np.timedelta64(30, "s")):
        walked = md.walk_forward(follow, books(101), GRID, **{**TERMS, "train": train})
        assert walked.windows.equals(expected.windows)
