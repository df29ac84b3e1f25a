"""How many calls a minute one service is asked, by all that ask it in this process."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from mdkit.errors import RateLimitError, SettingsError

Waiting = Callable[[float, str], None]
"""Told the seconds and the reason before a wait."""


class Budget:
    """At most `per_minute` calls in any 60 seconds; None is without limit. Thread-safe."""

    def __init__(
        self,
        per_minute: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] = time.sleep,
    ) -> None:
        if per_minute is not None and per_minute < 1:
            raise SettingsError(f"a budget of {per_minute} calls a minute allows no call at all")
        self.per_minute = per_minute
        self._clock = clock
        self._sleep = sleep
        self._calls: deque[float] = deque()
        self._lock = threading.Lock()

    def spend(
        self,
        waiting: Waiting | None = None,
        *,
        longest: float | None = None,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        """Count one call, after waiting until the budget allows it.

        `sleep` is how to wait, where that is not the budget's own way. Raises `RateLimitError`
        instead of waiting more than `longest` seconds.
        """
        if self.per_minute is None:
            return
        while True:
            with self._lock:
                now = self._clock()
                while self._calls and now >= self._calls[0] + 60.0:
                    self._calls.popleft()
                if len(self._calls) < self.per_minute:
                    self._calls.append(now)
                    return
                # A rounding error must not make it sleep for nothing, again and again.
                pause = max(self._calls[0] + 60.0 - now, 0.001)
            if longest is not None and pause > longest:
                raise RateLimitError(
                    f"The budget of {self.per_minute} REST calls a minute is spent for the next "
                    f"{pause:.0f} s; set REST_CALLS_PER_MINUTE to what your plan allows.",
                    retry_after=pause,
                )
            if waiting is not None:
                waiting(pause, f"the budget of {self.per_minute} calls a minute")
            (self._sleep if sleep is None else sleep)(pause)


_budgets: dict[tuple[str, str, int | None], Budget] = {}


def shared_budget(base_url: str, api_key: str | None, per_minute: int | None) -> Budget:
    """Return the budget that all calls of this process to one service with one key share."""
    digest = hashlib.blake2b((api_key or "").encode(), digest_size=8).hexdigest()
    return _budgets.setdefault((base_url, digest, per_minute), Budget(per_minute))
