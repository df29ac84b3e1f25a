"""When a return ends and how many a year has, told by the bars and their own time zone."""

import numpy as np
import pandas as pd
import pytest

from mdkit.backtesting.account.calendar import DAY, Calendar, week_of

HOUR = DAY // 24


def calendar(index, **more):
    return Calendar(index.tz_convert("UTC").as_unit("ns").asi8, index.tz, **more)


def days(zone, start="2020-01-01", end="2024-12-31"):
    return pd.bdate_range(start, end, tz=zone)


def hours(zone, begin, end):
    index = pd.date_range("2022-01-03", "2023-12-29", freq="1h", tz=zone)
    return index[(index.day_of_week < 5) & (index.hour >= begin) & (index.hour < end)]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Hong_Kong", "Asia/Tokyo", "Europe/Berlin"])
def test_days_from_monday_to_friday_are_252_a_year_wherever_midnight_is(zone):
    index = days(zone)
    own, in_utc = calendar(index), calendar(index.tz_convert("UTC"))
    assert own.returns_per_year == in_utc.returns_per_year == 252.0
    assert len(own.ends) == len(in_utc.ends) == len(index)
    assert own.frequency == f"daily ({zone})"


@pytest.mark.parametrize(
    ("zone", "begin", "end"),
    [("America/New_York", 4, 20), ("Australia/Sydney", 10, 16), ("Asia/Kolkata", 9, 16)],
)
def test_a_session_over_midnight_utc_is_one_day(zone, begin, end):
    index = hours(zone, begin, end)
    assert calendar(index).returns_per_year == 252.0
    assert len(calendar(index).ends) == len(set(index.date))


def test_one_special_saturday_and_a_hole_of_a_year_change_nothing():
    saturday = pd.DatetimeIndex(["2024-01-20"], tz="UTC")
    assert calendar(days("UTC").append(saturday).sort_values()).returns_per_year == 252.0
    index = days("UTC")
    assert calendar(index[(index.year != 2022)]).returns_per_year == 252.0


def test_other_weeks_are_counted():
    forex = pd.date_range("2022-01-02 22:00", "2023-12-29 21:00", freq="1h", tz="UTC")
    day, hour = forex.day_of_week, forex.hour
    forex = forex[~(((day == 4) & (hour >= 22)) | (day == 5) | ((day == 6) & (hour < 22)))]
    assert calendar(forex).returns_per_year == pytest.approx(6 * 365.25 / 7, rel=0.01)
    assert calendar(pd.date_range("2024-01-01", periods=90, tz="UTC")).returns_per_year == 365.0
    riyadh = pd.date_range("2023-01-01", "2023-12-31", tz="Asia/Riyadh")
    riyadh = riyadh[~riyadh.day_of_week.isin([4, 5])]
    assert calendar(riyadh).returns_per_year == 252.0
    thrice = pd.date_range("2023-01-01", "2023-12-31", tz="UTC")
    thrice = thrice[thrice.day_of_week.isin([0, 2, 4])]
    assert calendar(thrice).returns_per_year == pytest.approx(3 * 365.25 / 7, rel=0.01)


def test_a_week_is_judged_by_what_was_seen_of_it():
    monday = int(pd.Timestamp("2024-01-01").value // DAY)
    assert week_of(np.array([monday])) == 5.0
    assert week_of(monday + np.arange(7)) == 7.0
    assert week_of(monday + np.arange(3, 10)) == 7.0
    assert week_of(monday + np.array([0, 1, 2, 3, 4, 7, 8, 9, 11])) == 4.5


@pytest.mark.parametrize(
    ("freq", "months", "name"),
    [("MS", 1, "1M"), ("ME", 1, "1M"), ("BMS", 1, "1M"), ("QS", 3, "3M"), ("YS", 12, "12M")],
)
def test_months_are_months(freq, months, name):
    own = calendar(pd.date_range("2010-01-01", "2024-02-01", freq=freq, tz="UTC"))
    assert (own.months, own.interval) == (months, name)
    assert own.returns_per_year == 12 / months
    assert own.frequency == "per bar"


@pytest.mark.parametrize(("freq", "name"), [("28D", "4w"), ("30D", "30d"), ("7D", "1w")])
def test_periods_of_equal_days_are_no_months(freq, name):
    own = calendar(pd.date_range("2020-01-01", "2024-02-01", freq=freq, tz="UTC"))
    assert (own.months, own.interval) == (0, name)
    assert own.returns_per_year == pytest.approx(365.25 / pd.Timedelta(freq).days)


def test_the_last_bar_ends_by_the_clock_of_its_zone():
    def end(freq, start, stop, zone):
        index = pd.date_range(start, stop, freq=freq, tz=zone)
        return pd.Timestamp(calendar(index).end_of(-1), tz="UTC").tz_convert(zone)

    assert end("MS", "2023-01-01", "2024-02-01", "UTC") == pd.Timestamp("2024-03-01", tz="UTC")
    assert end("ME", "2023-01-31", "2024-02-29", "UTC") == pd.Timestamp("2024-03-31", tz="UTC")
    new_york = "America/New_York"
    changed = pd.Timestamp("2024-03-11", tz=new_york)
    assert end("D", "2024-02-01", "2024-03-10", new_york) == changed
    assert changed - pd.Timestamp("2024-03-10", tz=new_york) == pd.Timedelta(hours=23)
    assert end("1h", "2024-03-01", "2024-03-10 01:00", new_york) == pd.Timestamp(
        "2024-03-10 03:00", tz=new_york
    )


def test_one_bar_ends_after_what_it_is_said_to_last():
    one = pd.DatetimeIndex(["2024-01-01 10:00"], tz="UTC")
    assert calendar(one).end_of(-1) == one[0].value + DAY
    assert calendar(one, single=HOUR).end_of(-1) == one[0].value + HOUR
