"""Hyperliquid's dialect: whole books of 20 levels, and REST by POST."""

from __future__ import annotations

import asyncio
import json

import pytest
import requests
from exchange_clients import run
from venue_clients import levels, session, texts
from websockets.exceptions import ConnectionClosed

from mdkit.exchange import Exchange
from mdkit.exchange.venues.hyperliquid import HyperliquidDialect

pytestmark = pytest.mark.outer


def market(**options):
    return Exchange(["BTC/USD"], venue="hyperliquid", process=False, **options)


def ask(kind, coin="BTC", method="subscribe"):
    return json.dumps({"method": method, "subscription": {"type": kind, "coin": coin}})


async def until(socket, enough):
    """As the helper of that name, passing over the greeting, which is no JSON."""
    frames = []
    async with asyncio.timeout(30):
        while not enough(frames):
            frame = await socket.recv()
            if frame != "Websocket connection established.":
                frames.append(texts(frame))
    return frames


def of(frames, channel):
    return [frame["data"] for frame in frames if frame["channel"] == channel]


async def post(exchange, body, path="/info", **headers):
    return await asyncio.to_thread(
        requests.post, exchange.rest_url + path, json=body, headers=headers, timeout=30
    )


def pairs(side):
    return [(level["px"], level["sz"]) for level in side]


def test_books_are_whole_and_true():
    async def test():
        exchange = market(rate=200)
        async with session(exchange) as socket:
            assert await socket.recv() == "Websocket connection established."
            await socket.send(ask("l2Book"))
            frames = await until(socket, lambda f: len(of(f, "l2Book")) > 5)
            assert of(frames, "subscriptionResponse")[0]["method"] == "subscribe"
            times = [int(book["time"]) for book in of(frames, "l2Book")]
            assert times == sorted(times)
            for book in of(frames, "l2Book"):
                assert set(book) == {"coin", "time", "levels"}
                bids, asks = book["levels"]
                assert len(bids) == len(asks) == 20
                assert set(bids[0]) == {"px", "sz", "n"}
                assert float(bids[0]["px"]) < float(asks[0]["px"])
                assert all("." in level["px"] and "." in level["sz"] for level in bids)
            for book in of(frames, "l2Book")[2:]:
                true = exchange.true_book("BTC", time_ns=int(book["time"]) * 1_000_000)
                assert tuple(map(pairs, book["levels"])) == levels(true, 20)

    run(test())


def test_trades_tell_the_aggressor_and_begin_with_recent_ones():
    async def test():
        exchange = market(rate=300)
        async with session(exchange) as socket:
            await socket.send(ask("trades"))
            await socket.send(ask("bbo"))
            frames = await until(socket, lambda f: len(of(f, "trades")) > 30)
            best, checked = None, 0
            for frame in frames:
                if frame["channel"] == "bbo":
                    best = frame["data"]["bbo"]
                elif frame["channel"] == "trades" and best is not None:
                    trade = frame["data"][0]
                    assert trade["px"] == best[trade["side"] == "B"]["px"]
                    checked += 1
            assert checked > 20
            await socket.send(ask("trades", method="unsubscribe"))
            await until(socket, lambda f: of(f, "subscriptionResponse"))
            await socket.send(ask("trades"))
            recent = (await until(socket, lambda f: of(f, "trades")))[-1]["data"]
            assert len(recent) == 10

    run(test())


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ask("l2Book", "FOO"), "Invalid subscription"),
        (ask("nonsense"), "Invalid subscription"),
        ("nonsense", "Error parsing JSON"),
        (ask("l2Book", method="unsubscribe"), "Already unsubscribed"),
    ],
)
def test_what_cannot_be_had_is_an_error(request_, words):
    async def test():
        async with session(market()) as socket:
            await socket.send(request_)
            (error,) = await until(socket, lambda f: f)
            assert error["channel"] == "error"
            assert error["data"].startswith(words)

    run(test())


def test_pings_are_answered_and_a_silent_connection_is_closed(monkeypatch):
    monkeypatch.setattr("mdkit.exchange.venues.hyperliquid._SILENT_FOR", 0.3)
    monkeypatch.setattr(HyperliquidDialect, "beat_every", 0.05)

    async def test():
        async with session(market()) as socket:
            await socket.send('{"method":"ping"}')
            assert await until(socket, lambda f: f) == [{"channel": "pong"}]
            with pytest.raises(ConnectionClosed):
                await until(socket, lambda f: False)

    run(test())


def test_info_answers_posts():
    async def test():
        async with market() as exchange:
            book = (await post(exchange, {"type": "l2Book", "coin": "BTC"})).json()
            assert [len(side) for side in book["levels"]] == [20, 20]
            assert (await post(exchange, {"type": "l2Book", "coin": "FOO"})).json() is None
            meta = (await post(exchange, {"type": "meta"})).json()
            assert [row["name"] for row in meta["universe"]] == ["BTC"]
            mids = (await post(exchange, {"type": "allMids"})).json()
            assert float(mids["BTC"]) > 0
            assert (await post(exchange, {"type": "nonsense"})).status_code == 422
            assert (await post(exchange, {}, "/nowhere")).status_code == 404
            answer = await asyncio.to_thread(requests.get, exchange.rest_url + "/info", timeout=30)
            assert answer.status_code == 405

    run(test())


def test_a_post_from_a_foreign_page_is_refused():
    async def test():
        async with market() as exchange:
            body = {"type": "meta"}
            assert (await post(exchange, body, Origin="http://evil.example")).status_code == 403
            assert (await post(exchange, body, Host="evil.example")).status_code == 421
            big = await post(exchange, {"type": "meta", "padding": "x" * 300_000})
            assert big.status_code == 200

    run(test())


def test_candles_are_oldest_first_and_the_first_contains_the_start():
    async def test():
        async with market() as exchange:
            now = exchange.statistics()["clock_ms"]
            start = now - 3 * 3_600_000
            asked = {"coin": "BTC", "interval": "1h", "startTime": start, "endTime": now}
            rows = (await post(exchange, {"type": "candleSnapshot", "req": asked})).json()
            assert list(rows[0]) == ["t", "T", "s", "i", "o", "c", "h", "l", "v", "n"]
            assert rows[0]["t"] <= start <= rows[0]["T"]
            assert [row["t"] - rows[0]["t"] for row in rows] == [
                3_600_000 * i for i in range(len(rows))
            ]
            assert rows[-1]["t"] <= now <= rows[-1]["T"]
            asked = {"coin": "BTC", "interval": "1m", "startTime": 0, "endTime": now}
            rows = (await post(exchange, {"type": "candleSnapshot", "req": asked})).json()
            assert len(rows) == 5000

    run(test())
