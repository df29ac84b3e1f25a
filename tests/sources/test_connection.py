"""Frames off the wire, however a server cuts them up: the contract of a connection."""

import asyncio
import base64
import contextlib
import hashlib
import random
import re
import time

import pytest
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from mdkit.sources import connection as module
from mdkit.sources.connection import ConnectionEndedError
from mdkit.sources.websockets_connection import open_websockets
from mdkit.venues.registry import DEFAULT

pytestmark = pytest.mark.outer

TEXT, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA


def frame(payload, opcode=TEXT, fin=True, mask=False, rsv=0):
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    bit = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + (b"\0\0\0\0" if mask else b"") + payload


def answers(data):
    """Yield (opcode, payload) of a client's small, masked frames."""
    at = 0
    while at + 6 <= len(data):
        size = data[at + 1] & 0x7F
        mask, body = data[at + 2 : at + 6], data[at + 6 : at + 6 + size]
        yield data[at] & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
        at += 6 + size


class RawServer:
    """Answers the handshake by hand, then writes exactly the given chunks."""

    def __init__(self, chunks, *, glue=False, close=True):
        self.chunks, self.glue, self.close = chunks, glue, close
        self.received = b""
        self.written = 0
        self.tasks = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error):
        self.server.close()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 10)
        await self.server.wait_closed()

    async def serve(self, reader, writer):
        self.tasks.append(asyncio.ensure_future(self.talk(reader, writer)))

    async def talk(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b":")[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        chunks = list(self.chunks)
        if self.glue:
            chunks = [answer + b"".join(chunks)]
        else:
            writer.write(answer)
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                self.written += len(chunk)
                await asyncio.sleep(0)
            if self.close:
                writer.write(frame((1000).to_bytes(2, "big"), CLOSE))
                await writer.drain()
            while data := await reader.read(65_536):  # until the client has said goodbye
                self.received += data
                if any(opcode == CLOSE for opcode, _ in answers(self.received)):
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def opened(url, **options):
    connection = await open_websockets(url, DEFAULT, **options)
    try:
        yield connection
    finally:
        await connection.hang_up()


async def everything(connection):
    """Return (texts, how it ended) of all that comes until the connection ends."""
    texts = []
    while True:
        try:
            texts += [text for text, _ in await connection.batch()]
        except ConnectionEndedError as ended:
            return texts, str(ended)


async def collect(url, **options):
    async with opened(url, **options) as connection:
        return await everything(connection)


def messages_of(chunks, **server):
    async def main():
        async with RawServer(chunks, **server) as raw:
            texts, ending = await collect(raw.url)
        return texts, ending, raw

    return asyncio.run(main())


SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]


@pytest.mark.parametrize("glue", [False, True])
def test_all_lengths_in_one_write_come_in_order(glue):
    texts = [bytes([65 + i % 26]) * size for i, size in enumerate(SIZES * 3)]
    got, ending, _ = messages_of([b"".join(map(frame, texts))], glue=glue)
    assert got == texts
    assert ending == "closed by the server with code 1000"


def test_many_small_frames_in_one_write():
    texts = [b'{"n":%d}' % n for n in range(5000)]
    assert messages_of([b"".join(map(frame, texts))])[0] == texts


def test_a_cut_at_every_byte_boundary_changes_nothing():
    texts = [b"a", b"", b"x" * 130, b"last"]
    pieces = [
        frame(b"a"),
        frame(b""),
        frame(b"p1", PING),
        frame(b"x" * 65, fin=False),
        frame(b"p2", PING),
        frame(b"x" * 65, CONTINUATION),
        frame(b"last"),
    ]
    stream = b"".join(pieces)

    async def main():
        for cut in range(len(stream) + 1):
            async with RawServer([stream[:cut], stream[cut:]]) as raw:
                got, _ = await collect(raw.url)
            assert got == texts, cut

    asyncio.run(main())


def test_one_byte_at_a_time():
    stream = frame(b"one") + frame(b"y" * 300) + frame(b"p", PING) + frame(b"two")
    got, _, _ = messages_of([stream[i : i + 1] for i in range(len(stream))])
    assert got == [b"one", b"y" * 300, b"two"]


@pytest.mark.parametrize("seed", range(8))
def test_random_frames_cut_at_random(seed):
    dice = random.Random(seed)
    texts, stream = [], b""
    for _ in range(80):
        text = bytes(dice.choices(range(97, 123), k=dice.choice([0, 3, 125, 126, 500, 66_000])))
        texts.append(text)
        parts = [text]
        if dice.random() < 0.4:
            cut = dice.randrange(len(text) + 1)
            parts = [text[:cut], b"", text[cut:]]
        for number, part in enumerate(parts):
            stream += frame(part, CONTINUATION if number else TEXT, fin=number == len(parts) - 1)
            if dice.random() < 0.3:
                stream += frame(b"ping", dice.choice([PING, PONG]))
    chunks = []
    while stream:
        size = dice.choice([1, 2, 3, 10, 1000, 70_000, 200_000])
        chunks.append(stream[:size])
        stream = stream[size:]
    assert messages_of(chunks, glue=bool(seed % 2))[0] == texts


