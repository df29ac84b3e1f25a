"""Binance's dialects, checked by naive clients against the rules of the venue."""

from __future__ import annotations

import itertools
import json

import pytest
from exchange_clients import run
from exchange_clients import until as eventually
from venue_clients import NaiveBook, get, levels, session, texts, until
from websockets.exceptions import ConnectionClosed

from mdkit.exchange import Exchange

pytestmark = pytest.mark.outer

DEPTH = "/api/v3/depth"


def market(venue="binance", **options):
    return Exchange(options.pop("symbols", ["BTC/USD"]), venue=venue, process=False, **options)


def ask(method, *params, number=1):
    return json.dumps({"method": method, "params": list(params), "id": number})


def of(frames, stream):
    return [frame["data"] for frame in frames if frame.get("stream") == stream]


def splice(diffs, snapshot):
    """Return the diffs that follow a snapshot by spot's rule, checking every range."""
    at = int(snapshot["lastUpdateId"])
    kept = [diff for diff in diffs if int(diff["u"]) > at]
    assert int(kept[0]["U"]) <= at + 1 <= int(kept[0]["u"])
    for before, diff in itertools.pairwise(kept):
        assert int(diff["U"]) == int(before["u"]) + 1
    return kept


async def diffs_and_snapshot(socket, exchange, stream, enough=30, **params):
    """Return diffs from before and after a snapshot, as a client collects them."""
    frames = await until(socket, lambda f: len(of(f, stream)) > 2)
    answer = await get(exchange, DEPTH, symbol="BTCUSDT", limit=params.pop("limit", 1000))
    frames += await until(socket, lambda f: len(of(f, stream)) > enough)
    return frames, texts(answer.text)


@pytest.mark.parametrize("venue", ["binance", "binance.us"])
def test_a_book_of_snapshot_and_diffs_is_the_true_one_and_agrees_with_the_quotes(venue):
    async def test():
        exchange = market(venue, rate=300)
        path = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@depth20@100ms"
        async with session(exchange, path) as socket:
            frames, snapshot = await diffs_and_snapshot(socket, exchange, "btcusdt@depth@100ms")
            assert list(snapshot) == ["lastUpdateId", "bids", "asks"]
            assert len(snapshot["bids"]) == len(snapshot["asks"]) == 1000
            quotes = {quote["u"]: quote for quote in of(frames, "btcusdt@bookTicker")}
            partial = {p["lastUpdateId"]: p for p in of(frames, "btcusdt@depth20@100ms")}
            built, compared = NaiveBook(), 0
            built.replace(snapshot["bids"], snapshot["asks"])
            for diff in splice(of(frames, "btcusdt@depth@100ms"), snapshot):
                built.apply(diff["b"], diff["a"])
                assert not built.crossed
                true = exchange.true_book("BTC/USD", update_id=int(diff["u"]))
                assert true["update_id"] == int(diff["u"])
                assert (built.bids, built.asks) == levels(true)
                if quote := quotes.get(diff["u"]):
                    assert built.bids[0] == (quote["b"], quote["B"])
                    assert built.asks[0] == (quote["a"], quote["A"])
                    compared += 1
                if top := partial.get(diff["u"]):
                    assert [list(level) for level in built.bids[:20]] == top["bids"]
                    assert [list(level) for level in built.asks[:20]] == top["asks"]
                    compared += 1
            assert compared > 10

    run(test())


def test_frames_have_the_fields_of_the_venue_in_its_order():
    fields = {
        "depth@100ms": ["e", "E", "s", "U", "u", "b", "a"],
        "bookTicker": ["u", "s", "b", "B", "a", "A"],
        "trade": ["e", "E", "s", "t", "p", "q", "T", "m", "M"],
        "aggTrade": ["e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"],
        "depth5@100ms": ["lastUpdateId", "bids", "asks"],
        "miniTicker": ["e", "E", "s", "c", "o", "h", "l", "v", "q"],
    }

    async def test():
        path = "/stream?streams=" + "/".join(f"btcusdt@{name}" for name in fields)
        async with session(market(), path) as socket:
            streams = [f"btcusdt@{name}" for name in fields]
            frames = await until(socket, lambda f: all(of(f, stream) for stream in streams))
            for frame in frames:
                assert list(frame) == ["stream", "data"]
                assert list(frame["data"]) == fields[frame["stream"].partition("@")[2]]
            price, size = of(frames, streams[0])[0]["b"][0]
            assert len(price.partition(".")[2]) == len(size.partition(".")[2]) == 8

    run(test())


