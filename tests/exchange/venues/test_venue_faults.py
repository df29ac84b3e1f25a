"""What goes wrong on request in the dialects of venues."""

from __future__ import annotations

import itertools
import json
import time

import pytest
from exchange_clients import run
from kraken_frames import ask, book, follow, of
from venue_clients import get, session, texts, until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mdkit.errors import SettingsError
from mdkit.exchange import VENUE_FAULTS, VENUES, Exchange, Fault, configure, faults_of

pytestmark = pytest.mark.outer

PUBLIC = [venue for venue in VENUES if venue != "tickdb"]
SUBSCRIBE = {
    "kraken": ("", book()),
    "binance": ("/ws", '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}'),
    "binance.us": ("/ws", '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}'),
    "binance.futures": (
        "/public/ws",
        '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}',
    ),
    "coinbase": ("", '{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}'),
    "hyperliquid": (
        "",
        '{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC"}}',
    ),
    "okx": ("", '{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}'),
}
BOOKS = {
    "kraken": '"channel":"book","type"',
    "binance": '"e":"depthUpdate"',
    "binance.us": '"e":"depthUpdate"',
    "binance.futures": '"e":"depthUpdate"',
    "coinbase": '"channel":"l2_data"',
    "hyperliquid": '"channel":"l2Book"',
    "okx": '"seqId"',
}


def market(venue, **options):
    return Exchange(["BTC/USD"], venue=venue, process=False, **options)


async def books(socket, venue, number):
    """Return the texts of so many frames of the book."""
    found = []
    while len(found) < number:
        text = await socket.recv()
        if BOOKS[venue] in text:
            found.append(text)
    return found


@pytest.mark.parametrize("venue", PUBLIC)
@pytest.mark.parametrize("kind", ["repeated_diff", "reordered_diff", "lost_diff"])
def test_frames_of_a_book_are_lost_repeated_or_reordered(venue, kind):
    async def test():
        exchange = market(venue, rate=300)
        path, request = SUBSCRIBE[venue]
        async with session(exchange, path) as socket:
            await socket.send(request)
            # Behind the first frame Coinbase numbers its acknowledgement.
            found = (await books(socket, venue, 2))[1:]
            exchange.inject(kind, symbol="BTC/USD")
            found += await books(socket, venue, 6)
            pairs = list(itertools.pairwise(found))
            if kind == "repeated_diff":
                assert sum(a == b for a, b in pairs) == 1
                return
            order = [place(venue, text) for text in found]
            steps = [follows(venue, a, b) for a, b in pairs]
            assert steps.count(False) >= 1
            if kind == "lost_diff":
                assert order == sorted(order)
            else:
                assert order != sorted(order)

    run(test())


def place(venue, text):
    """Return what orders a frame among others; times where there is no number."""
    body = texts(text)
    if venue.startswith("binance"):
        return int(body["u"])
    if venue == "coinbase":
        return int(body["sequence_num"])
    if venue == "okx":
        return int(body["data"][0]["seqId"])
    if venue == "kraken":
        return body["data"][0]["timestamp"]
    return int(body["data"]["time"])


def follows(venue, before, after):
    """Return whether a frame follows another by the venue's rule (Hyperliquid: by its pace)."""
    one, two = texts(before), texts(after)
    if venue == "binance.futures":
        return two["pu"] == one["u"]
    if venue.startswith("binance"):
        return int(two["U"]) == int(one["u"]) + 1
    if venue == "coinbase":
        return int(two["sequence_num"]) == int(one["sequence_num"]) + 1
    if venue == "okx":
        return two["data"][0]["prevSeqId"] == one["data"][0]["seqId"]
    if venue == "hyperliquid":
        return int(two["data"]["time"]) - int(one["data"]["time"]) == 500
    return False  # Kraken: only the checksum tells


@pytest.mark.parametrize("kind", ["lost_diff", "reordered_diff", "wrong_checksum"])
def test_krakens_checksums_tell_of_it(kind):
    async def test():
        exchange = market("kraken", rate=300)
        async with session(exchange) as socket:
            await socket.send(book())
            frames = await until(socket, lambda f: len(of(f, "book")) > 5)
            assert follow(frames, 10)[2] == 0
            exchange.inject(kind, count=1)
            frames += await until(socket, lambda f: len(of(f, "book")) > 5)
            assert follow(frames, 10)[2] >= 1
            if kind == "wrong_checksum":
                assert follow(frames, 10)[2] == 1

    run(test())


@pytest.mark.parametrize("venue", PUBLIC)
def test_a_subscription_is_refused_then_granted_or_acknowledged_and_silent(venue):
    refusals = ('"success":false', '"code":', '"type":"error"', '"channel":"error"')

    async def test():
        exchange = market(venue)
        path, request = SUBSCRIBE[venue]
        async with session(exchange, path) as socket:
            exchange.inject("refused_subscription", symbol="BTC/USD", reason="not today")
            await socket.send(request)
            text = ""
            while "not today" not in text:
                text = await socket.recv()
                assert BOOKS[venue] not in text
            assert any(sign in text for sign in refusals)
            await socket.send(request)
            await books(socket, venue, 2)
        exchange = market(venue)
        async with session(exchange, path) as socket:
            exchange.inject("silent_subscription")
            await socket.send(request)
            async with connect(exchange.ws_url + path, compression=None, max_size=None) as other:
                await other.send(request)
                await books(other, venue, 5)
            exchange.inject("disconnect", code=1000)
            got = [text async for text in socket]
            assert any("BTC" in text.upper() or '"id":1' in text for text in got)
            assert not any(BOOKS[venue] in text for text in got)

    run(test())


