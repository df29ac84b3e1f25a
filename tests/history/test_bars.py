"""Live bars: by the exchange's clock, the same in any batches, and nothing passed over silently."""

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import T0, minutes

from mdkit.errors import SettingsError
from mdkit.events import Bar, Depth, Ticker, Trade
from mdkit.history.bars import MAX_EMPTY, BarBuilder, bar_events
from mdkit.history.columns import Klines, join_frames, to_frame
from mdkit.history.intervals import INTERVALS, period_end, period_start

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = T0 * 1_000_000


def trade(seconds, price, size=1.0, symbol="A"):
    return Trade(symbol, price, size, exchange_ns=START + int(seconds * SECOND))


def fold(events, interval="1m", symbol="A"):
    builder = BarBuilder(symbol, interval)
    return [bar for event in events for bar in builder.update(event)], builder


def values(bar):
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def test_trades_become_bars_and_the_first_is_partial():
    bars, builder = fold(
        [trade(30, 10.0), trade(40, 12.0, 2.0), trade(59.9, 9.0), trade(60, 9.5), trade(121, 8.0)]
    )
    assert bars == [
        Bar("A", 10.0, 12.0, 9.0, 9.0, 4.0, START, "1m", partial=True),
        Bar("A", 9.5, 9.5, 9.5, 9.5, 1.0, START + MINUTE, "1m"),
    ]
    assert builder.flush() == [Bar("A", 8.0, 8.0, 8.0, 8.0, 1.0, START + 2 * MINUTE, "1m", True)]
    assert builder.flush() == []


def test_an_empty_period_is_a_flat_bar():
    bars, builder = fold([trade(0, 10.0), trade(200, 11.0)])
    assert [values(bar) for bar in bars[1:]] == [(10.0, 10.0, 10.0, 10.0, 0.0)] * 2
    assert [bar.start_ns for bar in bars] == [START, START + MINUTE, START + 2 * MINUTE]
    assert [bar.partial for bar in bars] == [True, False, False]
    assert builder.empty == 2


def test_a_late_trade_is_counted_and_changes_nothing():
    bars, builder = fold([trade(0, 10.0), trade(61, 11.0), trade(59, 99.0), trade(130, 12.0)])
    assert [values(bar)[:4] for bar in bars] == [(10.0,) * 4, (11.0,) * 4]
    assert builder.late == 1


def test_within_a_bar_the_exchanges_time_tells_open_and_close():
    bars, _ = fold(
        [
            trade(30, 10.0),
            trade(10, 11.0),  # earlier by the exchange, later to arrive
            trade(10, 12.0),
            trade(50, 13.0),
            trade(50, 14.0),
            trade(40, 15.0),
            trade(60, 1.0),
        ]
    )
    assert values(bars[0]) == (11.0, 15.0, 10.0, 14.0, 6.0)


