"""When to connect again."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable


class Backoff:
    """Exponential backoff with full jitter, a cap on attempts a minute, and a patient reset.

    The n-th wait is uniform between 0 and `min(maximum, base * 2**n)` seconds ("full jitter"
    in Marc Brooker's "Exponential Backoff And Jitter", 2015). A server that accepts and hangs
    up at once must not reset it, so `n` returns to 0 only after a connection has stayed up
    for `stable_after` seconds.
    """

    def __init__(
        self,
        base: float,
        maximum: float,
        clock: Callable[[], float],
        *,
        stable_after: float | None = None,
        per_minute: int = 30,
        rng: random.Random | None = None,
    ) -> None:
        self.base = base
        self.maximum = maximum
        self.stable_after = 10 * base if stable_after is None else stable_after
        self.per_minute = per_minute
        self.attempt = 0
        self._clock = clock
        self._random = rng or random.Random()
        self._connected_at: float | None = None
        self._tries: deque[float] = deque(maxlen=per_minute)

    def connecting(self) -> None:
        """Note that an attempt begins."""
        self._tries.append(self._clock())

    def connected(self) -> None:
        """Note that it succeeded."""
        self._connected_at = self._clock()

    def delay(self, at_least: float = 0.0) -> float:
        """Return the seconds to wait before the next attempt, and count it.

        `at_least` is a wait the server asked for (Retry-After); jitter comes on top of it.
        """
        now = self._clock()
        if self._connected_at is not None and now - self._connected_at >= self.stable_after:
            self.attempt = 0
        self._connected_at = None
        ceiling = min(self.maximum, self.base * 2.0 ** min(self.attempt, 64))
        self.attempt += 1
        wait = at_least + self._random.uniform(0.0, ceiling)
        if len(self._tries) == self.per_minute:
            wait = max(wait, self._tries[0] + 60.0 - now)
        return wait