@pytest.mark.parametrize("venue", ["binance", "binance.futures"])
def test_a_snapshot_is_stale_or_late(venue):
    prefix = "/fapi/v1/depth" if venue.endswith("futures") else "/api/v3/depth"
    path, request = SUBSCRIBE[venue]

    async def test():
        exchange = market(venue, rate=300)
        async with session(exchange, path) as socket:
            await socket.send(request)
            first = texts((await books(socket, venue, 1))[0])
            await books(socket, venue, 4)
            exchange.inject("stale_snapshot", seconds=60)
            stale = (await get(exchange, prefix, symbol="BTCUSDT", limit=1000)).json()
            assert stale["lastUpdateId"] < int(first["u"])
            true = exchange.true_book("BTC/USD", update_id=stale["lastUpdateId"])
            assert stale["bids"] == [list(level) for level in true["bids"]]
            fresh = (await get(exchange, prefix, symbol="BTCUSDT", limit=1000)).json()
            assert fresh["lastUpdateId"] > int(first["u"])
            exchange.inject("late_snapshot", pause=0.4)
            began = time.monotonic()
            late = (await get(exchange, prefix, symbol="BTCUSDT", limit=1000)).json()
            assert time.monotonic() - began >= 0.4
            assert exchange.true_book("BTC/USD")["update_id"] > late["lastUpdateId"]

    run(test())


@pytest.mark.parametrize("venue", PUBLIC)
def test_connections_are_cut_at_an_age(venue):
    path, request = SUBSCRIBE[venue]

    async def test():
        exchange = market(venue)
        async with session(exchange, path) as socket:
            await socket.send(request)
            await books(socket, venue, 1)
            exchange.inject("age_limit", seconds=0.1)
            with pytest.raises(ConnectionClosed) as closed:
                await books(socket, venue, 10_000)
            assert closed.value.rcvd.code == 1001

    run(test())


def test_binance_cuts_connections_after_24_hours_by_itself():
    async def test():
        async with market("binance") as exchange:
            assert exchange._server.venue.max_age == 86_400

    run(test())


@pytest.mark.parametrize("venue", ["kraken", "binance", "okx", "coinbase", "hyperliquid"])
def test_the_venues_own_book_is_crossed_for_some_updates(venue):
    async def test():
        exchange = market(venue, rate=300)
        path, request = SUBSCRIBE[venue]
        async with session(exchange, path) as socket:
            await socket.send(request)
            await books(socket, venue, 2)
            for count, wanted in ((3000, True), (1, False)):
                exchange.inject("crossed_book", count=count)
                for _ in range(1000):  # some that are read now were sent before
                    await books(socket, venue, 1)
                    if is_crossed(exchange.true_book("BTC/USD")) == wanted:
                        break
                else:
                    raise AssertionError(f"never crossed={wanted}")

    run(test())


def is_crossed(book):
    return float(book["bids"][0][0]) > float(book["asks"][0][0])


@pytest.mark.parametrize("status", [451, 403])
def test_whoever_is_blocked_gets_451_everywhere(status):
    async def test():
        async with market("binance") as exchange:
            exchange.inject("blocked", duration=60, status=status)
            answer = await get(exchange, "/api/v3/time")
            assert answer.status_code == status
            assert "restricted location" in answer.json()["msg"]
            with pytest.raises(InvalidStatus) as refused:
                await connect(exchange.ws_url + "/ws")
            assert refused.value.response.status_code == status

    run(test())


@pytest.mark.parametrize("venue", PUBLIC)
def test_every_kind_can_be_injected_before_anybody_has_come(venue):
    async def test():
        async with market(venue) as exchange:
            for kind in faults_of(venue):
                exchange.inject(kind, duration=0.01, count=1)
            assert set(exchange.statistics()["faults"]) == set(faults_of(venue))

    run(test())


def test_malformed_frames_are_of_the_venues_kind():
    async def test():
        exchange = market("kraken")
        async with session(exchange) as socket:
            await socket.send(ask(channel="trade", symbol=["BTC/USD"]))
            await until(socket, lambda f: of(f, "trade"))
            exchange.inject("malformed", count=60)
            broken = []
            while len(broken) < 20:
                text = await socket.recv()
                try:
                    if not isinstance(json.loads(text), dict) or "nonsense" in text:
                        broken.append(text)
                except (ValueError, RecursionError):
                    broken.append(text)
            assert any('"channel":"book"' in text for text in broken)

    run(test())


def test_a_fault_that_a_venue_does_not_know_is_refused():
    with pytest.raises(SettingsError, match="has no meaning at binance"):
        configure(["BTC/USD"], venue="binance", faults=[Fault("wrong_checksum")])
    with pytest.raises(SettingsError, match="has no meaning at tickdb"):
        configure(faults=[Fault("lost_diff")])
    with pytest.raises(SettingsError, match="451 do"):
        configure(["BTC/USD"], venue="okx", faults=[Fault("blocked", params={"status": 200})])


def test_every_kind_is_known_by_some_venue_and_described():
    for name, kind in VENUE_FAULTS.items():
        assert kind.description
        assert set(kind.venues) <= set(PUBLIC), name
        assert kind.venues


@pytest.mark.parametrize("venue", ["coinbase", "okx"])
def test_what_a_stall_swallows_leaves_a_hole_in_the_numbers(venue):
    path, request = SUBSCRIBE[venue]

    async def test():
        exchange = market(venue, rate=300)
        async with session(exchange, path) as socket:
            await socket.send(request)
            before = (await books(socket, venue, 3))[1:]
            exchange.inject("stall", duration=0.4)
            after = await books(socket, venue, 20)
            found = [*before, *after]
            assert [follows(venue, a, b) for a, b in itertools.pairwise(found)].count(False) == 1

    run(test())
