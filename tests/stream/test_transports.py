"""Opening and ending connections: what every transport does alike, and the choice among them."""

import asyncio
import contextlib
import email.utils
import importlib
import socket
import sys
import threading
import time
import urllib.request
from unittest import mock

import pytest

import mdkit as md
from mdkit.errors import (
    AuthenticationError,
    FeedError,
    RateLimitError,
    RequestError,
    ServerError,
    SettingsError,
)
from mdkit.notebook.loops import LoopThread
from mdkit.stream import connection
from mdkit.stream.connection import ConnectionEndedError, HandshakeError
from mdkit.stream.source import WebSocketSource
from mdkit.stream.transports import TRANSPORTS, connector

pytestmark = pytest.mark.outer

SYMBOLS = ("AAPL.US", "MSFT.US")


class Talker:
    """A TCP server that says its lines to everybody who has sent a request, then waits or ends."""

    def __init__(self, *lines, ends=False, pause=0.0):
        self.lines, self.ends, self.pause = lines, ends, pause
        self.asked = b""
        self.open = 0
        self.tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.begin, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/v1/realtime"
        return self

    async def __aexit__(self, *error):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.wait_closed()

    def begin(self, reader, writer):
        self.tasks.add(asyncio.ensure_future(self.talk(reader, writer)))

    async def talk(self, reader, writer):
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError):
                self.asked += await reader.read(65_536)  # a request or a TLS hello: one write
                for line in self.lines:
                    writer.write(line)
                    await writer.drain()
                    await asyncio.sleep(self.pause)
                while not self.ends and await reader.read(1000):
                    pass
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def refused(transport, *lines, **options):
    async def main():
        async with Talker(*lines, ends=True, **options) as talker:
            with pytest.raises(md.MdkitError) as caught:
                await connector(transport)(talker.url)
        return caught.value

    return asyncio.run(main())


def module_of(transport):
    return importlib.import_module(f"mdkit.stream.{transport}_connection")


BODY = b'{"code":%d,"message":"because","data":null}'


def answer(status, body=b"", headers=b""):
    head = b"HTTP/1.1 %d Reason\r\nConnection: close\r\n%b" % (status, headers)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 1001, AuthenticationError),
        (403, 1003, AuthenticationError),
        (429, 3001, RateLimitError),
        (500, 5000, ServerError),
        (503, 5001, ServerError),
    ],
)
def test_a_refusal_means_what_its_body_says(transport, status, code, kind):
    error = refused(transport, answer(status, BODY % code))
    assert type(error) is kind
    assert error.code == code
    assert "because" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, RequestError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_a_refusal_without_a_body_goes_by_its_status(transport, status, kind):
    error = refused(transport, answer(status, b"<html>nginx</html>"))
    assert type(error) is kind
    assert error.code is None
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), ("1.5", 1.5), ("soon", None)])
def test_retry_after_is_read_from_the_refusal(transport, header, wait):
    more = f"Retry-After: {header}\r\n".encode()
    assert refused(transport, answer(429, BODY % 3001, more)).retry_after == wait


def test_a_retry_after_may_be_a_date(transport):
    date = email.utils.formatdate(time.time() + 1000, usegmt=True).encode()
    error = refused(transport, answer(429, BODY % 3001, b"Retry-After: " + date + b"\r\n"))
    assert 900 < error.retry_after <= 1000
    error = refused(transport, answer(503, b"", b"Retry-After: 7\r\n"))
    assert type(error) is ServerError
    assert error.retry_after == 7.0


def test_a_redirect_is_refused_and_told_without_what_may_be_secret(transport):
    for where in (b"wss://user:pass@other.example/feed?api_key=secret", b"/v1/realtime"):
        error = refused(transport, answer(307, b"", b"Location: " + where + b"\r\n"))
        assert type(error) is FeedError
        assert "redirected (HTTP 307) to " in str(error)
        assert "set the final address as TICKDB_WS_URL or source=" in str(error)
        assert "secret" not in str(error)
        assert "pass" not in str(error)


def test_a_redirect_is_one_connection_a_try(transport, until):
    async def main():
        location = b"Location: /v1/realtime\r\n"
        async with Talker(answer(307, b"", location), ends=True) as talker:
            source = WebSocketSource(
                talker.url, ["depth"], SYMBOLS, transport=transport, base_delay=0.001,
                connects_per_minute=5,
            )  # fmt: skip
            problems = []
            sink = mock.Mock(problem=problems.append)
            running = asyncio.ensure_future(source.run(sink))
            await until(lambda: len(problems) == 5)
            assert talker.asked.count(b"GET ") == 5
            source.stop()
            await running

    asyncio.run(main())


