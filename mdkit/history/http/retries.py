"""How often a REST call is tried again, and after what wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

from urllib3.util.retry import Retry

from mdkit.errors import RateLimitError
from mdkit.history.http.certificates import bad_certificate
from mdkit.venues.rest.retry_after import LONGEST_WAIT, retry_after, seconds

RETRIED_STATUS = (429, *range(500, 600))


class Patience(Retry):
    """urllib3's `Retry` with a replaceable clock, a longest wait, and a budget for every try."""

    STATUS_RETRIES = 5
    _pause: Callable[[float, str], None]
    _spend: Callable[[], None]

    @classmethod
    def of(
        cls,
        pause: Callable[[float, str], None],
        spend: Callable[[], None],
        *,
        retries: int = STATUS_RETRIES,
    ) -> Self:
        """Return one that calls `pause(seconds, why)` before a further try, then `spend()`.

        POST is tried again as GET is: what is posted here are questions, and change nothing.

        `retries` is the most of them; where there is no connection or no answer, two will do.
        """
        patience = cls(
            total=retries,
            connect=min(2, retries),
            read=min(2, retries),
            status=retries,
            allowed_methods=frozenset({"GET", "POST"}),
            status_forcelist=RETRIED_STATUS,
            backoff_factor=0.5,
            backoff_max=20,
            raise_on_status=False,
            respect_retry_after_header=False,  # `sleep` does, whatever the status is
        )
        patience._pause, patience._spend = pause, spend
        return patience

    def new(self, **changes: Any) -> Self:
        """Return one with changes, as urllib3 makes after each try."""
        fresh = super().new(**changes)
        fresh._pause, fresh._spend = self._pause, self._spend
        return fresh

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Self:
        """Count a try; raise what no further try can heal."""
        if error is not None and bad_certificate(error) is not None:
            raise error  # it would be as bad the next time
        return super().increment(method, url, response, error, *args, **kwargs)

    def sleep(self, response: Any = None) -> None:
        """Wait as long as the service asks, or longer each time."""
        wait = (
            retry_after(response.headers.get("Retry-After"), time.time())
            if response is not None
            else None
        )
        status = f"HTTP {response.status}" if response is not None else "no connection"
        check_wait(wait, status)
        self._pause(self.get_backoff_time() if wait is None else wait, status)
        self._spend()


def check_wait(wait: float | None, about: str) -> None:
    """Raise `RateLimitError` for a wait that is longer than `LONGEST_WAIT`: nobody watches that."""
    if wait is not None and wait > LONGEST_WAIT:
        raise RateLimitError(
            f"The service asks to wait {seconds(wait)} ({about}), longer than the "
            f"{LONGEST_WAIT:g} s that mdkit waits by itself; try again then.",
            code=3001,
            retry_after=wait,
        )
