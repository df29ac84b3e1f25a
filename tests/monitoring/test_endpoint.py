"""The endpoint answers who may ask, as long as the session runs, and holds nothing up."""

import asyncio
import http.client
import socket
import threading
import urllib.error
import urllib.request

import pytest

import mdkit as md
from mdkit.errors import SessionError, SettingsError
from mdkit.monitoring import endpoint as module
from mdkit.monitoring.exposition import CONTENT_TYPE

pytestmark = pytest.mark.outer
SYMBOLS = ["AAPL.US", "MSFT.US"]


@pytest.fixture
def session():
    made = md.live(SYMBOLS, source="simulated", name="endpoint", runner="thread")
    yield made
    if made.running:
        made.stop()


def _ask(endpoint, request):
    """Send bytes as they are; return all of the answer."""
    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def _get(target=b"/metrics", host=b"127.0.0.1", method=b"GET", more=b""):
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, target, host, more)


def _status(answer):
    return int(answer.split(b" ", 2)[1])


def test_it_serves_the_metrics_from_the_start_to_the_end(session):
    endpoint = session.metrics_endpoint()
    assert endpoint.host == "127.0.0.1"
    assert repr(endpoint) == f"<MetricsEndpoint http://127.0.0.1:{endpoint.port}/metrics>"
    session.start()
    with urllib.request.urlopen(endpoint.url, timeout=30) as answer:
        assert answer.headers["Content-Type"] == CONTENT_TYPE
        text = answer.read().decode()
    assert 'mdkit_session_up{session="endpoint"} 1\n' in text
    assert text.endswith("\n")
    session.stop()
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", endpoint.port), timeout=5)
    with pytest.raises(SessionError, match="has ended"):
        session.metrics_endpoint()


def test_it_can_be_opened_while_the_session_runs_and_in_a_notebooks_loop(until):
    async def main():
        session = md.live(SYMBOLS, source="simulated", name="endpoint")
        async with session:
            await until(lambda: len(session.ledger()))
            endpoint = session.metrics_endpoint()
            answer = await asyncio.to_thread(_ask, endpoint, _get())
            assert _status(answer) == 200
            assert b'mdkit_messages_received_total{session="endpoint",symbol="' in answer

    asyncio.run(main())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_get(), 200),
        (_get(host=b"localhost:9100"), 200),
        (_get(host=b"[::1]:9100"), 200),
        (_get(target=b"/metrics?x=1"), 200),
        (_get(method=b"HEAD"), 200),
        (_get(host=b"attacker.example"), 421),
        (_get(host=b"127.0.0.1.attacker.example"), 421),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 421),
        (_get(more=b"Origin: http://attacker.example\r\n"), 403),
        (_get(more=b"Origin: null\r\n"), 403),
        (_get(more=b"Origin: http://[\r\n"), 403),
        (_get(more=b"Host: attacker.example\r\n"), 400),
        (_get(target=b"/"), 404),
        (_get(target=b"/metrics/../x"), 404),
        (_get(method=b"POST"), 405),
        (b"\x16\x03\x01\x00\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (_get(more=b"X: " + b"a" * 40_000 + b"\r\n"), 400),
    ],
)
def test_it_answers_only_who_may_ask(session, request_, status):
    endpoint = session.metrics_endpoint()
    session.start()
    answer = _ask(endpoint, request_)
    assert _status(answer) == status
    assert (b"mdkit_session_up" in answer) == (status == 200 and not request_.startswith(b"HEAD"))


def test_a_caller_that_says_nothing_is_left_and_too_many_are_not_served(session, monkeypatch):
    monkeypatch.setattr(module, "_MOST_CALLERS", 2)
    endpoint = session.metrics_endpoint()
    session.start()
    address = (endpoint.host, endpoint.port)
    silent = [socket.create_connection(address, timeout=30) for _ in range(2)]
    while len(endpoint._callers) < 2:
        pass
    assert _ask_until_closed(endpoint) == b""
    for connection in silent:
        connection.close()
    while endpoint._callers:
        pass
    assert _status(_ask(endpoint, _get())) == 200
    monkeypatch.setattr(module, "_REQUEST_SECONDS", 0.05)
    with socket.create_connection(address, timeout=30) as late:
        assert late.recv(1) == b""