def test_raw_sockets_carry_events_without_a_wrapper():
    async def test():
        async with session(market(), "/ws/btcusdt@depth@100ms") as socket:
            frames = await until(socket, lambda f: len(f) > 3)
            assert all(frame["e"] == "depthUpdate" for frame in frames)

    run(test())


def test_subscriptions_are_acknowledged_and_unknown_streams_too():
    async def test():
        async with session(market(), "/stream") as socket:
            names = ["btcusdt@bookTicker", "btcusdt@depth@100mss", "foousdt@depth", "BTCUSDT@trade"]
            await socket.send(ask("SUBSCRIBE", *names, number=5))
            frames = await until(socket, lambda f: len(of(f, names[0])) > 50)
            acks = [frame for frame in frames if "result" in frame]
            assert acks == [{"result": None, "id": "5"}]
            assert all(frame.get("stream", names[0]) == names[0] for frame in frames)
            await socket.send(ask("LIST_SUBSCRIPTIONS", number=6))
            frames = await until(socket, lambda f: any(frame.get("id") == "6" for frame in f))
            assert frames[-1]["result"] == names
            await socket.send(ask("UNSUBSCRIBE", names[0], number=7))
            await until(socket, lambda f: any(frame.get("id") == "7" for frame in f))
            await socket.send(ask("LIST_SUBSCRIPTIONS", number=8))
            assert (await until(socket, lambda f: f))[0] == {"result": names[1:], "id": "8"}

    run(test())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", "3"),
        ("[]", "2"),
        (ask("DANCE"), "2"),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', "2"),
    ],
)
def test_what_is_no_request_gets_an_error(text, code):
    async def test():
        async with session(market(), "/ws") as socket:
            await socket.send(text)
            (answer,) = await until(socket, lambda f: f)
            assert answer["code"] == code
            assert answer["msg"].startswith("Invalid")

    run(test())


def test_the_maker_flag_is_true_where_the_aggressor_sells():
    async def test():
        path = "/stream?streams=btcusdt@trade/btcusdt@bookTicker"
        async with session(market(rate=300), path) as socket:
            frames = await until(socket, lambda f: len(of(f, "btcusdt@trade")) > 60)
            quote, checked = None, 0
            for frame in frames:
                if frame["stream"] == "btcusdt@bookTicker":
                    quote = frame["data"]
                elif quote is not None:
                    trade = frame["data"]
                    # The first trade after a quote meets what was quoted.
                    assert trade["p"] == (quote["b"] if trade["m"] else quote["a"])
                    quote, checked = None, checked + 1
            assert checked > 20
            ids = [int(trade["t"]) for trade in of(frames, "btcusdt@trade")]
            assert ids == list(range(ids[0], ids[0] + len(ids)))

    run(test())


def test_the_server_pings_with_the_time_and_wants_it_back():
    async def test():
        async with session(market(keepalive=0.2), "/ws") as socket:
            pings = []
            recv_frame = socket.protocol.recv_frame

            def watched(frame):
                if frame.opcode == 9:
                    pings.append(bytes(frame.data))
                recv_frame(frame)

            socket.protocol.recv_frame = watched
            await eventually(lambda: len(pings) >= 3)
            assert all(len(payload) == 13 and payload.isdigit() for payload in pings)
            await socket.send(ask("LIST_SUBSCRIPTIONS"))
            await until(socket, lambda f: f)

    run(test())


def test_six_messages_in_a_second_end_the_connection():
    async def test():
        async with session(market(), "/ws") as socket:
            for number in range(6):
                await socket.send(ask("LIST_SUBSCRIPTIONS", number=number))
            with pytest.raises(ConnectionClosed) as closed:
                await until(socket, lambda f: False)
            assert closed.value.rcvd.code == 1008

    run(test())


def test_more_than_1024_streams_end_the_connection():
    async def test():
        async with session(market(), "/ws") as socket:
            await socket.send(ask("SUBSCRIBE", *(f"x{i}@trade" for i in range(1025))))
            with pytest.raises(ConnectionClosed, match="1024"):
                await until(socket, lambda f: False)

    run(test())


