"""`Turn`: a lock that costs next to nothing while nobody else wants it."""

from __future__ import annotations

import asyncio
from collections import deque


class Turn:
    """Passed on in the order in which it was waited for; for one event loop.

    Whoever finds it not `taken` sets that, and anybody else awaits `wait()`; both go on to `end()`.
    """

    __slots__ = ("_waiters", "taken")

    def __init__(self) -> None:
        self.taken = False
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Return once it was passed on to the caller."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.cancelled():
                self.end()  # it was passed on, to nobody any more
            raise

    def end(self) -> None:
        """Pass it on to whoever has waited longest."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.taken = False
