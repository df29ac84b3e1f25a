"""Whatever a WebSocket server does, memory stays bounded, and what happened is said."""

import asyncio

import pytest

import mdkit as md
from mdkit.sources.connection import MAX_INCOMING_BYTES, MAX_OUTGOING_BYTES
from mdkit.sources.websocket import WebSocketSource
from tests.trust.hostile.sockets import BAD, HostileServer, frame, never_reads_and_pings

pytestmark = pytest.mark.outer


def kept(connection):
    """Return (bytes that wait to be sent, bytes that wait to be a message, fragments)."""
    parts = connection._parts
    return (
        connection.transport.get_write_buffer_size(),
        len(connection._rest) + sum(map(len, parts)),
        len(parts),
    )


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_session_keeps_its_bounds_and_goes_on(bad, until):
    async def main():
        async with HostileServer(bad) as server:
            source = WebSocketSource(server.url, ["depth"], ["A"], base_delay=0.01, max_delay=0.05)
            session = md.live(source=source, strategies=[md.strategies.pressure]).start()
            most = [0, 0, 0]

            def looked():
                if (connection := source._connection) is not None:
                    most[:] = map(max, zip(most, kept(connection), strict=True))
                return server.connects >= 3

            await until(looked)
            await until(lambda: len(session.gaps()) >= 2)
            said, gaps = session.explain(), session.gaps()
            receipt = await session.stop()
        chunk = 1 << 20  # what may come between two looks
        assert most[0] <= MAX_OUTGOING_BYTES + chunk
        assert most[1] <= MAX_INCOMING_BYTES + chunk
        assert most[2] <= 10_000
        assert receipt.balanced
        assert said.isprintable()
        assert (gaps.reason.str.len() > 0).all()
        assert (gaps.reason.str.len() < 200).all()
        assert set(session.ledger().index.get_level_values("symbol")) <= {"A", ""}

    asyncio.run(main())


def test_a_server_that_reads_no_answers_is_told_as_such(until):
    async def main():
        async with HostileServer(never_reads_and_pings) as server:
            source = WebSocketSource(server.url, ["depth"], ["A"], base_delay=0.01, max_delay=0.05)
            session = md.live(source=source).start()
            told = "the server sends pings and reads no answers"
            await until(lambda: (session.gaps().reason == told).any())
            await session.stop()

    asyncio.run(main())


def test_a_large_frame_in_drips_is_not_copied_at_every_drip(until):
    """Its beginning grows in place until its end is there."""
    body = b'{"x":"' + b"x" * 3_000_000 + b'"}'
    whole = frame(body)

    async def in_drips(writer):
        for begin in range(0, len(whole), 65_536):
            writer.write(whole[begin : begin + 65_536])
            await writer.drain()
            await gate.wait()
        await asyncio.Event().wait()  # ending would cut off what is still on its way

    async def main():
        async with HostileServer(in_drips, book=False) as server:
            source = WebSocketSource(server.url, ["depth"], ["A"])
            session = md.live(source=source).start()
            await until(lambda: source._connection is not None and source._connection._rest)
            rest = source._connection._rest
            gate.set()
            await until(lambda: session.ledger()["received"].sum() == 1)
            assert len(rest) > len(whole) - 300_000, "the same buffer took nearly all of it"
            await session.stop()

    gate = asyncio.Event()
    asyncio.run(main())
