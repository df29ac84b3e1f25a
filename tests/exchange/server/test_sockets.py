"""Every endpoint, command and error code, through real clients over loopback."""

from __future__ import annotations

import asyncio
import json
import socket as sockets

import psutil
import pytest
import requests
from exchange_clients import ask, collect, command, data, get, run, until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mdkit.exchange import FREE_TRIAL, Exchange, PlanLimits
from mdkit.venues import routes, tickdb

pytestmark = pytest.mark.outer

START = 1_735_732_800_000


@pytest.fixture(scope="module")
def exchange():
    symbols = ["AAPL.US", "MSFT.US", "700.HK", "BTCUSDT", "BU2609"]
    with Exchange(symbols, start=START, rate=200, levels=12) as running:
        yield running


def test_depth(exchange):
    book = data(exchange, "/market/depth", symbol="AAPL.US")
    assert len(book["bids"]) == len(book["asks"]) == 10
    assert len(data(exchange, "/market/depth", symbol="AAPL.US", limit=50)["bids"]) == 12
    assert len(data(exchange, "/market/depth", symbol="AAPL.US", limit=1)["bids"]) == 1
    assert all(isinstance(text, str) for level in book["bids"] for text in level)


def test_kline(exchange):
    body = data(exchange, "/market/kline", symbol="AAPL.US", interval="1h", limit=3)
    assert (body["symbol"], body["interval"], body["type"]) == ("AAPL.US", "1h", "stock")
    times = [bar["time"] for bar in body["klines"]]
    assert times == [START - 3 * 3_600_000, START - 2 * 3_600_000, START - 3_600_000]
    assert set(body["klines"][0]) == {
        "time", "open", "high", "low", "close", "volume", "quote_volume"
    }  # fmt: skip
    assert len(data(exchange, "/market/kline", symbol="AAPL.US", interval="1m")["klines"]) == 100
    future = data(exchange, "/market/kline", symbol="BU2609", interval="1d", limit=1)["klines"][0]
    assert "open_interest" in future
    assert "quote_volume" not in future


def test_kline_pages_join(exchange):
    ask = {"symbol": "MSFT.US", "interval": "4h", "start_time": START - 86_400_000 * 30}
    whole = data(exchange, "/market/kline", **ask, limit=180)["klines"]
    first = data(exchange, "/market/kline", **ask, limit=100)["klines"]
    ask["start_time"] = first[-1]["time"] + 1
    second = data(exchange, "/market/kline", **ask, limit=100)["klines"]
    assert first + second == whole


def test_kline_latest(exchange):
    found = data(exchange, "/market/kline/latest", symbols="AAPL.US,MSFT.US", interval="3m")
    assert [entry["symbol"] for entry in found] == ["AAPL.US", "MSFT.US"]
    assert all(len(entry["klines"]) == 1 for entry in found)


def test_ticker_trades_intervals(exchange):
    tickers = data(exchange, "/market/ticker", symbols="AAPL.US,BTCUSDT")
    assert [ticker["symbol"] for ticker in tickers] == ["AAPL.US", "BTCUSDT"]
    assert data(exchange, "/market/trades", symbol="AAPL.US")["symbol"] == "AAPL.US"
    intervals = data(exchange, "/market/intervals/kline")
    assert intervals["count"] == len(intervals["intervals"]) == 11


def test_updated_at_is_a_text_of_rfc_3339(exchange):
    for product in data(exchange, "/symbols/available")["products"]:
        assert product["updated_at"] == "2025-01-01T12:00:00Z"


def test_available_symbols_are_paged_and_filtered(exchange):
    page = data(exchange, "/symbols/available", limit=2, offset=1)
    assert [product["symbol"] for product in page["products"]] == ["MSFT.US", "700.HK"]
    assert page["pagination"] == {"limit": 2, "offset": 1, "total": 5, "count": 2}
    assert data(exchange, "/symbols/available", type="crypto")["summary"]["total"] == 1
    hong_kong = data(exchange, "/symbols/available", market="HK")["products"]
    assert [product["symbol"] for product in hong_kong] == ["700.HK"]


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/market/depth", {}, 400, 2001),
        ("/market/depth", {"symbol": "NOPE"}, 404, 2002),
        ("/market/depth", {"symbol": "AAPL.US", "type": "crypto"}, 404, 2002),
        ("/market/depth", {"symbol": "AAPL.US", "limit": 51}, 400, 2004),
        ("/market/depth", {"symbol": "AAPL.US", "limit": "x"}, 400, 2001),
        ("/market/depth", {"symbol": "AAPL.US", "limit": 0}, 400, 2001),
        ("/market/trades", {"symbol": "AAPL.US", "limit": 1001}, 400, 2004),
        ("/market/kline", {"symbol": "AAPL.US"}, 400, 2001),
        ("/market/kline", {"symbol": "AAPL.US", "interval": "3m"}, 400, 2001),
        ("/market/kline", {"symbol": "AAPL.US", "interval": "1h", "limit": 1001}, 400, 2004),
        (
            "/market/kline",
            {"symbol": "AAPL.US", "interval": "1h", "start_time": 2, "end_time": 1},
            400,
            2003,
        ),
        ("/market/kline", {"symbol": "AAPL.US", "interval": "1h", "start_time": "x"}, 400, 2001),
        ("/market/kline", {"symbol": "AAPL.US", "interval": "1h", "end_time": 10**17}, 400, 2003),
        ("/market/ticker", {"symbols": ",".join(f"S{i}" for i in range(51))}, 400, 2004),
        ("/market/ticker", {"symbols": ","}, 400, 2001),
        ("/symbols/available", {"market": "MARS"}, 400, 2001),
        ("/nothing/here", {}, 404, 2001),
        ("/realtime", {}, 426, 4002),
    ],
)
def test_rest_refusals(exchange, path, params, status, code):
    answer = get(exchange, path, **params)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_only_get_is_served(exchange):
    try:
        answer = requests.post(exchange.rest_url + "/market/depth", json={}, timeout=5)
    except requests.ConnectionError:
        return  # websockets before 16 reads nothing but GET
    assert answer.status_code in (400, 405)


