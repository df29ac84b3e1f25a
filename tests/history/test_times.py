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
        ("now", NOW),
        ("today", NOW // DAY * DAY),
        ("yesterday", NOW // DAY * DAY - DAY),
    ],
)
def test_a_time(value, ms):
    assert milliseconds(value, "start", NOW) == ms


@pytest.mark.parametrize(
    "value",
    ["soon", "", "2025-13-01", 20250101, 1.7e9, True, pd.NaT, None, [], "1960-01-01", "2300-01-01"],
)
def test_what_is_no_time_says_what_is_accepted(value):
    with pytest.raises(SettingsError, match="start="):
        milliseconds(value, "start", NOW)