def test_tickers_become_bars_without_volume():
    tickers = [
        Ticker("A", price, exchange_ns=START + i * MINUTE // 2)
        for i, price in enumerate([5.0, 7.0, 6.0])
    ]
    bars, _ = fold(tickers)
    assert [values(bar) for bar in bars] == [(5.0, 7.0, 5.0, 7.0, 0.0)]


def test_what_cannot_be_placed_is_counted_and_ignored():
    wild = Trade("A", 5.0, 1.0, exchange_ns=START + 2 * 3600 * SECOND, received_ns=START)
    bars, builder = fold([trade(0, 10.0), Trade("A", 9.0, 1.0), wild, trade(60, 11.0)])
    assert [values(bar) for bar in bars] == [(10.0, 10.0, 10.0, 10.0, 1.0)]
    assert builder.ignored == 2
    with pytest.raises(SettingsError, match="trade of B is not of A"):
        builder.update(trade(70, 1.0, symbol="B"))
    with pytest.raises(SettingsError, match="trades or tickers, not of a depth"):
        builder.update(Depth("A", (), (), START))


def test_time_that_other_messages_tell_completes_bars():
    builder = BarBuilder("A", "1m")
    assert builder.advance(START + 10 * MINUTE) == []
    builder.update(trade(5, 10.0))
    assert builder.advance(START + MINUTE - 1) == []
    assert [bar.start_ns for bar in builder.advance(START + 2 * MINUTE)] == [START, START + MINUTE]
    assert builder.advance(START + 2 * MINUTE) == []
    assert builder.update(trade(125, 11.0)) == []
    assert values(builder.flush()[0]) == (11.0, 11.0, 11.0, 11.0, 1.0)


def test_around_an_interruption_bars_are_partial():
    builder = BarBuilder("A", "1m")
    builder.update(trade(0, 10.0))
    bars = builder.update(trade(60, 11.0))
    builder.interrupt()
    bars += builder.update(trade(190, 12.0))
    bars += builder.update(trade(240, 13.0))
    bars += builder.update(trade(300, 14.0))
    assert [bar.partial for bar in bars] == [True, True, True, True, False]
    assert [bar.start_ns for bar in bars] == [START + i * MINUTE for i in range(5)]


def test_a_silence_of_days_is_left_as_a_gap():
    far = 60 * (MAX_EMPTY + 50)
    bars, builder = fold([trade(0, 10.0), trade(far, 11.0), trade(far + 60, 12.0)])
    assert [bar.start_ns for bar in bars] == [START, START + far * SECOND]
    assert builder.skipped == MAX_EMPTY + 49
    assert bars[1].partial


def test_after_a_flush_the_same_period_is_late():
    builder = BarBuilder("A", "1m")
    builder.update(trade(0, 10.0))
    builder.flush()
    assert builder.update(trade(30, 11.0)) == []
    assert builder.late == 1
    builder.update(trade(61, 12.0))
    assert values(builder.flush()[0])[:4] == (12.0,) * 4


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval(interval):
    first = period_start(interval, T0)
    second = period_end(interval, first)
    events = [Trade("A", 1.0, 1.0, exchange_ns=ms * 1_000_000) for ms in (first, second)]
    bars, builder = fold(events, interval)
    assert [(bar.start_ns, bar.interval) for bar in bars] == [(first * 1_000_000, interval)]
    assert builder.flush()[0].start_ns == second * 1_000_000


def test_a_wrong_interval_lists_the_valid_ones():
    with pytest.raises(SettingsError, match="1m, 3m, 5m"):
        BarBuilder("A", "7m")


EVENTS = st.lists(
    st.tuples(st.integers(0, 900), st.sampled_from([1.0, 1.5, 2.0, 3.25]), st.integers(1, 5)),
    max_size=60,
)


def plainly(events, interval_s=60):
    """Bars by definition: drop what is late, group by period, fill the empty ones."""
    kept, reached = [], -1
    for at, price, size in events:
        period = at // interval_s
        if period >= reached:
            reached = period
            kept.append((period, at, price, size))
    bars = {}
    for period, group in itertools.groupby(kept, key=lambda row: row[0]):
        rows = list(group)
        times = [row[1] for row in rows]
        first = rows[times.index(min(times))]
        last = rows[len(rows) - 1 - times[::-1].index(max(times))]
        prices = [row[2] for row in rows]
        volume = float(sum(row[3] for row in rows))
        bars[period] = (first[2], max(prices), min(prices), last[2], volume)
    filled = []
    if bars:
        close = 0.0
        for period in range(min(bars), max(bars) + 1):
            bar = bars.get(period, (close,) * 4 + (0.0,))
            close = bar[3]
            filled.append((period, bar))
    return filled, len(events) - len(kept)


@given(EVENTS)
def test_bars_are_those_of_the_definition(events):
    bars, builder = fold([trade(at, price, float(size)) for at, price, size in events])
    bars += builder.flush()
    expected, late = plainly(events)
    assert [((bar.start_ns - START) // MINUTE, values(bar)) for bar in bars] == expected
    assert builder.late == late
    if bars:
        ends = {0, len(bars) - 1}
        assert [i for i, bar in enumerate(bars) if bar.partial] == sorted(ends)


@given(EVENTS, st.lists(st.integers(0, 60), max_size=8))
def test_batches_and_repeated_clock_readings_change_nothing(events, cuts):
    trades = [trade(at, price, float(size)) for at, price, size in events]
    whole, one = fold(trades)
    two, pieces = BarBuilder("A", "1m"), []
    for first, last in itertools.pairwise([0, *sorted(cuts), len(trades)]):
        for event in trades[first:last]:
            pieces += two.update(event)
        reached = max((t.exchange_ns for t in trades[:last]), default=0)
        pieces += two.advance(reached)  # tells nothing that the trades have not told
    assert pieces == whole
    assert two.flush() == one.flush()


def test_rows_of_a_frame_are_the_events_that_warm_a_strategy():
    frame = to_frame(Klines.of(minutes(T0, 3)), "A.US", "1m")
    events = list(bar_events(frame))
    assert [event.start_ns for event in events] == frame.index.as_unit("ns").asi8.tolist()
    assert values(events[1]) == tuple(frame.iloc[1])
    assert {(e.symbol, e.interval, e.partial) for e in events} == {("A.US", "1m", False)}
    both = join_frames({"A.US": frame, "B.US": frame}, "1m")
    assert [event.symbol for event in bar_events(both, "B.US")] == ["B.US"] * 3
    with pytest.raises(SettingsError, match="2 symbols"):
        list(bar_events(both))
    with pytest.raises(SettingsError, match="pass symbol="):
        list(
            bar_events(
                pd.DataFrame(frame)[[]]
                .assign(**frame)
                .rename_axis("t")
                .iloc[:2]
                .pipe(lambda f: pd.DataFrame(f.to_numpy(), f.index, f.columns))
            )
        )
