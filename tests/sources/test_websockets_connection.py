"""Opening and ending connections: refusals, proxies, time-outs, close frames."""

import asyncio
import contextlib
import email.utils
import socket
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
from mdkit.sources import connection, websockets_connection
from mdkit.sources.connection import ConnectionEndedError, HandshakeError
from mdkit.sources.websocket import WebSocketSource
from mdkit.sources.websockets_connection import open_websockets
from mdkit.venues.registry import DEFAULT

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


def refused(*lines, **options):
    async def main():
        async with Talker(*lines, ends=True, **options) as talker:
            with pytest.raises(md.MdkitError) as caught:
                await open_websockets(talker.url, DEFAULT)
        return caught.value

    return asyncio.run(main())


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
def test_a_refusal_means_what_its_body_says(status, code, kind):
    error = refused(answer(status, BODY % code))
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
def test_a_refusal_without_a_body_goes_by_its_status(status, kind):
    error = refused(answer(status, b"<html>nginx</html>"))
    assert type(error) is kind
    assert error.code is None
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), ("1.5", 1.5), ("soon", None)])
def test_retry_after_is_read_from_the_refusal(header, wait):
    more = f"Retry-After: {header}\r\n".encode()
    assert refused(answer(429, BODY % 3001, more)).retry_after == wait


def test_a_retry_after_may_be_a_date():
    date = email.utils.formatdate(time.time() + 1000, usegmt=True).encode()
    error = refused(answer(429, BODY % 3001, b"Retry-After: " + date + b"\r\n"))
    assert 900 < error.retry_after <= 1000
    error = refused(answer(503, b"", b"Retry-After: 7\r\n"))
    assert type(error) is ServerError
    assert error.retry_after == 7.0


def test_a_redirect_is_refused_and_told_without_what_may_be_secret():
    for where in (b"wss://user:pass@other.example/feed?api_key=secret", b"/v1/realtime"):
        error = refused(answer(307, b"", b"Location: " + where + b"\r\n"))
        assert type(error) is FeedError
        assert "redirected (HTTP 307) to " in str(error)
        assert "set the final address as TICKDB_WS_URL or source=" in str(error)
        assert "secret" not in str(error)
        assert "pass" not in str(error)