def test_commands_and_their_answers(exchange):
    async def converse():
        async with connect(exchange.ws_url) as socket:
            pong = await ask(socket, '{"cmd":"ping"}')
            assert (pong["cmd"], pong["message"]) == ("pong", "pong")
            assert pong["data"]["timestamp"] >= START
            for text, code in [
                ("{", 4002),
                ("[]", 4002),
                (b"\xff", 4002),
                ('{"cmd":"dance"}', 4001),
                ('{"cmd":"subscribe"}', 2001),
                (command("kline", ["AAPL.US"]), 2001),
                (command("depth", []), 2001),
                (command("depth", ["AAPL.US"], type="bogus"), 2001),
                (command("depth", ["AAPL.US"], type="crypto"), 2002),
            ]:
                assert (await ask(socket, text))["code"] == code, text
            answer = await ask(socket, command("depth", ["AAPL.US", "NOPE"]))
            assert (answer["code"], "NOPE" in answer["message"]) == (2002, True)
            assert answer["data"] == {
                "channel": "depth",
                "symbols": ["AAPL.US"],
                "refused": ["NOPE"],
            }
            assert "depth" in await socket.recv()
            answer = await ask(socket, command("depth", ["AAPL.US"], "unsubscribe"))
            assert answer["code"] == 0
            # Nothing but the pong comes, although the market goes on.
            said = exchange.statistics()["messages"]
            await until(lambda: exchange.statistics()["messages"] > said + 20)
            await socket.send('{"cmd":"ping"}')
            assert json.loads(await socket.recv())["cmd"] == "pong"

    run(converse())


def test_article_dialect_subscribes_by_url(exchange):
    async def read():
        url = exchange.flat_ws_url + "?channel=depth&channel=trade&symbol=AAPL.US,BTCUSDT"
        async with connect(url) as socket:
            seen = set()
            while len(seen) < 4:
                message = json.loads(await socket.recv())
                seen.add((message["type"], message["symbol"]))
                if message["type"] == "depth":
                    assert isinstance(message["bids"][0][0], float)
            return seen

    assert run(read()) == {(c, s) for c in ("depth", "trade") for s in ("AAPL.US", "BTCUSDT")}


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 400, 2001),
        ("?channel=depth&symbol=NOPE", 404, 2002),
        ("?channel=kline&symbol=AAPL.US", 400, 2001),
    ],
)
def test_article_refusals_come_at_the_handshake(exchange, text, status, code):
    async def attempt():
        with pytest.raises(InvalidStatus) as caught:
            await connect(exchange.flat_ws_url + text)
        response = caught.value.response
        assert response.status_code == status
        assert json.loads(response.body)["code"] == code

    run(attempt())


def test_unknown_websocket_path(exchange):
    async def attempt():
        with pytest.raises(InvalidStatus) as caught:
            await connect(exchange.ws_url + "/other")
        assert caught.value.response.status_code == 404

    run(attempt())


def test_keys_are_checked_by_header_and_query():
    async def attempt(url):
        async with connect(url):
            pass

    with Exchange(api_key="s3cret-s3cret") as exchange:
        path = "/market/intervals/kline"
        assert get(exchange, path).json()["code"] == 1002
        wrong = get(exchange, path, api_key="nö")
        assert (wrong.status_code, wrong.json()["code"]) == (401, 1001)
        data(exchange, path, headers={"X-API-Key": "s3cret-s3cret"})
        data(exchange, path, api_key="s3cret-s3cret")
        with pytest.raises(InvalidStatus) as caught:
            run(attempt(exchange.ws_url))
        assert caught.value.response.status_code == 401
        run(attempt(exchange.ws_url + "?api_key=s3cret-s3cret"))
        assert exchange.statistics()["refused"] == {"1002": 2, "1001": 1}


