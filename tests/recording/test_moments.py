"""Moments of a recording as users write them."""

from datetime import datetime

import pandas as pd
import pytest

from mdkit.errors import SettingsError
from mdkit.recording.moments import nanoseconds

T0 = 1_735_689_600_000_000_000


@pytest.mark.parametrize(
    "value", ["2025-01-01", "20250101", "1 Jan 2025", datetime(2025, 1, 1), pd.Timestamp(T0), T0]
)
def test_a_moment(value):
    assert nanoseconds(value, "start") == T0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("05/11/2023", "days and months can be confused"),
        ("14.11.2023 10:00", "days and months can be confused"),
        ("10:30", "is not a time"),
        ("may", "is not a time"),
        (1_735_689_600, "before all recordings: is it in seconds, ms or us"),
        (1_735_689_600_000, "before all recordings"),
        (1_735_689_600_000_000, "before all recordings"),
        (True, "is not a time"),
        (1.7e9, "is not a time"),
    ],
)
def test_what_is_no_moment_or_could_be_two(value, said):
    with pytest.raises(SettingsError, match=said):
        nanoseconds(value, "start")