def _ask_until_closed(endpoint):
    try:
        return _ask(endpoint, _get())
    except ConnectionError:  # closed with what was sent still unread
        return b""


def test_a_failed_session_still_tells_its_owner_after_it_was_scraped():
    @md.strategy("depth")
    def wrong(book):
        raise ZeroDivisionError("of the spread")

    session = md.live(
        SYMBOLS,
        source="simulated",
        name="endpoint",
        runner="thread",
        strategies=[wrong],
        on_error="raise",
    )
    endpoint = session.metrics_endpoint()
    held = threading.Event()
    session.alert("failed", lambda _: held.wait(30))  # keeps the session open for the scrape
    session.start()
    while session.pipeline.failure is None:
        pass
    answer = _ask(endpoint, _get())
    held.set()
    assert b'mdkit_session_failed{session="endpoint"} 1' in answer
    with pytest.raises(md.MdkitError, match="of the spread"):
        session.stop()


def test_a_port_that_cannot_be_had_is_an_error_with_a_cure(session):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SessionError, match=f"at 127.0.0.1:{port} .*give another port, or 0"):
            session.metrics_endpoint(port)


@pytest.mark.parametrize("port", [-1, 65_536, "9100", 1.5, True])
def test_what_is_no_port_is_refused(session, port):
    with pytest.raises(SettingsError, match="is out of range: 0"):
        session.metrics_endpoint(port)


@pytest.mark.parametrize("host", ["", None, 5, "a\0b"])
def test_what_is_no_address_is_refused(session, host):
    with pytest.raises(SettingsError, match="is no address to listen at"):
        session.metrics_endpoint(host=host)


@pytest.mark.parametrize("begins_first", [True, False])
def test_a_cell_that_is_run_again_has_the_same_port(until, begins_first):
    async def main():
        def cell(port):
            session = md.live(SYMBOLS, source="simulated", name="endpoint")
            endpoint = None if begins_first else session.metrics_endpoint(port)
            session.start()
            return session, endpoint or session.metrics_endpoint(port)

        first, former = cell(0)
        await until(lambda: len(first.ledger()))
        second, endpoint = cell(former.port)
        await until(lambda: not first.running)
        assert endpoint.port == former.port
        answer = await asyncio.to_thread(_ask, endpoint, _get())
        assert _status(answer) == 200
        await second.stop()

    asyncio.run(main())


def test_closing_it_gives_the_port_back_at_once(session):
    session.start()
    for _ in range(3):
        endpoint = session.metrics_endpoint()
        assert _status(_ask(endpoint, _get())) == 200
        endpoint.close()
        socket.create_server((endpoint.host, endpoint.port)).close()


def test_metrics_that_break_off_are_no_whole_answer(until, monkeypatch):
    """A caller that reads too slowly is left, and can tell that it has not got all."""
    monkeypatch.setattr(module, "_REQUEST_SECONDS", 0.2)

    async def main():
        endpoint = module.MetricsEndpoint("127.0.0.1", 0, lambda: iter(["a" * (16 << 20)]))
        endpoint.begin()
        with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as slow:
            slow.sendall(_get())
            await until(lambda: endpoint._callers)
            await until(lambda: not endpoint._callers)
            answer = http.client.HTTPResponse(slow)
            answer.begin()
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                await asyncio.to_thread(answer.read)
        endpoint.close()

    asyncio.run(main())


def test_thousands_of_symbols_are_written_in_parts():
    """Between the parts others have their turn."""

    async def main():
        turns, lines = [], [f"line {n}\n" for n in range(3_000)]
        endpoint = module.MetricsEndpoint("127.0.0.1", 0, lambda: iter(lines))
        endpoint.begin()

        async def others():
            while True:
                turns.append(len(endpoint._callers))
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        answer = await asyncio.to_thread(_ask, endpoint, _get())
        task.cancel()
        await asyncio.wait([task])
        endpoint.close()
        assert answer.endswith("".join(lines).encode())
        assert sum(turns) >= 3_000 // module._LINES_AT_ONCE

    asyncio.run(main())
