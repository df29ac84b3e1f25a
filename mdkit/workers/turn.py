"""`LoopTurn`: how long the workers of a session together hold its loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque

TURN_SECONDS = 0.008
"""After so long others get their turn: the socket, cells of the notebook, pictures."""


class LoopTurn:
    """Shared by workers that run in one loop, of which each round gives one a turn.

    If each held the loop for as long as it may, all the others would wait for all of them.
    """

    __slots__ = ("_began", "_waiting")

    def __init__(self) -> None:
        self._began = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resume(self, left: float, now: float) -> None:
        """Note that a worker that has been suspended since `left` goes on.

        The loop has been round meanwhile, so a new turn begins, unless another worker has begun
        one since.
        """
        if self._began <= left:
            self._began = now

    async def end(self) -> None:
        """Let others have their turn if this one has lasted long enough."""
        if time.perf_counter() - self._began <= TURN_SECONDS:
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._pass_on)
        self._waiting.append(waiter)
        await waiter
        self._began = time.perf_counter()

    def _pass_on(self) -> None:
        """Give the next turn to the worker that has waited longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():  # as where its worker was cancelled
                waiter.set_result(None)
                break
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._pass_on)
