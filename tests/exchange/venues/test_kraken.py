"""Kraken's dialect, checked by a naive client against the rules of the venue."""

from __future__ import annotations

import asyncio

import pandas as pd
import pytest
from exchange_clients import run
from kraken_frames import ask, book, follow, of, pairs
from venue_clients import NaiveBook, crc, get, levels, session, until
from websockets.exceptions import ConnectionClosed

from mdkit.exchange import Exchange

pytestmark = pytest.mark.outer

# The example of Kraken's own guide to the book checksum.
DOC_ASKS = [
    ("45285.2", "0.00100000"),
    ("45286.4", "1.54571953"),
    ("45286.6", "1.54571109"),
    ("45289.6", "1.54560911"),
    ("45290.2", "0.15890660"),
    ("45291.8", "1.54553491"),
    ("45294.7", "0.04454749"),
    ("45296.1", "0.35380000"),
    ("45297.5", "0.09945542"),
    ("45299.5", "0.18772827"),
]
DOC_BIDS = [
    ("45283.5", "0.10000000"),
    ("45283.4", "1.54582015"),
    ("45282.1", "0.10000000"),
    ("45281.0", "0.10000000"),
    ("45280.3", "1.54592586"),
    ("45279.0", "0.07990000"),
    ("45277.6", "0.03310103"),
    ("45277.5", "0.30000000"),
    ("45277.3", "1.54602737"),
    ("45276.6", "0.15445238"),
]


def market(**options):
    return Exchange(options.pop("symbols", ["BTC/USD"]), venue="kraken", process=False, **options)


def time_ns(frame):
    return pd.Timestamp(frame["data"][0]["timestamp"]).value


def test_the_naive_checksum_is_that_of_the_venues_guide():
    assert crc(DOC_ASKS, DOC_BIDS) == 3310070434


def test_the_exchanges_checksum_is_that_of_the_venues_guide():
    from mdkit.exchange.venues.kraken.streams import checksum

    def whole(rows):
        return [(int(p.replace(".", "")), int(q.replace(".", ""))) for p, q in rows]

    assert checksum(whole(DOC_ASKS), whole(DOC_BIDS), 1) == 3310070434


@pytest.mark.parametrize("depth", [10, 25, 100, 500, 1000])
@pytest.mark.parametrize("symbol", ["BTC/USD", "XRP/USD"])
def test_every_checksum_matches_a_truncated_book_which_is_the_true_one(symbol, depth):
    async def test():
        exchange = market(symbols=[symbol], rate=400)
        async with session(exchange) as socket:
            await socket.send(book(symbol, depth))
            frames = await until(socket, lambda f: len(of(f, "book")) > 150)
            built, good, bad = follow(frames, depth)
            assert (good, bad) == (len(of(frames, "book")), 0)
            assert len(built.bids) == len(built.asks) == depth
            assert not built.crossed
            true = exchange.true_book(symbol, time_ns=time_ns(of(frames, "book")[-1]))
            assert (built.bids, built.asks) == levels(true, depth)

    run(test())


def test_a_book_that_is_not_truncated_fails_its_checksums():
    async def test():
        async with session(market(rate=400)) as socket:
            await socket.send(book())
            frames = await until(socket, lambda f: len(of(f, "book")) > 300)
            assert follow(frames, 10)[2] == 0
            assert follow(frames, 10_000)[2] > 0

    run(test())


