"""Bars at every interval come from the same minutes, past and present."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from mdkit.exchange import DEFAULT_SYMBOLS, configure
from mdkit.exchange.market.history import History
from mdkit.exchange.market.instruments import instrument
from mdkit.exchange.market.periods import INTERVALS, LATEST_INTERVALS, following, period_start
from mdkit.exchange.market.simulator import SimulatedFeed
from mdkit.exchange.market.tape import MINUTE_MS
from mdkit.settings import Settings

NOON = 1_735_732_800_000 + 17 * 3_600_000 + 5 * MINUTE_MS + 30_000
DAY = 86_400_000


def market(opened_ms=NOON, seconds=0.0, **settings):
    feed = SimulatedFeed(configure(["AAPL.US"], **settings), opened_ms)
    feed.begin(opened_ms)
    feed.take(seconds, 10**9)
    feed.catch_up(seconds)
    return feed, feed.histories["AAPL.US"], feed.tapes["AAPL.US"]


def merge(rows):
    return (
        rows[0][0],
        max(row[1] for row in rows),
        min(row[2] for row in rows),
        rows[-1][3],
        sum(row[4] for row in rows),
        sum(row[5] for row in rows),
    )


@pytest.mark.parametrize("interval", INTERVALS[1:])
def test_every_interval_is_its_minutes(interval):
    feed, history, tape = market(seconds=400, rate=20)
    now = feed.now_ms
    bars = history.bars(tape, interval, now, None, None, 2)
    bars.append(history.forming(tape, interval, now))
    for start, row in bars:
        end = min(following(interval, start), (now // MINUTE_MS + 1) * MINUTE_MS)
        minutes = []
        at = start
        while at < end:
            page = history.bars(tape, "1m", now, at, end - 1, 1000)
            if not page:
                break
            minutes += page
            at = page[-1][0] + MINUTE_MS
        if at < end:
            minutes.append(history.forming(tape, "1m", now))
        assert len(minutes) == (end - start) // MINUTE_MS
        assert row == merge([minute for _, minute in minutes])


@pytest.mark.outer
def test_minutes_join_up_and_are_possible():
    feed, history, tape = market(seconds=300)
    bars = history.bars(tape, "1m", feed.now_ms, None, None, 3000)
    starts = [start for start, _ in bars]
    assert starts == list(range(starts[0], starts[0] + 3000 * MINUTE_MS, MINUTE_MS))
    for (_, before), (_, row) in pairwise(bars):
        open_, high, low, close, volume, _ = row
        assert low <= min(open_, close) <= max(open_, close) <= high
        assert low > 0
        # Once trading began, a bar opens with its first trade.
        assert open_ == before[3] or volume
    history_rows = [row for start, row in bars if start < feed.opened_ms - MINUTE_MS]
    assert history_rows[-1][3] == tape.first


def test_the_past_does_not_depend_on_when_or_what_is_asked():
    _, one, tape = market()
    _, other, other_tape = market(NOON + 40 * DAY)
    start = NOON - 500 * DAY
    ask = ("1h", NOON, start, None, 50)
    expected = one.bars(tape, *ask)
    other.bars(other_tape, "1d", NOON + 40 * DAY, None, None, 700)
    assert other.bars(other_tape, *ask) == expected


def test_trading_starts_at_the_last_close_whatever_the_time_of_day():
    prices = {market(period_start("1d", NOON) + ms)[2].first for ms in (0, 1, NOON % DAY)}
    assert len(prices) == 1


@pytest.mark.outer
def test_bars_since_the_opening_are_the_trades():
    feed, history, tape = market(seconds=0)
    spec = feed.instruments["AAPL.US"]
    trades = [
        trade
        for message in feed.take(200, 10**9)
        if message.key[0] == "trade"
        for trade in message.events
    ]
    by_minute = {}
    for trade in trades:
        by_minute.setdefault(trade.exchange_ns // 60_000_000_000 * MINUTE_MS, []).append(trade)
    bars = dict(history.bars(tape, "1m", feed.now_ms, feed.opened_ms, None, 10))
    assert bars
    for start, row in bars.items():
        prices = [spec.ticks(trade.price) for trade in by_minute[start]]
        assert row[:4] == (prices[0], max(prices), min(prices), prices[-1])
        assert row[4] == sum(spec.units(trade.size) for trade in by_minute[start])


@pytest.mark.parametrize("interval", LATEST_INTERVALS)
def test_periods_follow_each_other(interval):
    at = period_start(interval, NOON)
    assert at <= NOON < following(interval, at)
    assert period_start(interval, following(interval, at)) == following(interval, at)
    assert period_start(interval, at - 1) < at
    if interval == "1w":
        assert datetime.fromtimestamp(at / 1000, UTC).weekday() == 0


def test_bounds_are_inclusive_and_limit_counts_from_the_right_end():
    feed, history, tape = market()
    hour = 3_600_000
    first = period_start("1h", NOON) - 10 * hour
    ask = history.bars
    found = ask(tape, "1h", feed.now_ms, first, first + 2 * hour, 100)
    assert [start for start, _ in found] == [first, first + hour, first + 2 * hour]
    found = ask(tape, "1h", feed.now_ms, first, None, 2)
    assert [start for start, _ in found] == [first, first + hour]
    found = ask(tape, "1h", feed.now_ms, None, first + hour + 1, 2)
    assert [start for start, _ in found] == [first, first + hour]
    found = ask(tape, "1h", feed.now_ms, None, None, 1)
    assert [start for start, _ in found] == [period_start("1h", NOON) - hour]
    assert ask(tape, "1h", feed.now_ms, NOON + DAY, None, 5) == []
    assert ask(tape, "1h", feed.now_ms, None, 5, 5) == []


@pytest.mark.outer
def test_the_whole_past_is_there_and_plausible():
    feed, history, tape = market()
    months = history.bars(tape, "1M", feed.now_ms, None, None, 1000)
    assert len(months) == 300
    base = instrument("AAPL.US").base
    assert all(base / 3 < row[3] < base * 3 for _, row in months)


def test_an_anchored_history_ends_at_the_given_price():
    history = History(instrument("BTCUSDT"), 7, NOON, anchor=6_180_020)
    assert history.opening_ticks == 6_180_020


def test_a_thousand_hours_follow_each_other():
    feed, history, tape = market()
    hours = history.bars(tape, "1h", feed.now_ms, None, None, 1000)
    assert len(hours) == 1000
    assert {after[0] - before[0] for before, after in pairwise(hours)} == {3_600_000}


def test_default_symbols_are_those_of_the_settings():
    assert Settings.model_fields["subscribed_symbols"].default == DEFAULT_SYMBOLS
