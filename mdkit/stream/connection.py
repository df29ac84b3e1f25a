"""A websockets connection that hands over batches, stamped when they came off the socket.

The library's own `recv()` gives one message a call, late: its time stamp would include the
wait. Here whole chunks of the socket become one batch and one wake-up.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State

RawMessage = tuple[bytes, int]
"""(raw bytes, received_ns)"""

MAX_MESSAGE_BYTES = 16 << 20
_HIGH_WATER = 2048
_HIGH_WATER_BYTES = 16 << 20
_MAX_HEAD_BYTES = 1 << 16
_WHOLE_TEXT = 0x81  # final, no extension, opcode text
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class BatchConnection(ClientConnection):
    """Collects messages until `batch()` takes them; pauses the socket when nobody does.

    Complete, uncompressed text frames, which is nearly all of a feed, are sliced out of the
    chunk right here at a quarter of the cost; every other frame goes through the library's
    own parser, a whole frame at a time, so that it alone answers pings, closes and errors.

    `bytes_seen` counts everything read, control frames included: a connection on which it
    stands still is dead or idle. The library's keepalive must be off: it would take a loop
    that was blocked for a connection that is dead.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bytes_seen = 0
        self.reading_paused = False
        self._inbox: list[RawMessage] = []
        self._inbox_bytes = 0
        self._parts: list[bytes] = []
        self._rest = b""
        self._upgraded = False
        self._hopeless = False  # a frame was seen that ends the connection
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False
        self._stamp = 0

    def data_received(self, data: bytes) -> None:
        """Take a chunk from the socket; all messages that end in it share its time stamp."""
        self._stamp = time.time_ns()
        self.bytes_seen += len(data)
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not self._upgraded:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 and len(data) < _MAX_HEAD_BYTES:
                self._rest = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                end = len(data)  # a refusal: its body, too, is the library's
            super().data_received(data[:end])
            self._upgraded = True
            data = data[end:]
        self._take_frames(data)
        if self._inbox:
            self._wake()
            self._inbox_bytes += len(data)
            full = len(self._inbox) > _HIGH_WATER or self._inbox_bytes > _HIGH_WATER_BYTES
            if full and not self.reading_paused:
                self.reading_paused = True
                self.transport.pause_reading()

    def _take_frames(self, data: bytes) -> None:
        """Split a chunk at frame borders (RFC 6455, section 5.2)."""
        stamp = self._stamp
        start, size = 0, len(data)
        while size - start >= 2 and not self._hopeless:
            length = data[start + 1]
            payload = start + 2
            if length >= 126:
                payload += 2 if length == 126 else 8
                if payload > size:
                    break
                # A mask bit makes the length absurd, which the library then refuses as well.
                length = int.from_bytes(data[start + 2 : payload], "big")
                if data[start + 1] > 127 or length > MAX_MESSAGE_BYTES:
                    self._hopeless = True
                    break
            end = payload + length
            if end > size:
                break
            if data[start] == _WHOLE_TEXT and not self._parts:
                self._inbox.append((data[payload:end], stamp))
            else:
                super().data_received(data[start:end])
                # Close frames and violations end the conversation: what follows is void.
                self._hopeless = self.protocol.state is not State.OPEN
            start = end
        if self._hopeless:
            super().data_received(data[start:])
        elif start < size:
            self._rest = data[start:]

    def process_event(self, event: Any) -> None:
        """Keep data frames for `batch()`; leave everything else to the library."""
        if type(event) is Frame and event.opcode in _DATA:
            self._parts.append(bytes(event.data))
            if event.fin:
                self._inbox.append((b"".join(self._parts), self._stamp))
                self._parts.clear()
            return
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for a batch: none will come."""
        super().connection_lost(exc)
        self._lost = True
        self._wake()

    async def batch(self) -> list[RawMessage]:
        """Return what has arrived, at least one message, in order; suspend until then.

        Raises `ConnectionClosed` when the connection is gone and everything was handed over.
        """
        while not self._inbox:
            if self._lost:
                raise self.protocol.close_exc
            self._waiter = self.loop.create_future()
            await self._waiter
        batch, self._inbox, self._inbox_bytes = self._inbox, [], 0
        if self.reading_paused and not self._lost:
            self.reading_paused = False
            self.transport.resume_reading()
        return batch

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


__all__ = ["MAX_MESSAGE_BYTES", "BatchConnection", "ConnectionClosed", "RawMessage"]
