"""Retry-After as servers write it."""

from email.utils import formatdate

import pytest

from mdkit.venues.rest.retry_after import LONGEST_WAIT, retry_after, seconds
from mdkit.venues.tickdb.codes import classify

NOW = 1_735_689_600.0


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("99999999999", 99_999_999_999.0),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW + 30), 30.0),
        ("Wed, 01 Jan 2025 00:01:00 +0100", 0.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("", None),
        (None, None),
        ("Wed, 99 Jan 2025 00:00:00 GMT", None),
    ],
)
def test_a_number_of_seconds_or_a_date(header, wait):
    assert retry_after(header, NOW) == wait


def test_the_number_that_the_server_gave_is_told():
    error = classify(None, http_status=429, retry_after=99_999_999_999.0)
    assert "asks for 99,999,999,999 s" in str(error)
    assert f"waiting {LONGEST_WAIT:.0f} s" in str(error)
    assert error.retry_after == 99_999_999_999.0
    assert "waiting 2.5 s" in str(classify(3001, retry_after=2.5))
    assert seconds(120.0) == "120 s"
