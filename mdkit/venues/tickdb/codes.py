"""The service's error codes, classified in one place.

What is fatal, what ends one request, and what is retried is decided by `classify` alone.
"""

from __future__ import annotations

from mdkit.errors import (
    AuthenticationError,
    QuotaError,
    RateLimitError,
    RequestError,
    ServerError,
    ServiceError,
    SubscriptionError,
)
from mdkit.redaction import safe_text
from mdkit.venues.rest.retry_after import LONGEST_WAIT, seconds

_AUTHENTICATION = {
    1001: "the API key is not valid",
    1002: "no API key was sent",
    1003: "this machine's IP address is not allowed to use the key",
    1004: "the key has no permission for this",
}
_REQUEST = {
    2001: "a parameter is wrong",
    2002: "the symbol is unknown",
    2003: "the time range is wrong",
    2004: "the limit is too large",
    4001: "the command is unknown to the service",
    4002: "the service could not read the message",
}
_SUBSCRIPTION = {
    3003: "the plan's limit of connections is reached; close another session or upgrade the plan",
    3004: "the plan's limit of subscriptions is reached; subscribe to fewer symbols or channels",
    4003: "this market has no depth push; GET /v1/market/depth (REST) still serves its book",
    4004: "this market has no trade push; GET /v1/market/trades (REST) still serves its trades",
}
_KEY_CURE = "Check TICKDB_API_KEY (or api_key=...); the session will not retry."


def classify(
    code: int | None,
    *,
    http_status: int | None = None,
    message: str = "",
    about: str = "",
    retry_after: float | None = None,
) -> ServiceError:
    """Return the exception that a refusal means; its type says what to do about it.

    `code` is the service's code (None where there was only an HTTP status), `message` its own
    words, `about` what was asked for ("depth AAPL.US"), `retry_after` the seconds of a
    Retry-After header. `AuthenticationError` and `QuotaError` are fatal, `RequestError` and
    `SubscriptionError` end one request, `RateLimitError` waits, `ServerError` backs off.
    An unknown code is taken by its HTTP status, else as `ServerError`.
    """
    name = str(code) if code is not None else f"HTTP {http_status}"
    what = f" for {about}" if about else ""
    words = f' (the service says: "{safe_text(message)}")' if message else ""

    def sentence(meaning: str, cure: str = "") -> str:
        return f"{name}{what}: {meaning}{words}.{' ' + cure if cure else ''}"

    if code in _AUTHENTICATION:
        return AuthenticationError(sentence(_AUTHENTICATION[code], _KEY_CURE), code=code)
    if code in _REQUEST:
        return RequestError(sentence(_REQUEST[code]), code=code)
    if code in _SUBSCRIPTION:
        return SubscriptionError(sentence(_SUBSCRIPTION[code]), code=code)
    if code == 3001 or (code is None and http_status == 429):
        wait = "backing off"
        if retry_after is not None:
            wait = f"waiting {seconds(retry_after)}"
        if retry_after is not None and retry_after > LONGEST_WAIT:
            wait = (
                f"waiting {seconds(LONGEST_WAIT)}, the longest that mdkit does, though the service "
                f"asks for {seconds(retry_after)}"
            )
        return RateLimitError(
            sentence(f"too many requests; {wait}"), code=code, retry_after=retry_after
        )
    if code == 3002:
        return QuotaError(
            sentence("the plan's quota is used up", "Wait for its renewal or upgrade."), code=code
        )
    if code is None or not 5000 <= code < 6000:
        if http_status in (401, 403):
            return AuthenticationError(sentence("the key was refused", _KEY_CURE), code=code)
        if http_status is not None and 400 <= http_status < 500:
            return RequestError(sentence("the request was refused"), code=code)
    return ServerError(
        sentence("the service has trouble; retrying with backoff"),
        code=code,
        retry_after=retry_after,
    )