def test_the_free_trial_is_as_small_as_it_says():
    async def converse(exchange):
        async with connect(exchange.ws_url) as first, connect(exchange.ws_url) as second:
            assert (await ask(first, command("depth", ["AAPL.US"])))["code"] == 4003
            assert (await ask(first, command("trade", ["AAPL.US"])))["code"] == 4004
            answer = await ask(first, command("ticker", exchange.config.symbols))
            assert answer["code"] == 0
            answer = await ask(second, command("ticker", ["AAPL.US"]))
            assert answer["code"] == 3003
            with pytest.raises(ConnectionClosed) as caught:
                await second.recv()
            assert caught.value.rcvd.code == 1008

    with Exchange(limits=FREE_TRIAL) as exchange:
        run(converse(exchange))
        for _ in range(30):
            data(exchange, "/market/intervals/kline")
        answer = get(exchange, "/market/intervals/kline")
        assert (answer.status_code, answer.json()["code"]) == (429, 3001)
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_subscription_limit_and_quota():
    async def converse(exchange):
        async with connect(exchange.ws_url) as socket:
            answer = await ask(socket, command("depth", exchange.config.symbols))
            assert answer["code"] == 3004
            assert len(answer["data"]["symbols"]) == 3
            url = exchange.flat_ws_url + "?channel=depth&symbol=AAPL.US"
            with pytest.raises(InvalidStatus) as caught:
                await connect(url)
            assert json.loads(caught.value.response.body)["code"] == 3004

    with Exchange(limits=PlanLimits(subscriptions=3, quota=1)) as exchange:
        run(converse(exchange))
        data(exchange, "/market/intervals/kline")
        assert get(exchange, "/market/intervals/kline").json()["code"] == 3002


def test_the_first_subscriber_sees_the_scenario_from_the_beginning():
    def first(count):
        with Exchange(start=START, rate=500, seed=3) as exchange:
            every = [(channel, exchange.config.symbols) for channel in routes.CHANNELS]
            return run(collect(exchange.ws_url, every, lambda texts: len(texts) >= count))[:count]

    assert first(300) == first(300)


def test_several_clients_and_rest_agree_with_what_was_pushed():
    async def both(exchange):
        every = [("depth", exchange.config.symbols)]

        def done(texts):
            return len(texts) == 847

        return await asyncio.gather(*(collect(exchange.ws_url, every, done) for _ in range(2)))

    with Exchange(scenario="open", count=847, speed=4, start=START) as exchange:
        one, other = run(both(exchange))
        assert one == other
        run(until(lambda: exchange.statistics()["finished"]))
        book = data(exchange, "/market/depth", symbol="AAPL.US")
        pushed = [json.loads(text)["data"] for text in one]
        last = next(body for body in reversed(pushed) if body["symbol"] == "AAPL.US")
        assert (book["bids"], book["asks"]) == (last["bids"], last["asks"])


def test_compression_on_request():
    async def read(exchange):
        async with connect(exchange.ws_url) as socket:
            assert [type(e).__name__ for e in socket.protocol.extensions] == ["PerMessageDeflate"]
            await ask(socket, command("depth", ["AAPL.US"]))
            for _ in range(5):
                tickdb.decode((await socket.recv()).encode())

    with Exchange(rate=200, compression=True) as exchange:
        run(read(exchange))


def test_flood_waits_for_the_client_and_loses_nothing():
    async def read(exchange):
        texts = await collect(
            exchange.ws_url, [("depth", exchange.config.symbols)], lambda t: len(t) == 30_000
        )
        assert len(texts) == 30_000

    with Exchange(scenario="flood", count=30_000) as exchange:
        run(read(exchange))
        seen = exchange.statistics()
        assert seen["sent_total"] == 30_000
        assert seen["finished"]


def test_a_client_that_does_not_read_is_disconnected_and_counted():
    async def ignore(exchange):
        small = sockets.socket()
        small.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        small.connect(("127.0.0.1", exchange.port))
        small.setblocking(False)
        async with connect(
            exchange.ws_url, sock=small, max_queue=1, compression=None, close_timeout=0.1
        ) as socket:
            for channel in ("depth", "trade"):
                await socket.send(command(channel, exchange.config.symbols))
            await until(lambda: exchange.statistics()["slow_clients"] == 1)

    with Exchange(rate=20_000, buffer_bytes=65_536) as exchange:
        run(ignore(exchange))


UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
KLINES = b"GET /v1/market/kline?symbol=AAPL.US&interval=1m HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("said", [b"", b"GET /v1/rea", KLINES, UPGRADE])
@pytest.mark.parametrize("turns", [0, 2])
def test_a_stopped_exchange_keeps_no_socket_whatever_its_client_was_at(said, turns):
    async def main():
        async with Exchange(["AAPL.US"], process=False) as exchange:
            client = sockets.create_connection(("127.0.0.1", exchange.port))
            client.sendall(said)
            for _ in range(turns):
                await asyncio.sleep(0)
        with client:
            own = client.getsockname()
            held = [c for c in psutil.Process().net_connections("inet") if c.raddr == own]
            assert not held

    asyncio.run(main())
