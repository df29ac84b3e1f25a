"""A simulated market that keeps the hours of a real one: no message and no bar outside."""

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.exchange import configure
from mdkit.exchange.market.history import History
from mdkit.exchange.market.hours import kept, session_of, trades_between
from mdkit.exchange.market.instruments import instrument
from mdkit.exchange.market.simulator import SimulatedFeed
from mdkit.exchange.market.tape import Tape

NEW_YORK = ZoneInfo("America/New_York")


def ms(text):
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def in_new_york(at_ms):
    return datetime.fromtimestamp(at_ms / 1000, NEW_YORK)


@pytest.mark.parametrize(
    ("day", "begins", "ends"),
    [
        ("2026-01-30", "2026-01-30T14:30", "2026-01-30T21:00"),  # a Friday in winter
        ("2026-07-31", "2026-07-31T13:30", "2026-07-31T20:00"),  # one in summer
    ],
)
def test_a_session_is_half_past_nine_to_four_in_new_york(day, begins, ends):
    number = ms(day) // 86_400_000
    assert session_of(number) == (ms(begins), ms(ends))
    assert session_of(number + 1) is session_of(number + 2) is None
    assert not trades_between(ms(ends), ms(begins) + 3 * 86_400_000)
    assert trades_between(ms(ends) - 1, ms(ends) + 1)


def test_time_goes_on_only_while_there_is_trading():
    began = ms("2026-01-30T20:59:50")  # ten seconds before a weekend
    offsets = list(kept(began, iter([0.0, 9.999, 10.0, 11.0, 10 + 6.5 * 3600 + 1])))
    weekend = (ms("2026-02-02T14:30") - began) / 1000
    assert offsets[:4] == pytest.approx([0.0, 9.999, weekend, weekend + 1.0])
    assert offsets[4] == pytest.approx((ms("2026-02-03T14:30:01") - began) / 1000)
    begun_closed = kept(ms("2026-01-31"), iter([0.0]))
    assert ms("2026-01-31") + next(begun_closed) * 1000 == ms("2026-02-02T14:30")


def test_no_message_is_outside_the_hours():
    opened = ms("2026-01-30T20:59")
    feed = SimulatedFeed(configure(hours="us", rate=0.05, scenario="steady"), opened)
    feed.begin(opened)
    due = iter(lambda: feed.take(feed.next_offset(), 10), None)
    times = [opened + m.offset * 1000 for several in islice(due, 2000) for m in several]
    assert len(times) > 2000
    for at in map(in_new_york, times):
        assert at.weekday() < 5
        assert (9, 30) <= (at.hour, at.minute) < (16, 0)
    assert len({at.date() for at in map(in_new_york, times)}) > 1


def _bars(interval, *, hours, now="2026-02-03T16:00", **asked):
    opened = ms("2026-02-03T15:00")
    history = History(instrument("AAPL.US"), 7, opened, hours=hours)
    tape = Tape(history.opening_ticks, opened)
    window = {"start": None, "end": None, "limit": 1000, **asked}
    return history.bars(tape, interval, ms(now), *window.values())


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "30m"])
def test_bars_are_those_of_a_market_that_never_closes_without_what_is_outside(interval):
    found = _bars(interval, hours="us")
    assert len(found) == 1000
    for at in (in_new_york(at) for at, _ in found):
        assert at.weekday() < 5
        assert (9, 30) <= (at.hour, at.minute) < (16, 0)
    always = dict(_bars(interval, hours=None, start=found[0][0], limit=100_000))
    assert all(always[at] == row for at, row in found)


def test_longer_bars_hold_the_minutes_of_the_hours_alone():
    minutes = pd.DataFrame.from_dict(
        dict(_bars("1m", hours="us", start=ms("2026-01-05"), limit=100_000)),
        orient="index",
        columns=["open", "high", "low", "close", "volume", "turnover"],
    )
    minutes.index = pd.to_datetime(minutes.index, unit="ms")
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    for interval, rule in (("1h", "1h"), ("1d", "1D")):
        folded = minutes.resample(rule).agg(rules).dropna().astype("int64")
        bars = _bars(interval, hours="us", start=ms("2026-01-05"), limit=100_000)
        assert len(bars) > 20
        for at, row in bars:
            assert row[:5] == tuple(folded.loc[pd.Timestamp(at, unit="ms")])
    days = [in_new_york(at + 43_200_000).weekday() for at, _ in bars]
    assert set(days) == {0, 1, 2, 3, 4}
    weeks = _bars("1w", hours="us", start=ms("2026-01-05"), limit=2)
    assert weeks[0][1][4] == folded["volume"].iloc[:5].sum()


def test_limits_count_the_bars_that_there_are():
    assert len(_bars("1d", hours="us", limit=10)) == 10
    first = _bars("1d", hours="us", start=ms("2026-01-03"), limit=3)  # a Saturday
    assert [at for at, _ in first] == [ms(f"2026-01-0{day}") for day in (5, 6, 7)]
    assert _bars("1h", hours="us", start=ms("2026-01-03"), end=ms("2026-01-04")) == []


def test_a_forming_bar_outside_the_hours_is_flat_and_the_day_before_is_one_with_trading():
    opened = ms("2026-02-01T12:00")  # a Sunday
    history = History(instrument("AAPL.US"), 7, opened, hours="us")
    tape = Tape(history.opening_ticks, opened)
    _, row = history.forming(tape, "1h", opened)
    assert row == (tape.last,) * 4 + (0, 0)
    (friday,) = history.bars(tape, "1d", opened, ms("2026-01-30"), ms("2026-01-30"), 1)
    assert history.previous_day() == friday[1]


@pytest.mark.outer
def test_klines_of_such_an_exchange(exchange_process):
    exchange = exchange_process(["AAPL.US"], hours="us", start="2026-02-02T15:00")
    bars = md.klines("AAPL.US", "30m", source=exchange, limit=27)
    local = bars.index.tz_convert(NEW_YORK)
    assert len(bars) == 27
    assert {at.weekday() for at in local} <= {0, 3, 4}
    assert local.min().hour >= 9
    assert local.max().hour < 16


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"hours": "uk"}, "hours='uk' are unknown: choose from us"),
        ({"hours": "us", "scenario": "flood"}, "another scenario than 'flood'"),
        ({"hours": "us", "speed": 0}, "without replay=, opening= and speed=0"),
        ({"hours": "us", "replay": "x.jsonl"}, "without replay="),
        ({"hours": "us", "scenario": "open", "opening": 100}, "opening="),
    ],
)
def test_hours_that_cannot_be_kept_are_told(settings, told):
    with pytest.raises(SettingsError, match=told):
        md.Exchange(**settings)
