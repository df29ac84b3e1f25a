"""Gaps and resampling, against plain definitions."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import DAY, MINUTE, T0, kline, minutes

from mdkit.errors import SettingsError
from mdkit.frames import Frames
from mdkit.history.columns import Klines, join_frames, to_frame
from mdkit.history.files.zones import ZoneWarning
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


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("depth", r'session.frame\("depth", every="1m"\).*columns here are exchange_time, bid'),
        ("ticker", r"every="),
        ("trade", r'md.live\(..., bars="1m"\), frame\("bar"\)'),
    ],
)
def test_what_is_no_bars_says_what_to_use(kind, said):
    with pytest.raises(SettingsError, match=said):
        resample(Frames().frame(kind, "A"), "1m")


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
    from mdkit.history.files.files import read_klines

    bars = read_klines(market / "AAPL.US_1d.json.gz")
    found = gaps(bars)
    assert found["missing"].mode()[0] == 2  # Saturday and Sunday
    assert len(bars) + found["missing"].sum() == (bars.index[-1] - bars.index[0]).days + 1
    months = resample(bars, "1M")
    assert months["volume"].sum() == bars["volume"].sum()
    assert months["high"].max() == bars["high"].max()
    assert minutes


ZONES = ["Europe/Berlin", "America/New_York", "America/Havana", "Africa/Cairo", "Asia/Kolkata"]


def local_frame(index):
    count = range(1, len(index) + 1)
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), count), index).assign(
        volume=1.0
    )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("interval", "rule"), [("1d", "D"), ("1w", "W-MON"), ("1M", "MS")])
def test_days_weeks_and_months_are_those_of_the_indexs_zone(zone, interval, rule):
    bars = local_frame(pd.date_range("2024-01-01", "2024-12-31", freq="30min", tz=zone))
    got = resample(bars, interval)
    theirs = bars.resample(rule, closed="left", label="left").agg(
        {"open": "first", "close": "last"}
    )
    assert got.index.tolist() == theirs.index.tolist()
    assert got["open"].tolist() == theirs["open"].tolist()
    assert got["close"].tolist() == theirs["close"].tolist()
    assert len(gaps(got, interval)) == 0
    assert str(got.index.tz) == zone


@pytest.mark.parametrize("zone", [*ZONES, "Australia/Lord_Howe"])
@pytest.mark.parametrize("interval", ["1h", "2h", "4h"])
def test_hours_over_a_clock_change_are_each_there_once(zone, interval):
    bars = local_frame(pd.date_range("2024-01-01", "2024-12-31", freq="30min", tz=zone))
    got = resample(bars, interval)
    assert got.index.is_monotonic_increasing
    assert got.index.is_unique
    assert got["volume"].sum() == len(bars)
    assert len(gaps(got, interval)) == 0


def test_hours_begin_by_the_clock_where_it_is_half_an_hour_off():
    bars = local_frame(
        pd.date_range("2024-01-01 09:15", periods=25, freq="15min", tz="Asia/Kolkata")
    )
    assert resample(bars, "1h").index.minute.tolist() == [0] * 7


@pytest.mark.parametrize("in_utc", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("change", ["2024-03-10", "2024-11-03"])
def test_a_day_missing_at_a_clock_change_is_missing(in_utc, missing, change):
    around = pd.Timedelta(days=8)
    days = pd.date_range(
        pd.Timestamp(change) - around, pd.Timestamp(change) + around, tz="America/New_York"
    )
    bars = local_frame(days).drop(days[9 - missing : 9])
    found = gaps(bars.tz_convert("UTC") if in_utc else bars, "1d")
    assert found["missing"].tolist() == [missing]
    if not in_utc:
        assert found["start"].tolist() == [days[9 - missing]]
        assert found["end"].tolist() == [days[9]]


def test_four_hours_missing_at_a_clock_change_are_missing():
    four = pd.date_range("2024-03-09", "2024-03-12", freq="1h", tz="America/New_York")
    four = four[four.hour % 4 == 0]
    assert gaps(local_frame(four.delete(7)), "4h")["missing"].tolist() == [1]


def test_days_of_a_market_further_east_are_asked_about():
    days = pd.bdate_range("2024-03-01", "2024-04-30", tz="Asia/Tokyo")
    assert resample(local_frame(days), "1w")["volume"].iloc[1] == 5
    with pytest.warns(ZoneWarning, match="bars.tz_convert"):
        resample(local_frame(days.tz_convert("UTC")), "1w")


def test_months_of_another_zone_are_told_to_be_months():
    months = pd.date_range("2024-01-01", "2024-12-01", freq="MS", tz="Europe/Berlin")
    assert len(gaps(local_frame(months))) == 0
    assert gaps(local_frame(months.delete(3)))["missing"].tolist() == [1]
