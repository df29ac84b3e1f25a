"""A WebSocket server that does one bad thing after the handshake, to everybody who connects."""

import asyncio
import base64
import contextlib
import hashlib
import re

TEXT, CONTINUATION, CLOSE, PING = 0x1, 0x0, 0x8, 0x9
BOOK = b'{"cmd":"depth","data":{"symbol":"%b","bids":[["1","1"]],"asks":[["2","1"]]}}'


def frame(payload, opcode=TEXT, fin=True):
    """Return a server's frame (RFC 6455, section 5.2)."""
    size = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([size])
    elif size < 65_536:
        head += bytes([126]) + size.to_bytes(2, "big")
    else:
        head += bytes([127]) + size.to_bytes(8, "big")
    return head + payload


async def _for_ever(writer, chunk):
    while True:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0)


async def never_reads_and_pings(writer):
    """Have the client answer pings that nobody reads."""
    await _for_ever(writer, frame(b"p" * 125, PING) * 512)


async def endless_fragments(writer):
    """Begin a message that never ends."""
    writer.write(frame(b"{", fin=False))
    await _for_ever(writer, frame(b"x" * 1024, CONTINUATION, fin=False) * 64)


async def endless_empty_fragments(writer):
    """The same with nothing in them: their size is bounded, their number is what counts."""
    writer.write(frame(b"{", fin=False))
    await _for_ever(writer, frame(b"", CONTINUATION, fin=False) * 4096)


async def an_absurd_length(writer):
    """Announce a frame of an exabyte, and begin it."""
    writer.write(bytes([0x80 | TEXT, 127]) + (1 << 60).to_bytes(8, "big"))
    await _for_ever(writer, b"x" * 65_536)


async def continuations_of_nothing(writer):
    """Send continuations of a message that was never begun."""
    await _for_ever(writer, frame(b"x", CONTINUATION))


async def symbols_of_a_megabyte(writer):
    """Name a new symbol of a megabyte in every message."""
    for number in range(64):
        writer.write(frame(BOOK % (b"%08d" % number * (1 << 17))))
        await writer.drain()
    writer.write(frame((1000).to_bytes(2, "big"), CLOSE))
    await writer.drain()


BAD = {
    bad.__name__: bad
    for bad in (
        never_reads_and_pings,
        endless_fragments,
        endless_empty_fragments,
        an_absurd_length,
        continuations_of_nothing,
        symbols_of_a_megabyte,
    )
}


class HostileServer:
    """`async with HostileServer(bad) as server`: `server.url`, and `server.connects` so far.

    Gives one book of A to begin with, so that there is something to go on from, unless told not to.
    """

    def __init__(self, bad, *, book=True):
        self.bad, self.book = bad, book
        self.connects = 0
        self._tasks = set()

    async def __aenter__(self):
        # A small buffer, so that a client's answers pile up where they are its own affair.
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, limit=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/v1/realtime"
        return self

    async def __aexit__(self, *error):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _begin(self, reader, writer):
        self._tasks.add(asyncio.ensure_future(self._talk(reader, writer)))

    async def _talk(self, reader, writer):
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                if "upgrade: websocket" not in head.lower():
                    return  # the REST service that a client looks for here
                self.connects += 1
                key = re.search(r"(?i)sec-websocket-key: *(\S+)", head)[1].encode()
                digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                writer.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                    + base64.b64encode(digest)
                    + b"\r\n\r\n"
                )
                if self.book:
                    writer.write(frame(BOOK % b"A"))
                await writer.drain()
                await self.bad(writer)
        finally:
            writer.transport.abort()
