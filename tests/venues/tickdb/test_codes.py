"""One function decides what a refusal means; this is its table."""

import pytest

from mdkit import errors
from mdkit.venues.tickdb.codes import classify

TABLE = {
    1001: errors.AuthenticationError,
    1002: errors.AuthenticationError,
    1003: errors.AuthenticationError,
    1004: errors.AuthenticationError,
    2001: errors.RequestError,
    2002: errors.RequestError,
    2003: errors.RequestError,
    2004: errors.RequestError,
    3001: errors.RateLimitError,
    3002: errors.QuotaError,
    3003: errors.SubscriptionError,
    3004: errors.SubscriptionError,
    4001: errors.RequestError,
    4002: errors.RequestError,
    4003: errors.SubscriptionError,
    4004: errors.SubscriptionError,
    5000: errors.ServerError,
    5001: errors.ServerError,
    5002: errors.ServerError,
}


@pytest.mark.parametrize(("code", "kind"), TABLE.items())
@pytest.mark.parametrize("status", [None, 200, 400, 401, 429, 500])
def test_every_documented_code_has_its_meaning_whatever_the_http_status(code, kind, status):
    error = classify(code, http_status=status, message="its words", about="depth AAPL.US")
    assert type(error) is kind
    assert error.code == code
    for part in (str(code), "its words", "depth AAPL.US"):
        assert part in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RequestError),
        (401, errors.AuthenticationError),
        (403, errors.AuthenticationError),
        (404, errors.RequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (503, errors.ServerError),
        (301, errors.ServerError),
    ],
)
def test_without_a_code_the_http_status_decides(status, kind):
    error = classify(None, http_status=status)
    assert type(error) is kind
    assert error.code is None
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (5999, 401, errors.ServerError),
        (9999, 401, errors.AuthenticationError),
        (9999, 403, errors.AuthenticationError),
        (9999, 418, errors.RequestError),
        (9999, 500, errors.ServerError),
        (9999, None, errors.ServerError),
        (None, None, errors.ServerError),
    ],
)
def test_an_unknown_code_is_taken_by_its_status_else_retried(code, status, kind):
    assert type(classify(code, http_status=status)) is kind


def test_a_rate_limit_carries_its_wait():
    error = classify(3001, http_status=429, retry_after=2.5)
    assert error.retry_after == 2.5
    assert "2.5 s" in str(error)
    assert classify(None, http_status=429).retry_after is None


@pytest.mark.parametrize(
    ("code", "path"), [(4003, "/v1/market/depth"), (4004, "/v1/market/trades")]
)
def test_a_push_that_is_unavailable_names_the_endpoint_that_still_serves_it(code, path):
    assert path in str(classify(code))


@pytest.mark.parametrize("code", [1001, 1002, 1003, 1004])
def test_a_refused_key_says_what_to_do(code):
    assert "TICKDB_API_KEY" in str(classify(code))
