"""Binance futures' dialect: routes, the chain of `pu`, and its REST."""

from __future__ import annotations

import itertools
import json

import pytest
from exchange_clients import run
from venue_clients import NaiveBook, get, levels, session, texts, until

from mdkit.exchange import Exchange

pytestmark = pytest.mark.outer


def market(**options):
    return Exchange(["BTC/USD"], venue="binance.futures", process=False, **options)


def of(frames, stream):
    return [frame["data"] for frame in frames if frame.get("stream") == stream]


def test_a_book_by_the_rule_of_futures_is_the_true_one_and_ids_jump():
    async def test():
        exchange = market(rate=300)
        path = "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker"
        async with session(exchange, path) as socket:
            frames = await until(socket, lambda f: len(of(f, "btcusdt@depth@100ms")) > 2)
            answer = await get(exchange, "/fapi/v1/depth", symbol="BTCUSDT", limit=1000)
            snapshot = texts(answer.text)
            frames += await until(socket, lambda f: len(of(f, "btcusdt@depth@100ms")) > 30)
            assert list(snapshot) == ["lastUpdateId", "E", "T", "bids", "asks"]
            at = int(snapshot["lastUpdateId"])
            diffs = of(frames, "btcusdt@depth@100ms")
            kept = [diff for diff in diffs if int(diff["u"]) >= at]
            assert int(kept[0]["U"]) <= at <= int(kept[0]["u"])
            for before, diff in itertools.pairwise(diffs):
                assert list(diff) == ["e", "E", "T", "s", "U", "u", "pu", "b", "a"]
                assert diff["pu"] == before["u"]
            # By spot's rule almost none would follow another.
            jumps = [int(b["U"]) - int(a["u"]) for a, b in itertools.pairwise(diffs)]
            assert sum(jump == 1 for jump in jumps) < len(jumps) / 2
            quotes = {quote["u"]: quote for quote in of(frames, "btcusdt@bookTicker")}
            built, compared = NaiveBook(), 0
            built.replace(snapshot["bids"], snapshot["asks"])
            for diff in kept:
                built.apply(diff["b"], diff["a"])
                true = exchange.true_book("BTCUSDT", update_id=int(diff["u"]))
                assert (built.bids, built.asks) == levels(true)
                if quote := quotes.get(diff["u"]):
                    assert list(quote) == ["e", "u", "s", "b", "B", "a", "A", "T", "E"]
                    assert built.bids[0] == (quote["b"], quote["B"])
                    assert built.asks[0] == (quote["a"], quote["A"])
                    compared += 1
            assert compared > 5

    run(test())


@pytest.mark.parametrize(
    ("route", "delivered"),
    [
        ("/public", {"btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade"}),
        ("/market", {"btcusdt@aggTrade", "btcusdt@ticker"}),
        ("", {"btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade"}),
    ],
)
def test_each_route_acknowledges_all_streams_and_delivers_its_own(route, delivered):
    every = ["depth@100ms", "bookTicker", "trade", "aggTrade", "ticker"]

    async def test():
        async with session(market(rate=300), route + "/stream") as socket:
            names = [f"btcusdt@{name}" for name in every]
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
            frames = await until(
                socket,
                lambda f: len(f) > 100 and delivered <= {frame.get("stream") for frame in f},
            )
            assert {"result": None, "id": "1"} in frames
            assert {frame["stream"] for frame in frames if "stream" in frame} == delivered

    run(test())


def test_aggregated_trades_have_the_fields_of_futures():
    async def test():
        async with session(market(rate=300), "/market/ws/btcusdt@aggTrade") as socket:
            (trade,) = await until(socket, lambda f: f)
            fields = ["e", "E", "a", "s", "p", "q", "nq", "f", "l", "T", "m"]
            assert list(trade) == fields

    run(test())


def test_rest_has_limits_of_its_own():
    async def test():
        async with market() as exchange:
            refused = await get(exchange, "/fapi/v1/depth", symbol="BTCUSDT", limit=7)
            assert (refused.status_code, refused.json()["code"]) == (400, -4021)
            body = (await get(exchange, "/fapi/v1/depth", symbol="BTCUSDT")).json()
            assert len(body["bids"]) == 500
            path = "/fapi/v1/klines"
            rows = (await get(exchange, path, symbol="BTCUSDT", interval="1m", limit=1500)).json()
            assert len(rows) == 1500
            # Seconds in place of milliseconds are no error there: the latest bars come.
            seconds = {"startTime": 1_602_816_289, "endTime": 1_602_819_889}
            latest = (await get(exchange, path, symbol="BTCUSDT", interval="5m", **seconds)).json()
            assert len(latest) == 500
            assert latest[-1][0] > 1_700_000_000_000
            first = (
                await get(exchange, path, symbol="BTCUSDT", interval="1d", startTime=10**12)
            ).json()
            assert first[0][0] == 1_567_900_800_000

    run(test())
