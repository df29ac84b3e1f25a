"""Everything mdkit raises on purpose.

    MdkitError
    ├── SettingsError           a setting or argument is out of range (also a ValueError)
    ├── ServiceError            the data service said no; carries its code
    │   ├── AuthenticationError     the key is missing, wrong or not allowed: never retried
    │   ├── RequestError            a parameter or symbol is wrong: that request ends
    │   ├── SubscriptionError       the plan or the market refuses a channel: the others go on
    │   ├── RateLimitError          too fast; carries how long to wait
    │   ├── QuotaError              the plan is used up
    │   └── ServerError             trouble on the other side: retried with backoff
    ├── FeedError               no connection could be made or kept
    ├── InvalidMessage          bytes that are not a usable market message
    ├── SpillQuotaError         overflow to disk met its quota
    ├── StrategyError           a strategy failed and the session was asked to raise
    │   └── TransientError          raised *by* a strategy: try this message again
    ├── SessionError            a session was used in a way its state does not allow
    ├── RecordingError          a file is not a recording, or is damaged
    └── ExchangeError           the embedded exchange could not start or play

Messages are sentences that name the value, the limit and the cure. None of them ever holds
an API key.
"""

from __future__ import annotations


class MdkitError(Exception):
    """The root of all errors that mdkit raises on purpose.

    Example:
        >>> try:
        ...     md.Settings(worker_count=0)
        ... except md.MdkitError as error:
        ...     print(type(error).__name__)
        SettingsError
    """


class SettingsError(MdkitError, ValueError):
    """A setting, environment variable or argument has a value that cannot work."""


class ServiceError(MdkitError):
    """The data service refused or failed.

    `code` is the service's own error code, or None where it sent only an HTTP status.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class AuthenticationError(ServiceError):
    """The API key is missing, wrong, or not allowed here. Retrying cannot help."""


class RequestError(ServiceError):
    """A parameter, a symbol or a time range is wrong. Only that request ends."""


class SubscriptionError(ServiceError):
    """A subscription is refused by the plan or the market. Other subscriptions go on."""


class RateLimitError(ServiceError):
    """Too many requests. `retry_after` is the wait in seconds that the service asked for."""

    def __init__(
        self, message: str, *, code: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class QuotaError(ServiceError):
    """The plan's quota is used up. Waiting a few seconds does not help."""


class ServerError(ServiceError):
    """The service has trouble of its own; a retry with backoff may succeed.

    `retry_after` is the wait in seconds that the service asked for, or None.
    """

    def __init__(
        self, message: str, *, code: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class FeedError(MdkitError):
    """No connection to the feed could be made or kept."""


class InvalidMessage(MdkitError, ValueError):  # noqa: N818 - a verdict on data, not a failure
    """Bytes that cannot be used as a market message. `str()` is the reason."""


class SpillQuotaError(MdkitError):
    """The overflow file has reached its quota and the policy forbids dropping."""


class StrategyError(MdkitError):
    """A strategy raised, and the session was told to stop on errors."""


class TransientError(StrategyError):
    """Raise this inside a strategy to have the same message tried again with backoff.

    Example:
        >>> seen = []
        >>> @md.strategy("depth")
        ... def stored(book):
        ...     seen.append(book)
        ...     if len(seen) == 1:
        ...         raise md.TransientError("the database is busy")
        >>> market = md.Simulated(["AAPL.US"], speed=None, count=5)
        >>> receipt = md.live(source=market, strategies=[stored]).run_blocking()
        >>> len(seen), receipt.totals["dead_lettered"]
        (6, 0)
    """


class SessionError(MdkitError):
    """A session, pipeline or buffer was used in a way that its state does not allow."""


class RecordingError(MdkitError, ValueError):
    """A file is not a recording, or cannot be read as one."""


class RecordingWarning(UserWarning):
    """A recording was read, but something in it is missing or damaged; says what and how much."""


class ShardWarning(UserWarning):
    """A shard of a session on a cluster is absent from what was asked for; says which and why."""


class ExchangeError(MdkitError):
    """The embedded exchange could not start, or could not play what it was given."""
