"""`TimeSlice`: how long the workers of a session together hold its loop."""

from __future__ import annotations

import asyncio
import time

SLICE_SECONDS = 0.004
"""After so long others get their turn: the socket, cells of the notebook, pictures."""


class TimeSlice:
    """Shared by workers that run in one loop: each of its rounds has one slice for them all.

    If each held the loop for as long as it may, all the others would wait for all of them.
    """

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began: float | None = None

    def begin(self, now: float) -> None:
        """Begin the slice of this round of the loop, unless a worker has begun it already."""
        if self._began is None:
            self._began = now
            asyncio.get_running_loop().call_soon(self._end_round)

    def _end_round(self) -> None:
        self._began = None

    async def wait(self) -> None:
        """Return at once while there is time left, or else in a round whose slice has some."""
        while self._is_over():  # noqa: ASYNC110 - an event takes another round
            await asyncio.sleep(0)

    def _is_over(self) -> bool:
        return self._began is not None and time.perf_counter() - self._began > SLICE_SECONDS
