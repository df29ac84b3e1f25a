"""Whether strategies are heavy enough for worker processes: measured, not guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mdkit.errors import SessionError, SettingsError
from mdkit.stream.connection import RawMessage
from mdkit.stream.parcels import Batch, Done, Setup, pack, unpack
from mdkit.stream.worker_processes import Process, end_process, start_process

HEAVY_SECONDS = 50e-6
"""A message from which on a second core gives more than sending messages to it takes."""
_FEWEST = 64
_PATIENCE = 10.0
"""Seconds that the strategies have for the messages, twice; the feed waits meanwhile."""


async def rehearse(
    setup: Setup, messages: Sequence[RawMessage], symbols: Callable[[], Sequence[str]]
) -> float:
    """Return the seconds that strategies take for a message, tried in a process of its own.

    `messages`, at least one, should be of the kind that is to come: bars out of history say
    nothing of what a strategy does with books.

    The process is thrown away, so what the strategies remember of it is gone too. Raises
    `SettingsError` when they cannot go to a process, `SessionError` when they do not come back
    from it.
    """
    process = await start_process(0, setup, symbols)
    try:
        tried = [*messages] * -(-_FEWEST // len(messages))
        await _try(process, tried)
        # What only the first calls cost, as importing and compiling, no later message costs.
        done = await _try(process, tried)
        return done.busy_seconds / len(tried)
    finally:
        await end_process(process)


async def _try(process: Process, messages: Sequence[RawMessage]) -> Done:
    process.writer.write(pack(Batch(1, list(messages), None)))
    await process.writer.drain()
    try:
        done: Done = await asyncio.wait_for(unpack(process.reader), _PATIENCE)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
        what = "did not return" if isinstance(error, TimeoutError) else "ended their process"
        raise SessionError(
            f"The strategies {what} when they were tried on {len(messages)} messages, so "
            "they stay in this process."
        ) from None
    if done.error is not None:
        raise SettingsError(f"The strategies failed when they were tried: {done.error}")
    return done
