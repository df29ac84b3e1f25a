"""Coinbase's dialect: one counter over all frames of a connection, whole books in band."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from exchange_clients import run
from venue_clients import NaiveBook, get, levels, session, until
from websockets.exceptions import ConnectionClosed

from mdkit.exchange import Exchange
from mdkit.exchange.venues.coinbase.dialect import CoinbaseDialect

pytestmark = pytest.mark.outer

PRODUCTS = "/api/v3/brokerage/market/products"


def market(symbols=("BTC/USD",), **options):
    return Exchange(list(symbols), venue="coinbase", process=False, **options)


def ask(channel, *names, kind="subscribe"):
    return json.dumps({"type": kind, "product_ids": list(names), "channel": channel})


def of(frames, channel):
    return [frame for frame in frames if frame.get("channel") == channel]


def apply(built, frame):
    for event in frame["events"]:
        sides = {"bid": [], "offer": []}
        for row in event["updates"]:
            sides[row["side"]].append((row["price_level"], row["new_quantity"]))
        change = built.replace if event["type"] == "snapshot" else built.apply
        change(sides["bid"], sides["offer"])


def test_every_frame_is_counted_and_the_book_is_the_true_one():
    async def test():
        exchange = market(["BTC/USD", "ETH/USD"], rate=300)
        async with session(exchange) as socket:
            await socket.send(ask("heartbeats"))
            await socket.send(ask("level2", "BTC-USD"))
            await socket.send(ask("level2", "ETH-USD"))
            await socket.send(ask("market_trades", "BTC-USD"))
            await socket.send(ask("ticker", "BTC-USD"))
            frames = await until(
                socket,
                lambda f: len(of(f, "l2_data")) > 80 and len(of(f, "heartbeats")) > 1,
            )
            numbers = [int(frame["sequence_num"]) for frame in frames]
            assert numbers == list(range(len(frames)))
            keys = ["channel", "client_id", "timestamp", "sequence_num", "events"]
            assert all(list(frame) == keys for frame in frames)
            first = next(f for f in of(frames, "l2_data"))
            assert frames.index(first) < frames.index(
                next(f for f in of(frames, "subscriptions") if "level2" in str(f["events"]))
            )
            built = {"BTC-USD": NaiveBook(), "ETH-USD": NaiveBook()}
            for frame in of(frames, "l2_data"):
                name = frame["events"][0]["product_id"]
                apply(built[name], frame)
                time_ns = pd.Timestamp(frame["timestamp"]).value
                true = exchange.true_book(name, time_ns=time_ns)
                assert (built[name].bids, built[name].asks) == levels(true)
            assert any(not f["events"][0]["updates"] for f in of(frames, "l2_data"))
            beats = [int(f["events"][0]["heartbeat_counter"]) for f in of(frames, "heartbeats")]
            assert beats[1] == beats[0] + 1

    run(test())


def test_trades_are_newest_first_and_tell_the_makers_side():
    async def test():
        exchange = market(rate=300)
        async with session(exchange) as socket:
            await socket.send(ask("market_trades", "BTC-USD"))
            frames = await until(socket, lambda f: len(of(f, "market_trades")) > 8)
            rows = [
                row
                for frame in of(frames, "market_trades")[1:]
                for row in frame["events"][0]["trades"]
            ]
            batch = of(frames, "market_trades")[3]["events"][0]["trades"]
            ids = [int(row["trade_id"]) for row in batch]
            assert len(ids) > 1
            assert ids == sorted(ids, reverse=True)
            checked = 0
            for row in rows:
                # The maker was in the book just before: on the bid if the maker bought.
                time_ns = pd.Timestamp(row["time"]).value - 1_000
                true = exchange.true_book("BTC-USD", time_ns=time_ns, levels=1)
                side = true["bids"] if row["side"] == "BUY" else true["asks"]
                checked += side[0][0] == row["price"]
            # The second trade of an instant may meet a book that the first has changed.
            assert checked > 0.6 * len(rows)
            assert {row["side"] for row in rows} == {"BUY", "SELL"}

    run(test())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ask("level2", "FOO-USD"), "FOO-USD is not a valid product"),
        (ask("level9", "BTC-USD"), "level9 is not a valid channel"),
        (ask("level2"), "product_ids is required"),
        ("nonsense", "failure to parse message"),
    ],
)
def test_what_cannot_be_had_is_an_error(request_, message):
    async def test():
        async with session(market()) as socket:
            await socket.send(request_)
            assert (await until(socket, lambda f: f)) == [{"type": "error", "message": message}]

    run(test())


def test_usdc_is_routed_to_usd():
    async def test():
        async with session(market()) as socket:
            await socket.send(ask("level2", "BTC-USDC"))
            frames = await until(socket, lambda f: len(of(f, "l2_data")) > 2)
            assert {f["events"][0]["product_id"] for f in of(frames, "l2_data")} == {"BTC-USD"}

    run(test())


def test_too_many_books_on_a_connection_are_refused():
    names = [f"C{chr(65 + i)}/USD" for i in range(17)]

    async def test():
        async with session(market(names, book_levels=20)) as socket:
            await socket.send(ask("level2", *[name.replace("/", "-") for name in names]))
            (error,) = await until(socket, lambda f: f)
            assert error["message"] == "too many L2 streams requested in a single session"

    run(test())


def test_whoever_subscribes_to_nothing_is_disconnected(monkeypatch):
    monkeypatch.setattr("mdkit.exchange.venues.coinbase.dialect._SUBSCRIBE_WITHIN", 0.1)
    monkeypatch.setattr(CoinbaseDialect, "beat_every", 0.05)

    async def test():
        async with session(market()) as socket:
            with pytest.raises(ConnectionClosed, match="no subscription"):
                await until(socket, lambda f: False)

    run(test())


def test_a_snapshot_may_have_five_megabytes():
    async def test():
        exchange = market(faults=())
        async with session(exchange) as socket:
            exchange.inject("large_snapshot", size=5_000_000)
            await socket.send(ask("level2", "BTC-USD"))
            frame = await socket.recv()
            assert 4_000_000 < len(frame) < 6_500_000
            assert json.loads(frame)["events"][0]["type"] == "snapshot"

    run(test())


def test_candles_come_newest_first_within_their_range():
    async def test():
        async with market() as exchange:
            now = exchange.statistics()["clock_ms"] // 1000
            params = {"granularity": "FIVE_MINUTE", "start": now - 3000, "end": now}
            body = (await get(exchange, f"{PRODUCTS}/BTC-USD/candles", **params)).json()
            starts = [int(row["start"]) for row in body["candles"]]
            assert starts == sorted(starts, reverse=True)
            assert len(starts) >= 9
            assert all(now - 3000 <= start <= now and start % 300 == 0 for start in starts)
            for row in body["candles"]:
                assert list(row) == ["start", "low", "high", "open", "close", "volume"]
                assert float(row["low"]) <= float(row["open"]) <= float(row["high"])
            params["start"] = now - 351 * 300
            refused = await get(exchange, f"{PRODUCTS}/BTC-USD/candles", **params)
            assert refused.status_code == 400
            assert "less than 350" in refused.json()["error_details"]
            listed = (await get(exchange, PRODUCTS)).json()
            assert [row["product_id"] for row in listed["products"]] == ["BTC-USD"]
            assert (await get(exchange, f"{PRODUCTS}/FOO-USD")).status_code == 404

    run(test())
