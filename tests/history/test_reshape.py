"""Gaps and resampling, against plain definitions."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import DAY, MINUTE, T0, kline, minutes

from mdkit.errors import SettingsError
from mdkit.history.columns import Klines, join_frames, to_frame
from mdkit.history.intervals import INTERVALS, period_end, period_start
from mdkit.history.reshape import gaps, resample


def frame(places, step=MINUTE, interval=None):
    return to_frame(Klines.of([kline(T0 + i * step) for i in places]), "A", interval)


def test_missing_periods_are_listed_in_runs():
    bars = frame([0, 1, 2, 5, 6, 8])
    found = gaps(bars)
    assert found.columns.tolist() == ["start", "end", "missing"]
    assert found["missing"].tolist() == [2, 1]
    assert found["start"].tolist() == [bars.index[0] + pd.Timedelta(minutes=m) for m in (3, 7)]
    assert found["end"].tolist() == [bars.index[3], bars.index[5]]


def test_nothing_is_missing_in_whole_bars_in_one_bar_and_in_none():
    for places in ([], [0], range(100)):
        found = gaps(frame(places))
        assert found.columns.tolist() == ["start", "end", "missing"]
        assert len(found) == 0
        assert str(found["start"].dtype).startswith("datetime64[ns, UTC")


def test_months_are_counted_by_the_calendar():
    starts = [pd.Timestamp(f"2024-{month:02}-01", tz="UTC") for month in (1, 2, 5, 12)]
    bars = frame([]).reindex(pd.DatetimeIndex(starts))
    found = gaps(bars, "1M")
    assert found["missing"].tolist() == [2, 6]
    assert found["start"].tolist() == [
        pd.Timestamp("2024-03-01", tz="UTC"),
        pd.Timestamp("2024-06-01", tz="UTC"),
    ]


def test_gaps_of_several_symbols():
    both = join_frames({"A": frame([0, 1, 2, 3, 6]), "B": frame([0, 1, 2])}, "1m")
    found = gaps(both)
    assert found["symbol"].tolist() == ["A"]
    assert found["missing"].tolist() == [2]


@given(st.sets(st.integers(0, 300), min_size=2, max_size=60))
def test_gaps_and_bars_fill_the_time_between(places):
    bars = frame(places, interval="1m")
    found = gaps(bars)
    assert len(bars) + found["missing"].sum() == max(places) - min(places) + 1
    for _, row in found.iterrows():
        assert not ((bars.index >= row["start"]) & (bars.index < row["end"])).any()


@pytest.mark.parametrize("interval", ["5m", "15m", "1h", "4h", "1d", "1w", "1M"])
def test_longer_bars_are_made_of_the_shorter(interval):
    """Against pandas' own resampling, where that has the same periods."""
    step = {"5m": 1, "15m": 1, "1h": 5, "4h": 30}.get(interval, 60) * MINUTE
    bars = frame([i for i in range(3000) if i % 100 < 60], step=step)
    bars["quote_volume"] = bars["volume"] * 2
    got = resample(bars, interval)
    rule = {"1M": "MS", "1w": "W-MON", "1d": "D"}.get(interval, interval.replace("m", "min"))
    theirs = (
        bars.resample(rule, closed="left", label="left")
        .agg(
            {
                "open": "first",
                "high": "max",
                "low": "min",
                "close": "last",
                "volume": "sum",
                "quote_volume": "sum",
            }
        )
        .dropna(subset="open")
    )
    pd.testing.assert_frame_equal(got, theirs, check_freq=False, check_names=False)
    assert got.attrs == {"symbol": "A", "interval": interval}


def test_partial_periods_can_be_left_out():
    bars = frame(range(3, 28), interval="1m")
    assert len(resample(bars, "5m")) == 6
    assert resample(bars, "5m", partial=False).index.minute.tolist() == [5, 10, 15, 20]
    whole = frame(range(30), interval="1m")
    assert len(resample(whole, "5m", partial=False)) == 6


def test_resampling_keeps_symbols_apart_and_the_same_interval_as_it_is():
    both = join_frames({"A": frame(range(10)), "B": frame(range(20, 30))}, "1m")
    got = resample(both, "5m")
    assert got.index.names == ["symbol", "time"]
    assert got.loc["B"].index.minute.tolist() == [20, 25]
    pd.testing.assert_frame_equal(resample(both, "1m"), both)
    assert len(resample(frame([]), "1h")) == 0


@pytest.mark.parametrize(
    ("bars", "interval", "said"),
    [
        (frame(range(5), step=DAY), "1h", "Bars of 1d cannot be made into bars of 1h"),
        (frame(range(5), step=7 * DAY), "1M", "whole periods of 1w"),
        (frame(range(5)), "7m", "valid ones are"),
        (frame(range(5)), "1min", 'Did you mean "1m"'),
        (frame(range(5)).reset_index(), "5m", "DatetimeIndex"),
        (frame(range(5)).iloc[::-1], "5m", "sort_index"),
        ("bars.csv", "5m", "DataFrame as md.klines"),
    ],
)
def test_what_cannot_be_resampled(bars, interval, said):
    with pytest.raises(SettingsError, match=said):
        resample(bars, interval)


def test_an_interval_that_cannot_be_told():
    with pytest.raises(SettingsError, match="pass interval="):
        gaps(frame([0, 7, 14, 21]))


@given(st.sampled_from(INTERVALS), st.integers(0, 4_000_000_000_000))
def test_periods_follow_each_other_and_hold_their_times(interval, ms):
    start = period_start(interval, ms)
    end = period_end(interval, start)
    assert start <= ms < end
    assert period_start(interval, end - 1) == start
    assert period_start(interval, end) == end
    if interval == "1w":
        assert pd.Timestamp(start, unit="ms").weekday() == 0
    if interval == "1M":
        assert pd.Timestamp(start, unit="ms").day == 1


def test_real_days_have_weekends_and_holidays(market):
    from mdkit.history.files import read_klines

    bars = read_klines(market / "AAPL.US_1d.json.gz")
    found = gaps(bars)
    assert found["missing"].mode()[0] == 2  # Saturday and Sunday
    assert len(bars) + found["missing"].sum() == (bars.index[-1] - bars.index[0]).days + 1
    months = resample(bars, "1M")
    assert months["volume"].sum() == bars["volume"].sum()
    assert months["high"].max() == bars["high"].max()
    assert minutes