def test_a_redirect_is_one_connection_a_try(until):
    async def main():
        location = b"Location: /v1/realtime\r\n"
        async with Talker(answer(307, b"", location), ends=True) as talker:
            source = WebSocketSource(
                talker.url, ["depth"], SYMBOLS, base_delay=0.001,
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


def test_a_socks_proxy_without_its_library_gets_the_cure(monkeypatch):
    def connect(*args, **options):
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    monkeypatch.setattr(websockets_connection, "_Connect", connect)

    async def main():
        source = WebSocketSource("ws://127.0.0.1:1/", ["depth"], SYMBOLS)
        with pytest.raises(SettingsError, match=r'pip install "python-socks\[asyncio\]"'):
            await source.run(mock.Mock())

    asyncio.run(main())


def test_a_refusal_whose_body_comes_late_is_still_of_its_kind():
    whole = answer(429, BODY % 3001, b"Retry-After: 3\r\n")
    end = whole.index(b"\r\n\r\n") + 4
    error = refused(whole[:end], whole[end:], pause=0.05)
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
def test_an_answer_that_is_no_handshake_is_told_as_such(line):
    async def main():
        async with Talker(line, ends=True) as talker:
            with pytest.raises((HandshakeError, md.MdkitError)) as caught:
                await open_websockets(talker.url, DEFAULT)
            assert str(caught.value)

    asyncio.run(main())


def test_a_handshake_that_is_never_answered_is_given_up_and_its_socket_closed(until, monkeypatch):
    monkeypatch.setattr(websockets_connection, "OPEN_SECONDS", 0.1)

    async def main():
        async with Talker() as talker:
            with pytest.raises(TimeoutError):
                await open_websockets(talker.url, DEFAULT)
            await until(lambda: talker.asked and not talker.open)

    asyncio.run(main())


def test_connecting_can_be_cancelled_at_once_and_its_socket_is_closed(until):
    async def main():
        async with Talker() as talker:
            opening = asyncio.ensure_future(open_websockets(talker.url, DEFAULT))
            await until(lambda: talker.asked)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await until(lambda: not talker.open)

    asyncio.run(main())


def test_a_source_stopped_while_connecting_ends_without_waiting_for_the_answer(until):
    async def main():
        async with Talker() as talker:
            source = WebSocketSource(talker.url, ["depth"], SYMBOLS)
            running = asyncio.ensure_future(source.run(sink=None))
            await until(lambda: talker.asked)
            source.stop()
            await asyncio.wait_for(running, 5)
            assert source.connects == 0
            await until(lambda: not talker.open)

    asyncio.run(main())


def test_a_port_that_nobody_listens_on_is_an_os_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(OSError, match="onnect"):
            asyncio.run(open_websockets(url, DEFAULT))


def test_tls_with_a_server_that_has_none_is_an_os_error():
    async def main():
        async with Talker(b"not TLS\r\n", ends=True) as talker:
            with pytest.raises(OSError, match="SSL"):
                await open_websockets(talker.url.replace("ws://", "wss://"), DEFAULT)

    asyncio.run(main())


def test_a_proxy_of_the_environment_is_used_except_for_this_machine(monkeypatch):
    async def main():
        async with (
            Talker(b"HTTP/1.1 403 Forbidden\r\n\r\n", ends=True) as proxy,
            md.Exchange(SYMBOLS, process=False) as exchange,
        ):
            url = f"http://127.0.0.1:{proxy.port}"
            monkeypatch.setattr(urllib.request, "getproxies", lambda: {"http": url, "https": url})
            opened = await open_websockets(exchange.ws_url, DEFAULT)
            await opened.hang_up()
            assert not proxy.asked
            with pytest.raises(HandshakeError, match="403"):
                await open_websockets("ws://feed.invalid/v1/realtime", DEFAULT)
            assert proxy.asked.startswith(b"CONNECT feed.invalid:80 ")

    asyncio.run(main())


def test_hanging_up_says_goodbye_and_is_not_an_error(until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False) as exchange:
            opened = await open_websockets(exchange.ws_url, DEFAULT)
            await until(lambda: exchange.statistics()["connections"] == 1)
            await opened.hang_up()
            await opened.hang_up()
            with pytest.raises(ConnectionEndedError, match="code 1000"):
                await opened.batch()
            with pytest.raises(ConnectionEndedError, match="code 1000"):
                await opened.send_text("too late")
            await until(lambda: exchange.statistics()["connections"] == 0)

    asyncio.run(main())


def test_hanging_up_on_a_peer_that_does_not_answer_takes_a_moment_only(until, monkeypatch):
    monkeypatch.setattr(websockets_connection, "CLOSE_SECONDS", 0.05)

    async def main():
        exchange = md.Exchange(SYMBOLS, process=False, scenario="busy")
        async with exchange:
            opened = await open_websockets(exchange.ws_url, DEFAULT)
            exchange.inject("freeze", duration=1.0)
            await asyncio.wait_for(opened.hang_up(), 0.8)
            with pytest.raises(ConnectionEndedError, match="closed here with code 1000"):
                await opened.batch()

    asyncio.run(main())


def test_hanging_up_while_reading_is_paused_does_not_wait(until, monkeypatch):
    monkeypatch.setattr(connection, "_HIGH_WATER", 10)

    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="flood") as exchange:
            opened = await open_websockets(exchange.ws_url, DEFAULT)
            await opened.send_text(
                '{"cmd":"subscribe","data":{"channel":"depth","symbols":["AAPL.US"]}}'
            )
            await until(lambda: opened.reading_paused)
            await opened.hang_up()
            assert await opened.batch(), "what had arrived is still handed over"
            with pytest.raises(ConnectionEndedError):
                await opened.batch()

    asyncio.run(main())


def test_both_loops_carry_a_feed_through_backpressure(monkeypatch):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    monkeypatch.setattr(connection, "_HIGH_WATER", 10)

    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="flood") as exchange:
            session = md.live(list(SYMBOLS), source=exchange.ws_url, name="loops")
            async with session:
                while session.ledger().received.sum() < 3000:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert session.receipt.balanced
            assert session.receipt.totals["processed"] == session.receipt.totals["received"]
            assert session.receipt.connects == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_session_in_a_thread_runs(exchange_process, wait_until):
    exchange = exchange_process(SYMBOLS, scenario="busy")
    session = md.live(source=exchange, runner="thread", name="over")
    session.start()
    wait_until(lambda: session.ledger().processed.sum() > 50)
    assert len(session.frame("depth", "AAPL.US"))
    session.stop()
    wait_until(lambda: not session.running)
    assert session.receipt.balanced
    assert session.receipt.connects == 1