def test_a_socks_proxy_without_its_library_gets_the_cure(transport, monkeypatch):
    module = module_of(transport)
    name = {"websockets": "_Connect", "picows": "ws_connect"}[transport]

    def connect(*args, **options):
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    monkeypatch.setattr(module, name, connect)

    async def main():
        source = WebSocketSource("ws://127.0.0.1:1/", ["depth"], SYMBOLS, transport=transport)
        with pytest.raises(SettingsError, match=r'pip install "python-socks\[asyncio\]"'):
            await source.run(mock.Mock())

    asyncio.run(main())


def test_a_refusal_whose_body_comes_late_is_still_of_its_kind(transport):
    whole = answer(429, BODY % 3001, b"Retry-After: 3\r\n")
    end = whole.index(b"\r\n\r\n") + 4
    error = refused(transport, whole[:end], whole[end:], pause=0.05)
    assert type(error) is RateLimitError
    assert error.retry_after == 3.0


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 302 Found\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_handshake_is_told_as_such(transport, line):
    async def main():
        async with Talker(line, ends=True) as talker:
            with pytest.raises((HandshakeError, md.MdkitError)) as caught:
                await connector(transport)(talker.url)
            assert str(caught.value)

    asyncio.run(main())


def test_a_handshake_that_is_never_answered_is_given_up_and_its_socket_closed(
    transport, until, monkeypatch
):
    monkeypatch.setattr(module_of(transport), "OPEN_SECONDS", 0.1)

    async def main():
        async with Talker() as talker:
            with pytest.raises(TimeoutError):
                await connector(transport)(talker.url)
            await until(lambda: talker.asked and not talker.open)

    asyncio.run(main())


def test_connecting_can_be_cancelled_at_once_and_its_socket_is_closed(transport, until):
    async def main():
        async with Talker() as talker:
            opening = asyncio.ensure_future(connector(transport)(talker.url))
            await until(lambda: talker.asked)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await until(lambda: not talker.open)

    asyncio.run(main())


def test_a_source_stopped_while_connecting_ends_without_waiting_for_the_answer(transport, until):
    async def main():
        async with Talker() as talker:
            source = WebSocketSource(talker.url, ["depth"], SYMBOLS, transport=transport)
            running = asyncio.ensure_future(source.run(sink=None))
            await until(lambda: talker.asked)
            source.stop()
            await asyncio.wait_for(running, 5)
            assert source.connects == 0
            await until(lambda: not talker.open)

    asyncio.run(main())


def test_a_port_that_nobody_listens_on_is_an_os_error(transport):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(OSError, match="onnect"):
            asyncio.run(connector(transport)(url))


def test_tls_with_a_server_that_has_none_is_an_os_error(transport):
    async def main():
        async with Talker(b"not TLS\r\n", ends=True) as talker:
            with pytest.raises(OSError, match="SSL"):
                await connector(transport)(talker.url.replace("ws://", "wss://"))

    asyncio.run(main())


def test_a_proxy_of_the_environment_is_used_except_for_this_machine(transport, monkeypatch):
    async def main():
        async with (
            Talker(b"HTTP/1.1 403 Forbidden\r\n\r\n", ends=True) as proxy,
            md.Exchange(SYMBOLS, process=False) as exchange,
        ):
            url = f"http://127.0.0.1:{proxy.port}"
            monkeypatch.setattr(urllib.request, "getproxies", lambda: {"http": url, "https": url})
            opened = await connector(transport)(exchange.ws_url)
            await opened.hang_up()
            assert not proxy.asked
            with pytest.raises(HandshakeError, match="403"):
                await connector(transport)("ws://feed.invalid/v1/realtime")
            assert proxy.asked.startswith(b"CONNECT feed.invalid:80 ")

    asyncio.run(main())


def test_hanging_up_says_goodbye_and_is_not_an_error(transport, until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False) as exchange:
            opened = await connector(transport)(exchange.ws_url)
            await until(lambda: exchange.statistics()["connections"] == 1)
            await opened.hang_up()
            await opened.hang_up()
            with pytest.raises(ConnectionEndedError, match="code 1000"):
                await opened.batch()
            with pytest.raises(ConnectionEndedError, match="code 1000"):
                await opened.send_text("too late")
            await until(lambda: exchange.statistics()["connections"] == 0)

    asyncio.run(main())


def test_hanging_up_on_a_peer_that_does_not_answer_takes_a_moment_only(
    transport, until, monkeypatch
):
    monkeypatch.setattr(module_of(transport), "CLOSE_SECONDS", 0.05)

    async def main():
        exchange = md.Exchange(SYMBOLS, process=False, scenario="busy")
        async with exchange:
            opened = await connector(transport)(exchange.ws_url)
            exchange.inject("freeze", duration=1.0)
            await asyncio.wait_for(opened.hang_up(), 0.8)
            with pytest.raises(ConnectionEndedError, match="closed here with code 1000"):
                await opened.batch()

    asyncio.run(main())


