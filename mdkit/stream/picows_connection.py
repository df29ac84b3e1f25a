"""Connections made by `picows`: its parser in C between our socket and our inbox.

It costs less than `websockets` where much arrives. What it does not have is compression, and
of a refusal it keeps only as much of the body as came with the head.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from typing import Any

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSProtocolError,
    WSTransport,
    ws_connect,
)
from python_socks import ProxyError
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from mdkit.errors import SettingsError
from mdkit.history.client import is_loopback, socks_cure
from mdkit.stream.connection import (
    CLOSE_SECONDS,
    MAX_FRAGMENTS,
    MAX_MESSAGE_BYTES,
    OPEN_SECONDS,
    Connection,
    ConnectionEndedError,
    HandshakeError,
    Inbox,
    ending,
    refusal,
)

_CHUNK_BYTES = 1 << 17
_MOST_CONTROL_BYTES = 125
_NO_CODE = 1005  # RFC 6455, section 7.1.5: what a close frame without a code is taken for

# What picows has to tell is told by the errors raised here, in fewer words.
_logger = logging.getLogger("mdkit.stream.picows")
_logger.setLevel(logging.CRITICAL)


class PicowsConnection(Inbox, WSListener, asyncio.BufferedProtocol):
    """A `Connection` that stands on both sides of picows' parser.

    As the socket's protocol it sees chunks, stamps and counts them and hands them to the
    parser; as the parser's listener it gets the frames back while a chunk is being parsed.
    picows answers pings by itself; closing, fragments and reserved bits are left to us.
    """

    def __init__(self) -> None:
        super().__init__()
        self._websocket: WSTransport
        self._parser: Any  # a BufferedProtocol whose memory is a memoryview
        self._stamp = 0
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._simple = True  # no fragments are waiting, and the conversation goes on
        self._over = False  # a frame was seen that ends it: what follows is void
        self._leaving = False

    # -- what a source asks for --------------------------------------------------------------

    async def send_text(self, text: str) -> None:
        """Send a message; raise `ConnectionEndedError` when the connection is gone."""
        self._check_open()
        self._websocket.send(WSMsgType.TEXT, text)

    async def send_ping(self) -> None:
        """Send a protocol ping; raise `ConnectionEndedError` when the connection is gone."""
        self._check_open()
        self._websocket.send_ping()

    async def hang_up(self) -> None:
        """Close with a close frame and wait for the peer's, but not for long."""
        self._leaving = True
        if self.reading_paused:
            self.cut()  # the peer's close frame could not be read
        elif not self._lost:
            self._websocket.send_close(WSCloseCode.OK)
        timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.cut)
        try:
            with contextlib.suppress(WSError):  # a violation by the peer, which `_ending` tells
                await self._websocket.wait_disconnected()
        finally:
            timer.cancel()

    def cut(self) -> None:
        """Abort the connection at once."""
        self._websocket.disconnect(graceful=False)

    def _check_open(self) -> None:
        if self._lost or self._websocket.is_close_frame_sent:
            raise ConnectionEndedError(self._ending())

    def _reader(self) -> asyncio.ReadTransport:
        return self._websocket.underlying_transport

    def _ending(self) -> str:
        handshake = self._websocket.close_handshake
        if handshake is None:
            return ending(None, None)
        received, sent = handshake.recv, handshake.sent
        return ending(
            (received.code.value or _NO_CODE, received.reason or "") if received else None,
            sent.code.value if sent else None,
        )

    # -- the socket's protocol ---------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> Any:
        """Return where the next chunk may be written: the parser's own memory, but not all of it.

        A full buffer is doubled, so each chunk of a flood would be larger than the last, until
        messages are out of the processor's caches before anybody looks at them.
        """
        return self._parser.get_buffer(sizehint)[:_CHUNK_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """Take a chunk from the socket; all messages that end in it share its time stamp."""
        self._stamp = time.time_ns()
        self.bytes_seen += nbytes
        if self._over:
            return
        self._parser.buffer_updated(nbytes)
        self._chunk_taken(nbytes)
        if self._websocket.is_close_frame_sent and not self._leaving:
            self._end()  # the parser met a violation and has said so to the peer

    def eof_received(self) -> bool:
        """Let the transport close itself."""
        return bool(self._parser.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the parser know, which then calls `on_ws_disconnected`."""
        self._parser.connection_lost(exc)

    def pause_writing(self) -> None:
        """Nothing to do: what is sent are a few commands."""

    def resume_writing(self) -> None:
        """Nothing to do."""

    # -- the parser's listener ---------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Step between the socket and the parser."""
        self._stamp = time.time_ns()
        self._websocket = transport
        self._parser = transport.underlying_transport.get_protocol()
        transport.underlying_transport.set_protocol(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Keep a message."""
        # To ask a frame for its type costs more than all the rest, and control frames are short:
        # a long one is a message, or else breaks the rules in a way that the decoder will notice.
        if (
            frame.payload_size > _MOST_CONTROL_BYTES
            and self._simple
            and frame.fin
            and not frame.rsv1
        ):
            self._inbox.append((frame.get_payload_as_bytes(), self._stamp))
        elif not self._over:
            self._take(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Wake whoever waits for a batch: none will come."""
        self._connection_gone()

    def _take(self, frame: WSFrame) -> None:
        """Take any frame: a short one, a fragment, a control frame, one that breaks the rules."""
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise self._violation(WSCloseCode.PROTOCOL_ERROR, "reserved bits are set")
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._end()
            self._websocket.send_close(frame.get_close_code() or WSCloseCode.OK)
            self._websocket.disconnect()
        elif kind != WSMsgType.PONG:
            if (kind == WSMsgType.CONTINUATION) != bool(self._parts):
                raise self._violation(WSCloseCode.PROTOCOL_ERROR, "fragments are out of order")
            self._parts_bytes += frame.payload_size
            if self._parts_bytes > MAX_MESSAGE_BYTES:
                raise self._violation(WSCloseCode.MESSAGE_TOO_BIG, "the message is too large")
            if len(self._parts) >= MAX_FRAGMENTS:
                raise self._violation(WSCloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self._parts.append(frame.get_payload_as_bytes())
            self._simple = bool(frame.fin)
            if frame.fin:
                self._inbox.append((b"".join(self._parts), self._stamp))
                self._parts.clear()
                self._parts_bytes = 0

    def _violation(self, code: WSCloseCode, words: str) -> WSProtocolError:
        """Return what makes picows send a close frame and disconnect."""
        self._end()
        return WSProtocolError(code, words)

    def _end(self) -> None:
        self._over, self._simple = True, False


async def open_picows(url: str) -> Connection:
    """Connect.

    Raises what the service's refusal means (`ServiceError`), `HandshakeError`, `OSError` or
    `TimeoutError`.
    """
    dialled: list[socket.socket] = []

    async def dial(url: WSParsedURL) -> socket.socket:
        dialled.append(await _dial(url.host, url.port))
        return dialled[-1]

    try:
        async with asyncio.timeout(OPEN_SECONDS):
            _, connection = await ws_connect(
                PicowsConnection,
                url,
                socket_factory=dial,
                max_redirects=0,
                proxy=None if is_loopback(url) else get_proxy(parse_uri(url)),
                websocket_handshake_timeout=None,
                max_frame_size=MAX_MESSAGE_BYTES,
                read_buffer_init_size=2 * _CHUNK_BYTES,
                logger_name=_logger,
            )
    except BaseException as error:
        for one in dialled:
            # picows does not close what it was still waiting on when it is cancelled.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if isinstance(error, WSInvalidStatusError) and error.response is not None:
            after = error.response.headers.get("Retry-After", "")
            status = int(error.response.status)
            location = error.response.headers.get("Location", "")
            raise refusal(status, after, error.raw_body or b"", location) from None
        if isinstance(error, ImportError) and "socks" in str(error).lower():
            raise SettingsError(socks_cure("python-socks[asyncio]")) from None
        # A certificate that does not verify is an OSError, as it should be, and a ValueError too.
        if isinstance(error, WSError | ProxyError | ValueError) and not isinstance(error, OSError):
            raise HandshakeError(f"{type(error).__name__}: {error}") from None
        raise
    if not isinstance(connection, PicowsConnection):
        raise HandshakeError("the connection was closed before the handshake was answered")
    return connection


async def _dial(host: str, port: int) -> socket.socket:
    """Return a connected socket; raise the last address's `OSError` when none answers."""
    loop = asyncio.get_running_loop()
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        one = socket.socket(family, kind, protocol)
        one.setblocking(False)
        try:
            await loop.sock_connect(one, address)
        except OSError as error:
            one.close()
            failure = error
        except BaseException:
            one.close()
            raise
        else:
            return one
    raise failure
