"""Each fault does what its description says, on request and by schedule."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
import requests
from exchange_clients import collect, command, get, run, until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mdkit.errors import InvalidMessage, SettingsError
from mdkit.exchange import FAULTS, Exchange, Fault, configure, random_faults
from mdkit.exchange.faults.faults import malformed
from mdkit.exchange.market.simulator import SimulatedFeed
from mdkit.venues import routes, tickdb

pytestmark = pytest.mark.outer

SYMBOL = ["AAPL.US"]


async def subscribed(exchange, socket):
    await socket.send(command("depth", SYMBOL))
    assert json.loads(await socket.recv())["code"] == 0
    await socket.recv()


async def collect_into(texts, socket):
    while True:
        texts.append(await socket.recv())


def in_process(test, **settings):
    """Run a test's coroutine against an exchange in the same loop."""

    async def body():
        async with Exchange(SYMBOL, process=False, rate=500, **settings) as exchange:
            await test(exchange)

    run(body())


@pytest.mark.parametrize(
    ("kind", "code"), [("disconnect", 1012), ("drop", None), ("oversized", None)]
)
def test_connections_end(kind, code):
    async def test(exchange):
        async with connect(exchange.ws_url, close_timeout=0.2) as socket:
            await subscribed(exchange, socket)
            exchange.inject(kind)
            with pytest.raises(ConnectionClosed) as caught:
                await collect_into([], socket)
            assert (caught.value.rcvd.code if caught.value.rcvd else None) == code
            if kind == "oversized":
                assert caught.value.sent.code == 1009

    in_process(test)


@pytest.mark.parametrize(
    ("kind", "params", "status", "code"),
    [
        ("refuse", {}, 503, 5001),
        ("unauthorized", {}, 401, 1001),
        ("unauthorized", {"code": 1004}, 403, 1004),
        ("rate_limit", {"retry_after": 7}, 429, 3001),
    ],
)
def test_newcomers_are_refused_and_then_let_in(kind, params, status, code):
    async def test(exchange):
        exchange.inject(kind, count=2, **params)
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught:
                await connect(exchange.ws_url, close_timeout=0.2)
            response = caught.value.response
            assert response.status_code == status
            assert json.loads(response.body)["code"] == code
            if kind == "rate_limit":
                assert response.headers["Retry-After"] == "7"
        async with connect(exchange.ws_url, close_timeout=0.2):
            pass

    in_process(test)


def test_rest_is_limited_and_has_trouble():
    with Exchange(SYMBOL) as exchange:
        for kind, status, code in [
            ("rate_limit", 429, 3001),
            ("server_error", 500, 5000),
            ("unauthorized", 401, 1001),
        ]:
            exchange.inject(kind, count=1)
            answer = get(exchange, "/market/depth", symbol="AAPL.US")
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        exchange.inject("rate_limit", duration=30)
        answer = get(exchange, "/market/depth", symbol="AAPL.US")
        assert 29 <= int(answer.headers["Retry-After"]) <= 30


def test_accept_then_close():
    async def test(exchange):
        exchange.inject("accept_then_close")
        async with connect(exchange.ws_url, close_timeout=0.2) as socket:
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.rcvd.code == 1013

    in_process(test)


@pytest.mark.parametrize("hold", [False, True])
def test_a_stall_is_silent_and_loses_or_holds(hold):
    async def test(exchange):
        async with connect(exchange.ws_url, close_timeout=0.2) as socket:
            await socket.send(command("depth", SYMBOL))
            await until(lambda: exchange.statistics()["faults"])
            withheld = exchange.statistics
            await until(lambda: withheld()["messages"] > 200)
            assert withheld()["sent_total"] == 50
            texts = []
            while len(texts) < 300:
                texts.append(await socket.recv())
            assert (withheld()["withheld"] > 0) is not hold

    stall = Fault("stall", after_messages=50, duration=0.6, params={"hold": hold})

    # Depth alone is subscribed to; without trades and tickers the counts are exact.
    async def body():
        async with Exchange(SYMBOL, process=False, rate=500, faults=[stall]) as exchange:
            exchange._server.market.delivery.feed._trade_share = 0
            exchange._server.market.delivery.feed._next_ticker = [1e9]
            await test(exchange)

    run(body())


def test_held_messages_are_all_delivered_in_order():
    faults = [
        Fault("stall", after_messages=20, duration=0.2, params={"hold": True}),
        Fault("slow", after_messages=200, duration=0.2, params={"pause": 0.02}),
    ]
    settings = {"rate": 1000, "seed": 5, "start": 1_735_732_800_000, "count": 500}

    def texts(**more):
        with Exchange(SYMBOL, **settings, **more) as exchange:
            every = [("depth", SYMBOL)]
            return run(collect(exchange.ws_url, every, lambda texts: len(texts) == 500))

    assert texts(faults=faults) == texts()


