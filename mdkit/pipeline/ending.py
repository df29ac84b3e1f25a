"""Tasks that have to end by some time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence


def seconds_left(deadline: float | None) -> float | None:
    """Return how long it is until a time of the monotonic clock, 0 if that is past."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


async def ended_by(deadline: float | None, tasks: Sequence[asyncio.Task[None]]) -> bool:
    """Wait for tasks until the deadline; cancel what is left. True if nothing was left."""
    if not tasks:
        return True
    _, pending = await asyncio.wait(tasks, timeout=seconds_left(deadline))
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
    return not pending
