"""Messages sent from a thread of their own, so that no event loop waits for a socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

_Message = tuple[dict[str, Any], list[bytes]]
_PATIENCE = 1.0
"""Seconds that `close` waits for what is still to be sent."""


class Outbox:
    """Sends messages one after the other, in a thread that begins with the first.

    ipykernel packs and signs a message in the thread that sends it, and then wakes the thread of
    its sockets, which may run first: on a busy machine that holds a loop for milliseconds.

    Args:
        send: sends a message, with its buffers.
    """

    def __init__(self, send: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self._send = send
        self._waiting: SimpleQueue[_Message | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __len__(self) -> int:
        return self._waiting.qsize()

    def put(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        """Have a message sent. Raises what the one before has failed with."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mdkit outbox", daemon=True)
            self._thread.start()
        self._waiting.put((message, buffers))

    def close(self) -> None:
        """Send what waits, and end the thread."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_PATIENCE)
            self._thread = None

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                self._send(*item)
            except Exception as error:
                self._error = error