def test_the_first_frames_are_status_then_an_acknowledgement_then_the_snapshot():
    async def test():
        async with session(market()) as socket:
            await socket.send(book(req_id=7))
            frames = await until(socket, lambda f: of(f, "book", "update"))
            status, ack = frames[:2]
            assert list(status) == ["channel", "type", "data"]
            assert int(status["data"][0]["connection_id"]) > 2**53
            assert ack["method"] == "subscribe"
            assert ack["req_id"] == "7"
            assert ack["success"] is True
            assert ack["result"] == {
                "channel": "book",
                "depth": "10",
                "snapshot": True,
                "symbol": "BTC/USD",
            }
            snapshot, update = of(frames, "book")[:2]
            assert snapshot["type"] == "snapshot"
            fields = ["symbol", "bids", "asks", "checksum", "timestamp"]
            assert list(snapshot["data"][0]) == list(update["data"][0]) == fields
            for row in snapshot["data"][0]["bids"]:
                assert len(row["price"].partition(".")[2]) == 1
                assert len(row["qty"].partition(".")[2]) == 8

    run(test())


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (book(depth=20), "Subscription depth not supported"),
        (book(depth="10"), "Subscription depth not supported"),
        (book("FOO/USD"), "Currency pair not supported FOO/USD"),
        (ask(channel="nonsense", symbol=["BTC/USD"]), "Unsupported channel nonsense"),
    ],
)
def test_what_cannot_be_had_is_refused_in_the_acknowledgement_and_heartbeats_go_on(request_, error):
    async def test():
        async with session(market()) as socket:
            await socket.send(ask(channel="ticker", symbol=["BTC/USD"]))
            await socket.send(request_)
            frames = await until(
                socket, lambda f: of(f, "heartbeat") and any("error" in x for x in f)
            )
            (refusal,) = [frame for frame in frames if "error" in frame]
            assert refusal["error"] == error
            assert refusal["success"] is False
            assert not of(frames, "book")

    run(test())


def test_each_symbol_is_acknowledged_by_itself():
    async def test():
        async with session(market(symbols=["BTC/USD", "ETH/USD"])) as socket:
            await socket.send(ask(channel="book", symbol=["BTC/USD", "ETH/USD", "X/Y"]))
            frames = await until(socket, lambda f: len(of(f, "book", "snapshot")) == 2)
            acks = [frame for frame in frames if frame.get("method") == "subscribe"]
            assert [ack["success"] for ack in acks] == [True, True, False]
            assert acks[2]["symbol"] == "X/Y"

    run(test())


def test_resubscribing_gives_a_new_snapshot_and_bursts_of_it_give_one():
    async def test():
        async with session(market()) as socket:
            await socket.send(book())
            await until(socket, lambda f: of(f, "book", "update"))
            for _ in range(3):
                await socket.send(ask("unsubscribe", channel="book", symbol=["BTC/USD"], depth=10))
                await socket.send(book())
            acks = lambda f: [x for x in f if x.get("method") == "subscribe"]  # noqa: E731
            frames = await until(
                socket,
                lambda f: len(acks(f)) == 3 and len(of(f[f.index(acks(f)[-1]) :], "book")) > 30,
            )
            assert len(of(frames, "book", "snapshot")) == 1
            begin = frames.index(of(frames, "book", "snapshot")[0])
            assert follow(frames[begin:], 10)[2] == 0

    run(test())


def test_trades_tell_the_takers_side():
    """A buyer who takes lifts the ask: the book before tells which side was met."""

    async def test():
        async with session(market(rate=300)) as socket:
            await socket.send(book())
            await socket.send(ask(channel="trade", symbol=["BTC/USD"]))
            frames = await until(socket, lambda f: len(of(f, "trade", "update")) > 40)
            built, checked = NaiveBook(), 0
            for frame in frames:
                if frame.get("channel") == "book":
                    data = frame["data"][0]
                    change = built.replace if frame["type"] == "snapshot" else built.apply
                    change(pairs(data["bids"]), pairs(data["asks"]))
                    built.truncate(10)
                elif frame.get("channel") == "trade" and built.bids:
                    first = frame["data"][0]
                    best = (built.asks if first["side"] == "buy" else built.bids)[0][0]
                    assert first["price"] == best
                    checked += 1
            assert checked > 30
            rows = [row for frame in of(frames, "trade") for row in frame["data"]]
            ids = [int(row["trade_id"]) for row in rows]
            assert ids == list(range(ids[0], ids[0] + len(ids)))
            assert {row["side"] for row in rows} == {"buy", "sell"}

    run(test())