def test_duplicate_and_reorder_touch_exactly_what_they_say():
    settings = {"rate": 1000, "seed": 5, "start": 1_735_732_800_000, "count": 200}
    every = [(channel, SYMBOL) for channel in routes.CHANNELS]

    def texts(number, *faults):
        with Exchange(SYMBOL, **settings, faults=faults) as exchange:
            found = run(collect(exchange.ws_url, every, lambda texts: len(texts) == number))
            run(until(lambda: exchange.statistics()["finished"]))
            assert exchange.statistics()["sent_total"] == number
            return found

    total = len(SimulatedFeed(configure(SYMBOL, **settings), settings["start"]).take(1e9, 10**9))
    plain = texts(total)
    doubled = texts(total + 4, Fault("duplicate", after_messages=30, count=4, symbol="AAPL.US"))
    assert doubled == plain[:30] + [t for text in plain[30:34] for t in (text, text)] + plain[34:]
    swapped = texts(total, Fault("reorder", after_messages=30, count=1))
    assert swapped != plain
    assert sorted(swapped) == sorted(plain)
    moved = next(i for i in range(total) if swapped[i] != plain[i])
    assert moved == 30
    assert swapped.index(plain[30]) > 30


def test_malformed_messages_are_seeded_and_broken():
    assert malformed(3, 50, "AAPL.US") == malformed(3, 50, "AAPL.US")
    bad = 0
    for raw in malformed(3, 200, "AAPL.US"):
        try:
            tickdb.decode(raw)
        except InvalidMessage:
            bad += 1
    assert bad > 150


def test_malformed_messages_arrive_between_good_ones():
    async def test(exchange):
        async with connect(exchange.ws_url, close_timeout=0.2) as socket:
            await subscribed(exchange, socket)
            exchange.inject("malformed", count=30)
            expected = {text.decode() for text in malformed(7, 30, "AAPL.US")}
            while expected:
                expected.discard(await socket.recv())
            assert exchange.statistics()["sent"]["*"]["fault"] == 30

    in_process(test)


def test_a_frozen_exchange_does_not_answer_pings():
    async def test(exchange):
        async with connect(exchange.ws_url, ping_interval=None) as socket:
            await subscribed(exchange, socket)
            exchange.inject("freeze", duration=0.3)
            loop = asyncio.get_running_loop()
            began = loop.time()
            reader = asyncio.create_task(collect_into([], socket))
            await (await socket.ping())
            assert loop.time() - began > 0.25
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    in_process(test)


def test_faults_by_schedule_come_at_the_same_message_each_time():
    async def test(exchange):
        async with connect(exchange.ws_url, close_timeout=0.2) as socket:
            texts = []
            await socket.send(command("depth", SYMBOL))
            with pytest.raises(ConnectionClosed):
                await collect_into(texts, socket)
            counts.append(exchange.statistics()["messages"])

    counts = []
    for _ in range(2):
        in_process(test, faults=[Fault("disconnect", after_messages=77)], start=1_735_732_800_000)
    assert counts[0] >= 77
    timed = Fault("disconnect", at=0.1)
    in_process(test, faults=[timed])
    assert len(counts) == 3


def test_curl_can_do_it_too():
    with Exchange(SYMBOL) as exchange:
        base = f"http://127.0.0.1:{exchange.port}/_exchange"

        def get(path):
            headers = {"X-Mdkit-Control": "1"}
            return requests.get(f"{base}/{path}", headers=headers, timeout=5)

        answer = get("fault?kind=stall&duration=0.1&hold=true")
        assert answer.json()["data"]["params"] == {"hold": True}
        assert get("statistics").json()["faults"] == {"stall": 1}
        answer = get("fault?kind=nonsense")
        assert answer.status_code == 400
        assert "the faults are" in answer.json()["message"]
        assert get("other").status_code == 404


def test_schedules_are_seeded_and_plain_data():
    schedule = random_faults(4, seconds=10, count=12)
    assert schedule == random_faults(4, seconds=10, count=12)
    assert schedule != random_faults(5, seconds=10, count=12)
    text = json.dumps([fault.as_dict() for fault in schedule])
    assert tuple(Fault(**fault) for fault in json.loads(text)) == schedule
    assert msgspec.json.decode(text, type=tuple[Fault, ...]) == schedule


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_can_be_injected_before_anybody_has_come(kind):
    async def test(exchange):
        exchange.inject(kind, duration=0.01, count=1)
        assert exchange.statistics()["faults"] == {kind: 1}

    in_process(test)


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("nonsense", {}, "the faults are"),
        ("stall", {"size": 3}, "has no parameter 'size'"),
        ("stall", {"duration": -1}, "must be 0 or more"),
        ("stall", {"duration": "soon"}, "is not a number"),
        ("slow", {"pause": "often"}, "cannot be used"),
        ("malformed", {"count": 0}, "must be 1"),
        ("drop", {"after_messages": float("inf")}, "not a number"),
        ("disconnect", {"code": 5}, "1000 to 1003"),
        ("disconnect", {"code": 1012.0}, "1000 to 1003"),
        ("disconnect", {"reason": "x" * 124}, "123 bytes"),
        ("accept_then_close", {"code": 1006}, "1000 to 1003"),
        ("refuse", {"status": 200}, "300 to 599"),
    ],
)
def test_impossible_faults_are_refused_with_the_cure(kind, params, words):
    exchange = Exchange(SYMBOL)
    with pytest.raises(SettingsError, match=words):
        exchange.inject(kind, **params)