def test_pings_are_answered():
    _, _, raw = messages_of([frame(b"hello", PING), frame(b"x"), frame(b"again", PING)])

    found = list(answers(raw.received))
    assert found[:2] == [(PONG, b"hello"), (PONG, b"again")]
    assert found[2][0] == CLOSE


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(b"masked", mask=True), 1002),
        (frame(b"x", opcode=0x3), 1002),
        (frame(b"x", rsv=0x40), 1002),
        (frame(b"x", rsv=0x10), 1002),
        (frame(b"x" * 200, rsv=0x40), 1002),
        (frame(b"x", CONTINUATION), 1002),
        (frame(b"x", fin=False) + frame(b"whole, between the fragments"), 1002),
        (frame(b"x" * 200, mask=True), 1002),
        (b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), 1009),
        (b"\x81\x7f" + (17 << 20).to_bytes(8, "big") + b"x", 1009),
        (
            frame(b"x" * (9 << 20), fin=False) + frame(b"x" * (9 << 20), CONTINUATION),
            1009,
        ),
        (frame(b"x", fin=False) + frame(b"", CONTINUATION, fin=False) * 5000, 1009),
        (frame(b"x", CLOSE), 1002),
        (frame((2999).to_bytes(2, "big"), CLOSE), 1002),
        (frame(b"x" * 126, PING), 1002),
    ],
)
def test_a_frame_that_breaks_the_protocol_ends_the_connection_after_what_came_before(bad, code):
    stream = frame(b"good") + bad + frame(b"after") + frame(b"long after" * 30)
    got, ending, raw = messages_of([stream], close=False)
    assert got[0] == b"good"
    assert not [text for text in got if b"after" in text]
    assert ending == f"closed here with code {code}"
    (told,) = [body for opcode, body in answers(raw.received) if opcode == CLOSE]
    assert int.from_bytes(told[:2], "big") == code


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "code 1005"),
        ((1012).to_bytes(2, "big") + b"service restart", r"code 1012 \(service restart\)"),
        ((4001).to_bytes(2, "big") + "früh".encode(), r"code 4001 \(früh\)"),
    ],
)
def test_a_close_frame_is_answered_and_what_follows_it_is_void(body, told):
    stream = frame(b"one") + frame(body, CLOSE) + frame(b"after" * 100)
    got, ending, raw = messages_of([stream], close=False)
    assert got == [b"one"]
    assert re.fullmatch(f"closed by the server with {told}", ending)
    assert [opcode for opcode, _ in answers(raw.received)] == [CLOSE]


def test_a_connection_that_is_cut_hands_over_what_came_and_then_ends():
    async def main():
        stream = frame(b"one") + frame(b"cut short")[:5]
        async with (
            RawServer([stream], close=False) as raw,
            opened(raw.url) as connection,
        ):
            assert [t for t, _ in await connection.batch()] == [b"one"]
            connection.cut()
            assert await everything(connection) == ([], "connection lost without a close frame")
            for sending in (connection.send_text("x"), connection.send_ping()):
                with pytest.raises(ConnectionEndedError, match="lost without"):
                    await sending
            await connection.hang_up()

    asyncio.run(main())


def test_compressed_messages_come_in_order_beside_plain_ones():
    texts = [b"z" * n + b"%d" % n for n in range(0, 3000, 37)]

    async def main():
        async def talk(connection):
            for number, text in enumerate(texts):
                if number % 3:
                    await connection.send(text.decode())
                else:
                    connection.transport.write(frame(text))

        async with serve(
            talk, "127.0.0.1", 0, extensions=[ServerPerMessageDeflateFactory()]
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            url = f"ws://127.0.0.1:{port}"
            async with opened(url, compression=True) as connection:
                assert connection.protocol.extensions
                return (await everything(connection))[0]

    assert asyncio.run(main()) == texts


def test_stamps_tell_when_the_bytes_came_not_when_they_were_taken(until):
    async def main():
        before = time.time_ns()
        async with (
            RawServer([frame(b"one")], close=False) as raw,
            opened(raw.url) as connection,
        ):
            await until(lambda: connection._inbox)
            arrived = time.time_ns()
            loop = asyncio.get_running_loop()
            began = loop.time()
            await until(lambda: loop.time() - began > 0.2)
            ((text, stamp),) = await connection.batch()
            assert text == b"one"
            assert before < stamp <= arrived

    asyncio.run(main())


def test_the_socket_is_paused_when_nobody_takes_and_nothing_is_lost(until, monkeypatch):
    monkeypatch.setattr(module, "_HIGH_WATER", 100)
    texts = [b"%06d" % n + b"x" * 4000 for n in range(20_000)]

    async def main():
        chunks = [b"".join(map(frame, texts[i : i + 50])) for i in range(0, len(texts), 50)]
        async with (
            RawServer(chunks) as raw,
            opened(raw.url) as connection,
        ):
            await until(lambda: connection.reading_paused)
            held = len(connection._inbox)
            assert held < 5000
            assert raw.written < sum(map(len, chunks))
            assert (await everything(connection))[0] == texts
            assert not connection.reading_paused

    asyncio.run(main())
