"""Connections made by the `websockets` library, and read past it where that is safe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from mdkit.errors import SettingsError
from mdkit.history.http.client import is_loopback, socks_cure
from mdkit.sources.connection import (
    CLOSE_SECONDS,
    MAX_FRAGMENTS,
    MAX_INCOMING_BYTES,
    MAX_OUTGOING_BYTES,
    OPEN_SECONDS,
    Connection,
    ConnectionEndedError,
    HandshakeError,
    Inbox,
    ending,
    refusal,
)
from mdkit.venues.codec import Wire

_MAX_HEAD_BYTES = 1 << 16
_WHOLE_TEXT = 0x81  # final, no extension, opcode text
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)

# At DEBUG websockets logs request lines, and those hold the key: this logger never gets there,
# not even where somebody sets every logger to DEBUG.
_logger = logging.getLogger("mdkit.sources.websockets")
_logger.setLevel(logging.INFO)
_logger.addFilter(lambda record: record.levelno >= logging.INFO)


class WebsocketsConnection(Inbox, ClientConnection):
    """A `Connection`, made by `websockets.connect(create_connection=...)`.

    Complete, uncompressed text frames, which is nearly all of a feed, are sliced out of the
    chunk right here at a quarter of the cost; every other frame goes through the library's
    own parser, a whole frame at a time, so that it alone answers pings, closes and errors.
    The library's keepalive must be off.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parts: list[bytes] = []
        self._rest = bytearray()  # the beginning of a frame whose end has not come
        self._wanted = 0  # the length of that frame, 0 where it is not known yet
        self._upgraded = False
        self._hopeless = False  # a frame was seen that ends the connection
        self._stamp = 0
        self._given_up = ""  # why the connection was aborted here

    async def send_text(self, text: str) -> None:
        """Send a message; raise `ConnectionEndedError` when the connection is gone."""
        try:
            await self.send(text)
        except ConnectionClosed as closed:
            raise ConnectionEndedError(_words(closed)) from None

    async def send_ping(self) -> None:
        """Send a protocol ping; raise `ConnectionEndedError` when the connection is gone."""
        try:
            await self.ping()
        except ConnectionClosed as closed:
            raise ConnectionEndedError(_words(closed)) from None

    async def hang_up(self) -> None:
        """Close with a close frame and wait for the peer's, but not for long."""
        if self.reading_paused:
            self.cut()  # the peer's close frame could not be read
        with contextlib.suppress(ConnectionClosed, OSError):
            await self.close()

    def cut(self) -> None:
        """Abort the connection at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a chunk from the socket; all messages that end in it share its time stamp."""
        self._stamp = time.time_ns()
        self.bytes_seen += len(data)
        if self._rest:
            if len(self._rest) + len(data) < self._wanted:
                # Joined at every chunk, a large frame in drips would be copied at every drip.
                self._rest += data
                return
            data = bytes(self._rest) + data
            self._rest = bytearray()
            self._wanted = 0
        if not self._upgraded:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 and len(data) < _MAX_HEAD_BYTES:
                self._rest = bytearray(data)
                return
            if not data.startswith(b"HTTP/1.1 101"):
                end = len(data)  # a refusal: its body, too, is the library's
            super().data_received(data[:end])
            self._upgraded = True
            data = data[end:]
        self._take_frames(data)
        self._chunk_taken(len(data))

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
                if data[start + 1] > 127 or length > MAX_INCOMING_BYTES:
                    self._hopeless = True
                    break
            end = payload + length
            if end > size:
                self._wanted = end - start
                break
            if data[start] == _WHOLE_TEXT and not self._parts:
                self._inbox.append((data[payload:end], stamp))
            else:
                super().data_received(data[start:end])
                # Close frames and violations end the conversation: what follows is void.
                self._hopeless = self.protocol.state is not State.OPEN
                if self.transport.get_write_buffer_size() > MAX_OUTGOING_BYTES:
                    self._give_up("the server sends pings and reads no answers")
                    return
            start = end
        if self._hopeless:
            super().data_received(data[start:])
        elif start < size:
            self._rest = bytearray(data[start:])

    def _give_up(self, why: str) -> None:
        """Abort the connection for a fault of the peer's."""
        self._given_up = why
        self._hopeless = True
        self.transport.abort()

    def process_event(self, event: Any) -> None:
        """Keep data frames for `batch()`; leave everything else to the library."""
        if type(event) is Frame and event.opcode in _DATA:
            self._parts.append(bytes(event.data))
            if len(self._parts) > MAX_FRAGMENTS:
                self.protocol.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
                self.send_data()
                self._parts.clear()
                self._hopeless = True
            elif event.fin:
                self._inbox.append((b"".join(self._parts), self._stamp))
                self._parts.clear()
            return
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for a batch: none will come."""
        super().connection_lost(exc)
        self._connection_gone()

    def _reader(self) -> asyncio.ReadTransport:
        return self.transport

    def _ending(self) -> str:
        return self._given_up or _words(self.protocol.close_exc)


class _Connect(connect):
    """A connect that makes one connection: it follows no redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Leave a redirect the refusal that it is."""
        return exc


async def open_websockets(url: str, codec: Wire, *, compression: bool = False) -> Connection:
    """Connect; `codec` says what a refusal means.

    Raises what the service's refusal means (`ServiceError`, `FeedError` for a redirect),
    `SettingsError` for a proxy without its library, `HandshakeError`, `OSError` or `TimeoutError`.
    """
    try:
        connection = await _Connect(
            url,
            create_connection=WebsocketsConnection,
            compression="deflate" if compression else None,
            ping_interval=None,
            max_size=MAX_INCOMING_BYTES,
            logger=_logger,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            proxy=None if is_loopback(url) else True,
            process_exception=lambda error: error,
        )
    except InvalidStatus as refused:
        response = refused.response
        after = response.headers.get("Retry-After", "")
        location = response.headers.get("Location", "")
        raise refusal(
            codec, response.status_code, after, bytes(response.body or b""), location
        ) from None
    except ImportError as error:
        if "socks" not in str(error).lower():
            raise
        raise SettingsError(socks_cure("python-socks[asyncio]")) from None
    except (WebSocketException, EOFError) as error:
        raise HandshakeError(f"{type(error).__name__}: {error}") from None
    assert isinstance(connection, WebsocketsConnection)
    return connection


def _words(closed: ConnectionClosed) -> str:
    received = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else None
    return ending(received, closed.sent.code if closed.sent is not None else None)
