"""What `session.stop()` gives: something to await, to wait for, or to leave alone."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from mdkit.errors import SessionError
from mdkit.notebook.loops import running_loop
from mdkit.stream.receipt import Receipt


class Stopping:
    """A stop under way: `await` it, or in a plain script call `result()`; or leave it alone."""

    def __init__(
        self,
        future: concurrent.futures.Future[Receipt],
        loop: asyncio.AbstractEventLoop | None,
        show_end: Callable[[], Awaitable[None]],
    ) -> None:
        self._future = future
        self._loop = loop
        self._show_end = show_end

    def __await__(self) -> Generator[Any, None, Receipt]:
        return self._wait().__await__()

    async def _wait(self) -> Receipt:
        # Shielded: interrupting the cell that waits must not cancel the stop.
        receipt = await asyncio.shield(asyncio.wrap_future(self._future))
        await self._show_end()
        return receipt

    def result(self, timeout: float | None = None) -> Receipt:
        """Block until the session has stopped and return its receipt."""
        if not self._future.done() and self._loop is not None and running_loop() is self._loop:
            raise SessionError(
                "The session runs in this very loop, so waiting would block it: write "
                "`await session.stop()`."
            )
        return self._future.result(timeout)

    def __repr__(self) -> str:
        return f"<Stopping: {self._future.result() if self._future.done() else 'under way'}>"
