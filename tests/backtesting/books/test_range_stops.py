"""Stops on books that are so many average true ranges away."""

import numpy as np
import pytest

import mdkit as md
from mdkit.backtesting.account.ranges import average_ranges, ranges_by_time
from mdkit.strategies import strategy

pytestmark = pytest.mark.xdist_group("books account")

SECOND = 1_000_000_000


def book(price, second):
    return md.Depth(
        "A", ((price - 0.5, 1000.0),), ((price + 0.5, 1000.0),), 0, 60 * SECOND + second * SECOND
    )


def path():
    """Bars of a minute with ranges of 4, an entry at 100 in the fifth, and then a slow fall."""
    events = []
    for minute in range(4):
        events += [book(price, 60 * minute + 10 * k) for k, price in enumerate((100, 102, 98, 100))]
    events.append(book(100, 245))
    events += [book(100 - k, 250 + k) for k in range(1, 15)]
    return events


@strategy("depth")
class Once:
    after: int = 245

    def start(self):
        self.said = False

    def __call__(self, book):
        if not self.said and book.received_ns >= (60 + self.after) * SECOND:
            self.said = True
            return 1.0
        return None


def test_a_stop_is_ranges_of_bars_of_mids_away_from_the_entry():
    stop = md.ATRStop(2, period=2, interval="1m")
    result = md.backtest(Once, path(), stop_loss=stop, engine="python")
    assert result.fills["reason"].tolist() == ["signal", "stop_loss"]
    entry, left = result.fills["price"]
    assert entry == 100.5
    # 2 x 4 below the entry: the first bid at 92.5 or below.
    assert left == 92.5
    trailed = md.backtest(
        Once, path(), trailing_stop=md.ATRStop(1, period=2, interval="1m"), engine="python"
    )
    # 4 below the best bid since the entry, or what was paid: at 96.5 or below.
    assert trailed.fills["price"].tolist() == [100.5, 96.5]
    assert trailed.fills["reason"].tolist() == ["signal", "trailing_stop"]


def test_without_a_bar_yet_there_is_no_stop_until_there_is():
    events = [book(100, 0), book(100, 1), book(60, 2), book(60, 61), book(59, 62)]
    stop = md.ATRStop(0.5, period=1, interval="1m")
    result = md.backtest(Once(after=0), events, stop_loss=stop, engine="python")
    # The range of the first minute, 40, is known at the first book after it.
    assert result.fills["time"].iloc[1].second == 1
    assert len(result.fills) == 2


def test_ranges_by_time_are_those_of_the_bars_that_have_ended():
    rng = np.random.default_rng(2)
    times = np.sort(rng.integers(0, 900, 400)) * SECOND
    prices = 100 + rng.normal(0, 1, 400).cumsum()
    prices[rng.random(400) < 0.1] = np.nan
    found = ranges_by_time(times, prices, 3, 60 * SECOND)
    for number, time in enumerate(times):
        bars = {}
        for when, price in zip(times, prices, strict=True):
            if when // (60 * SECOND) < time // (60 * SECOND) and price == price:
                bars.setdefault(when // (60 * SECOND), []).append(price)
        if not bars:
            assert np.isnan(found[number])
            continue
        rows = np.array([(max(own), min(own), own[-1]) for own in bars.values()])
        assert found[number] == average_ranges(*rows.T, 3)[-1]


@pytest.mark.outer
def test_both_accounts_give_the_same_bits(numba):
    terms = {
        "stop_loss": md.ATRStop(1.5, 2, "1m"), "trailing_stop": 0.02,
        "take_profit": md.ATRStop(3, 2, "1m"),
    }  # fmt: skip
    one, two = (md.backtest(Once, path(), engine=e, **terms) for e in ("python", "native"))
    assert len(one.fills) == 2
    assert one.run.equity.tobytes() == two.run.equity.tobytes()
    assert one.run.books.fills.tobytes() == two.run.books.fills.tobytes()
