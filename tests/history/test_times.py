"""What may be written for `start` and `end`."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from services import DAY, MINUTE, T0

from mdkit.errors import SettingsError
from mdkit.history.times import milliseconds

NOW = T0 + 100 * DAY + 12_345


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2025-01-01", T0),
        ("2025-01-01T00:01", T0 + MINUTE),
        ("2025-01-01 02:00+02:00", T0),
        (date(2025, 1, 1), T0),
        (datetime(2025, 1, 1), T0),
        (datetime(2025, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), T0),
        (pd.Timestamp("2025-01-01"), T0),
        (pd.Timestamp("2024-12-31 19:00", tz="America/New_York"), T0),
        (np.datetime64("2025-01-01"), T0),
        ("30d", NOW - 30 * DAY),
        ("2w", NOW - 14 * DAY),
        ("90m", NOW - 90 * MINUTE),
        ("99999y", 0),
        ("1m", NOW - MINUTE),
        ("1M", pd.Timestamp("2025-03-11").value // 10**6 + 12_345),
        ("13M", pd.Timestamp("2024-03-11").value // 10**6 + 12_345),
        ("99999M", 0),
        ("2H", NOW - 120 * MINUTE),
        ("3D", NOW - 3 * DAY),
        ("20250101", T0),
        ("1 Jan 2025", T0),
        ("2025", T0),
        ("now", NOW),
        ("today", NOW // DAY * DAY),
        ("yesterday", NOW // DAY * DAY - DAY),
    ],
)
def test_a_time(value, ms):
    assert milliseconds(value, "start", NOW) == ms


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "",
        "2025-13-01",
        "1mo",
        "1min",
        "10:30",
        "may",
        "05/11/23",
        20250101,
        1.7e9,
        True,
        pd.NaT,
        None,
        [],
        "1960-01-01",
        "2300-01-01",
    ],
)
def test_what_is_no_time_says_what_is_accepted(value):
    with pytest.raises(SettingsError, match="start="):
        milliseconds(value, "start", NOW)


@pytest.mark.parametrize("mark", ["/", ".", "-"])
@pytest.mark.parametrize("days", [("05", "11"), ("14", "11"), ("11", "14")])
def test_days_and_months_are_not_guessed(mark, days):
    text = mark.join([*days, "2023"])
    with pytest.raises(SettingsError, match="the year last, and days and months can be confused"):
        milliseconds(text, "end", NOW)
    with pytest.raises(SettingsError, match="confused"):
        milliseconds(text + " 14:30", "end", NOW)


def test_a_month_ago_is_a_day_that_the_month_has():
    now = pd.Timestamp("2025-03-31 10:30:15.123").value // 10**6
    assert (
        milliseconds("1M", "start", now) == pd.Timestamp("2025-02-28 10:30:15.123").value // 10**6
    )
    assert (
        milliseconds("2M", "start", now) == pd.Timestamp("2025-01-31 10:30:15.123").value // 10**6
    )