def test_hanging_up_while_reading_is_paused_does_not_wait(transport, until, monkeypatch):
    monkeypatch.setattr(connection, "_HIGH_WATER", 10)

    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="flood") as exchange:
            opened = await connector(transport)(exchange.ws_url)
            await opened.send_text(
                '{"cmd":"subscribe","data":{"channel":"depth","symbols":["AAPL.US"]}}'
            )
            await until(lambda: opened.reading_paused)
            await opened.hang_up()
            assert await opened.batch(), "what had arrived is still handed over"
            with pytest.raises(ConnectionEndedError):
                await opened.batch()

    asyncio.run(main())


def test_both_loops_carry_a_feed_through_backpressure(transport, monkeypatch):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    monkeypatch.setattr(connection, "_HIGH_WATER", 10)

    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="flood") as exchange:
            session = md.live(
                list(SYMBOLS), source=exchange.ws_url, transport=transport, name="loops"
            )
            async with session:
                while session.ledger().received.sum() < 3000:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert session.receipt.balanced
            assert session.receipt.totals["processed"] == session.receipt.totals["received"]
            assert session.receipt.connects == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


# -- the choice ------------------------------------------------------------------------------


def test_there_are_two():
    assert TRANSPORTS == ("websockets", "picows")


def test_a_transport_that_does_not_exist_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"'curl'.*websockets.* or .*picows"):
        md.live(source="ws://127.0.0.1:9", transport="curl", name="curl")


def test_picows_has_no_compression_and_says_so():
    with pytest.raises(SettingsError, match="compression"):
        WebSocketSource("ws://x", ["depth"], SYMBOLS, transport="picows", compression=True)


def test_a_missing_picows_names_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "mdkit.stream.picows_connection", raising=False)
    monkeypatch.setitem(sys.modules, "picows", None)
    with pytest.raises(SettingsError, match=r"picows.*python -m pip install picows"):
        md.live(source="demo", transport="picows", name="missing")


def test_a_source_of_ones_own_has_no_transport_to_choose(list_source):
    with pytest.raises(SettingsError, match="brings its connection along"):
        md.live(source=list_source([]), transport="picows", name="own")


@pytest.mark.parametrize("source", ["demo", "ws://127.0.0.1:9", "tickdb"])
def test_live_hands_the_transport_to_its_source(transport, source):
    session = md.live(["AAPL.US"], source=source, api_key="k", transport=transport, name="hand")
    assert session.pipeline.source.transport == transport


@pytest.mark.parametrize("asked", [None, "0", "1"])
def test_a_threads_loop_is_uvloops_unless_the_environment_says_no(monkeypatch, asked):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    if asked is None:
        monkeypatch.delenv("MDKIT_UVLOOP", raising=False)
    else:
        monkeypatch.setenv("MDKIT_UVLOOP", asked)
    seen = []

    async def look():
        seen.append(isinstance(asyncio.get_running_loop(), uvloop.Loop))

    thread = LoopThread(look, "a loop")
    thread.join()
    assert seen == [asked != "0"]
    assert not any(one.name == "a loop" for one in threading.enumerate())


def test_without_uvloop_a_threads_loop_is_asyncios(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    seen = []

    async def look():
        seen.append(type(asyncio.get_running_loop()).__module__)

    LoopThread(look, "a loop").join()
    assert seen[0].startswith("asyncio.")


def test_a_thread_session_runs_over_every_transport(transport, exchange_process, wait_until):
    exchange = exchange_process(SYMBOLS, scenario="busy")
    session = md.live(source=exchange, runner="thread", transport=transport, name="over")
    session.start()
    wait_until(lambda: session.ledger().processed.sum() > 50)
    assert len(session.frame("depth", "AAPL.US"))
    session.stop()
    wait_until(lambda: not session.running)
    assert session.receipt.balanced
    assert session.receipt.connects == 1


def test_picows_takes_a_flood_in_chunks_that_do_not_grow(monkeypatch, exchange_process):
    """Its buffer doubles whenever it is full: batches would outgrow the processor's caches."""
    pytest.importorskip("picows", reason="picows is not installed")
    from mdkit.stream.picows_connection import _CHUNK_BYTES, PicowsConnection

    chunks = []
    take = PicowsConnection.buffer_updated

    def note(self, nbytes):
        chunks.append(nbytes)
        take(self, nbytes)

    monkeypatch.setattr(PicowsConnection, "buffer_updated", note)
    exchange = exchange_process(SYMBOLS, scenario="flood")

    async def main():
        opened = await connector("picows")(exchange.ws_url)
        await opened.send_text(
            '{"cmd":"subscribe","data":{"channel":"depth","symbols":["AAPL.US"]}}'
        )
        while sum(chunks) < 40 * _CHUNK_BYTES:
            time.sleep(0.02)  # noqa: ASYNC251 - a loop that is busy, so that much piles up
            await opened.batch()
        opened.cut()
        await opened.hang_up()

    asyncio.run(main())
    assert max(chunks) <= _CHUNK_BYTES