def test_tickers_and_instruments_and_pings():
    async def test():
        async with session(market(symbols=["BTC/USD", "ETH/USD"])) as socket:
            await socket.send(ask(channel="ticker", symbol=["BTC/USD"]))
            await socket.send(ask(channel="instrument"))
            await socket.send('{"method":"ping","req_id":101}')
            frames = await until(socket, lambda f: len(of(f, "ticker")) > 3)
            row = of(frames, "ticker", "snapshot")[0]["data"][0]
            assert float(row["bid"]) < float(row["ask"])
            assert float(row["low"]) <= float(row["last"]) <= float(row["high"])
            listed = of(frames, "instrument")[0]["data"]["pairs"]
            assert [pair["symbol"] for pair in listed] == ["BTC/USD", "ETH/USD"]
            assert listed[0]["qty_increment"] == "1e-8"
            (pong,) = [frame for frame in frames if frame.get("method") == "pong"]
            assert pong["req_id"] == "101"

    run(test())


def test_too_many_messages_are_answered_with_an_error_and_the_socket_lives_on():
    async def test():
        async with session(market()) as socket:
            for _ in range(150):
                await socket.send('{"method":"ping"}')
            refusal = {"Error": "Exceeded msg rate"}
            assert await until(socket, lambda f: refusal in f)
            frames = [refusal]
            while not of(frames, "book", "update"):  # refused while the limit's second lasts
                await asyncio.sleep(0.05)
                await socket.send(book())
                frames = await until(socket, lambda f: refusal in f or of(f, "book", "update"))

    run(test())


def test_ohlc_has_720_bars_and_the_running_one_as_its_last_row():
    async def test():
        async with market() as exchange:
            before = exchange.statistics()["clock_ms"]
            body = (await get(exchange, "/0/public/OHLC", pair="XBTUSD", interval=1)).json()
            rows, last = body["result"]["XXBTZUSD"], body["result"]["last"]
            assert body["error"] == []
            assert len(rows) == 721
            times = [row[0] for row in rows]
            assert times == list(range(times[0], times[0] + 721 * 60, 60))
            assert last == times[-2]
            after = exchange.statistics()["clock_ms"]
            assert before // 60_000 * 60 <= times[-1] <= after // 60_000 * 60
            for _, open_, high, low, close, vwap, volume, count in rows:
                assert float(low) <= min(float(open_), float(close))
                assert float(high) >= max(float(open_), float(close))
                assert len(volume.partition(".")[2]) == 8
                assert (count == 0) == (float(volume) == 0)
                assert float(vwap) == 0 or float(low) - 0.1 <= float(vwap) <= float(high)
            later = (
                await get(exchange, "/0/public/OHLC", pair="BTC/USD", interval=1, since=times[-3])
            ).json()
            assert [row[0] for row in later["result"]["XXBTZUSD"]] == times[-3:]
            old = (await get(exchange, "/0/public/OHLC", pair="XBTUSD", since=0)).json()
            assert len(old["result"]["XXBTZUSD"]) == 721
            for params in ({"pair": "NOPE"}, {"pair": "XBTUSD", "interval": 7}):
                answer = await get(exchange, "/0/public/OHLC", **params)
                assert answer.status_code == 200
                assert answer.json()["error"]

    run(test())


def test_pairs_are_listed_with_old_and_new_names():
    async def test():
        async with market(symbols=["BTC/USD", "SOL/USD"]) as exchange:
            found = (await get(exchange, "/0/public/AssetPairs")).json()["result"]
            assert found["XXBTZUSD"]["wsname"] == "XBT/USD"
            assert found["XXBTZUSD"]["pair_decimals"] == 1
            assert found["SOLUSD"]["lot_decimals"] == 8

    run(test())


def test_a_planned_stop_is_announced():
    async def test():
        exchange = market()
        async with session(exchange) as socket:
            await until(socket, lambda f: of(f, "status"))
            exchange.inject("shutdown_notice", notice=0.05)
            frames = await until(socket, lambda f: of(f, "status"))
            assert of(frames, "status")[0]["data"][0]["system"] == "maintenance"
            with pytest.raises(ConnectionClosed) as closed:
                await until(socket, lambda f: False)
            assert closed.value.rcvd.code == 1001

    run(test())