@pytest.mark.parametrize("path", ["/ws/btcusdt@trade", "/stream?streams=btcusdt@trade"])
def test_a_planned_stop_is_announced(path):
    async def test():
        exchange = market()
        async with session(exchange, path) as socket:
            await until(socket, lambda f: f)
            exchange.inject("shutdown_notice", notice=0.05)
            frames = [texts(frame) async for frame in socket]
            assert socket.close_code == 1001
            told = [frame.get("data", frame) for frame in frames]
            (notice,) = [event for event in told if event["e"] == "serverShutdown"]
            assert list(notice) == ["e", "E"]

    run(test())


def test_klines_page_forwards_and_end_with_the_running_bar():
    async def test():
        async with market() as exchange:

            async def rows(**params):
                answer = await get(exchange, "/api/v3/klines", symbol="BTCUSDT", **params)
                assert answer.status_code == 200
                return answer.json()

            listed = await rows(interval="1d", startTime=0, limit=1000)
            assert len(listed) == 1000
            assert listed[0][0] == 1502928000000
            following = await rows(interval="1d", startTime=listed[-1][0] + 1, limit=2)
            assert following[0][0] == listed[-1][0] + 86_400_000
            before = exchange.statistics()["clock_ms"]
            latest = await rows(interval="1m")
            assert len(latest) == 500
            now = exchange.statistics()["clock_ms"]
            assert latest[-1][0] <= now
            assert before <= latest[-1][6]
            assert latest[-1][6] == latest[-1][0] + 59_999
            for row in latest:
                assert len(row) == 12
                open_, high, low, close = map(float, row[1:5])
                assert low <= min(open_, close) <= max(open_, close) <= high
            ended = await rows(interval="1m", endTime=latest[100][0])
            assert ended[-1] == latest[100]
            assert (await rows(interval="1m", startTime=latest[3][0] - 5, limit=2)) == latest[3:5]
            for interval, step in (("3m", 3), ("6h", 360), ("12h", 720), ("3d", 4320)):
                some = await rows(interval=interval, limit=3)
                times = [row[0] for row in some]
                assert [time % (step * 60_000) for time in times] == [0, 0, 0]
                assert times[2] - times[1] == times[1] - times[0] == step * 60_000
                assert times[-1] <= exchange.statistics()["clock_ms"]
                assert now <= some[-1][6]

    run(test())


def test_rest_errors_have_the_venues_codes():
    async def test():
        async with market() as exchange:
            for path, params, code in [
                (DEPTH, {"symbol": "FOOUSDT"}, -1121),
                (DEPTH, {}, -1102),
                (DEPTH, {"symbol": "BTCUSDT", "limit": "many"}, -1100),
                ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
                ("/api/v3/klines", {"symbol": "BTCUSDT"}, -1102),
            ]:
                answer = await get(exchange, path, **params)
                assert (answer.status_code, answer.json()["code"]) == (400, code)
            assert (await get(exchange, "/api/v3/nonsense")).status_code == 404

    run(test())


def test_the_budget_of_request_weight_ends_in_429_with_a_time_to_wait():
    async def test():
        async with market() as exchange:
            for _ in range(60):
                answer = await get(exchange, DEPTH, symbol="BTCUSDT", limit=5000)
                if answer.status_code == 429:
                    break
            assert answer.status_code == 429
            assert answer.json()["code"] == -1003
            assert 0 < int(answer.headers["Retry-After"]) <= 60
            assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) > 6000

    run(test())


def test_symbols_time_and_the_book_by_limits():
    async def test():
        async with market(symbols=["BTCUSDT", "ETH/USDT"], book_levels=1500) as exchange:
            info = (await get(exchange, "/api/v3/exchangeInfo")).json()
            assert [row["symbol"] for row in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
            assert info["rateLimits"][0]["limit"] == 6000
            assert (await get(exchange, "/api/v3/time")).json()["serverTime"] > 0
            for limit, expected in ((5, 5), (100, 100), (1000, 1000), (5000, 1500)):
                body = (await get(exchange, DEPTH, symbol="BTCUSDT", limit=limit)).json()
                assert len(body["bids"]) == len(body["asks"]) == expected

    run(test())
