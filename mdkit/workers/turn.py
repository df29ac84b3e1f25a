"""`LoopTurn`: how long the workers of a session together hold its loop."""

from __future__ import annotations

import asyncio
import time

TURN_SECONDS = 0.002
"""After so long others get their turn: the socket, cells of the notebook, pictures."""


class LoopTurn:
    """Shared by workers that run in one loop, of which only one at a time does anything.

    If each held the loop for as long as it may, all the others would wait for all of them.
    """

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = 0.0

    def resume(self, left: float, now: float) -> None:
        """Note that a worker that has been suspended since `left` goes on.

        The loop has been round meanwhile, so a new turn begins, unless another worker has begun
        one since.
        """
        if self._began <= left:
            self._began = now

    async def end(self) -> None:
        """Let others have their turn if this one has lasted long enough."""
        while time.perf_counter() - self._began > TURN_SECONDS:
            spent = self._began
            await asyncio.sleep(0)
            if self._began == spent:
                self._began = time.perf_counter()
                return
            # Another worker was first: this turn is its.
