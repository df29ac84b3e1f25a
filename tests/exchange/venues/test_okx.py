"""OKX's dialect: chained books, text pings, and candles that are read backwards."""

from __future__ import annotations

import asyncio
import json

import pytest
from exchange_clients import run
from venue_clients import NaiveBook, get, levels, session, texts, until
from websockets.exceptions import ConnectionClosed

from mdkit.exchange import Exchange
from mdkit.exchange.venues.okx.dialect import OkxDialect

pytestmark = pytest.mark.outer

BARS = "/api/v5/market/candles"
OLD_BARS = "/api/v5/market/history-candles"


def market(**options):
    return Exchange(["BTC/USD"], venue="okx", process=False, **options)


def ask(channel, name="BTC-USDT", op="subscribe", **more):
    return json.dumps({**more, "op": op, "args": [{"channel": channel, "instId": name}]})


def of(frames, channel):
    return [
        frame
        for frame in frames
        if frame.get("arg", {}).get("channel") == channel and "data" in frame
    ]


def pairs(rows):
    return [(row[0], row[1]) for row in rows]


class ChainedBook:
    """Follows the chain of `seqId`; counts keep-alives and restarts, refuses what breaks it."""

    def __init__(self):
        self.book, self.last, self.empty, self.restarts = NaiveBook(), None, 0, 0

    def take(self, frame):
        (data,) = frame["data"]
        before, last = int(data["prevSeqId"]), int(data["seqId"])
        if frame["action"] == "snapshot":
            assert before == -1
            self.book.replace(pairs(data["bids"]), pairs(data["asks"]))
        else:
            assert before == self.last
            self.empty += last == before
            self.restarts += last < before
            if last == before:
                assert data["bids"] == data["asks"] == []
            self.book.apply(pairs(data["bids"]), pairs(data["asks"]))
        self.last = last
        assert data["checksum"] == "0"


def test_the_chain_holds_and_the_book_is_the_true_one():
    async def test():
        exchange = market(rate=300)
        async with session(exchange) as socket:
            await socket.send(ask("books", id="1"))
            frames = await until(socket, lambda f: len(of(f, "books")) > 25)
            ack = frames[0]
            assert (ack["id"], ack["event"]) == ("1", "subscribe")
            assert ack["arg"] == {"channel": "books", "instId": "BTC-USDT"}
            client = ChainedBook()
            for frame in of(frames, "books"):
                client.take(frame)
                assert not client.book.crossed
                true = exchange.true_book("BTC/USD", update_id=client.last)
                assert (client.book.bids, client.book.asks) == levels(true, 400)
            fields = ["asks", "bids", "ts", "checksum", "seqId", "prevSeqId"]
            assert list(frame["data"][0]) == fields
            assert [len(row) for row in frame["data"][0]["bids"][:2]] == [4, 4]

    run(test())


def test_later_subscribers_begin_with_a_snapshot_that_the_next_update_follows():
    async def test():
        exchange = market(rate=300)
        async with session(exchange) as first:
            await first.send(ask("books"))
            await until(first, lambda f: len(of(f, "books")) > 3)
            from websockets.asyncio.client import connect

            async with connect(exchange.ws_url, compression=None, max_size=None) as second:
                await second.send(ask("books"))
                frames = await until(second, lambda f: len(of(f, "books")) > 10)
                client = ChainedBook()
                for frame in of(frames, "books"):
                    client.take(frame)
            await until(first, lambda f: len(of(f, "books")) > 3)

    run(test())


def test_keep_alives_and_restarts_of_the_numbers_leave_the_chain_whole():
    async def test():
        exchange = market(rate=300)
        async with session(exchange) as socket:
            await socket.send(ask("books"))
            frames = await until(socket, lambda f: len(of(f, "books")) > 3)
            exchange.inject("empty_diff", symbol="BTC/USD")
            exchange.inject("restarted_ids")
            frames += await until(socket, lambda f: len(of(f, "books")) > 5)
            client = ChainedBook()
            for frame in of(frames, "books"):
                client.take(frame)
            assert (client.empty, client.restarts) == (1, 1)
            true = exchange.true_book("BTC/USD", update_id=client.last)
            assert (client.book.bids, client.book.asks) == levels(true, 400)

    run(test())


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (ask("books", "FOO-USDT"), "60018"),
        (ask("nonsense"), "60018"),
        (ask("books-l2-tbt"), "64003"),
        (ask("books", op="dance"), "60012"),
        ("nonsense", "60012"),
    ],
)
def test_what_cannot_be_had_is_an_error_with_the_venues_code(request_, code):
    async def test():
        async with session(market()) as socket:
            await socket.send(request_)
            (error,) = await until(socket, lambda f: f)
            assert (error["event"], error["code"]) == ("error", code)

    run(test())


def test_text_pings_are_answered_and_a_silent_connection_is_closed(monkeypatch):
    monkeypatch.setattr("mdkit.exchange.venues.okx.dialect._SILENT_FOR", 0.3)
    monkeypatch.setattr(OkxDialect, "beat_every", 0.05)

    async def test():
        async with session(market()) as socket:
            await socket.send("ping")
            assert await socket.recv() == "pong"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 4004

    run(test())


def test_a_planned_stop_is_announced_with_64008():
    async def test():
        exchange = market()
        async with session(exchange) as socket:
            await socket.send(ask("tickers"))
            await until(socket, lambda f: of(f, "tickers"))
            exchange.inject("shutdown_notice", notice=0.05)
            frames = [texts(frame) async for frame in socket]
            (notice,) = [frame for frame in frames if frame.get("event") == "notice"]
            assert notice["code"] == "64008"

    run(test())


def test_trades_tell_the_takers_side_and_top_channels_the_true_best_levels():
    async def test():
        exchange = market(rate=300)
        async with session(exchange) as socket:
            for channel in ("trades", "books5", "bbo-tbt", "tickers"):
                await socket.send(ask(channel))
            channels = ("trades", "books5", "bbo-tbt", "tickers")
            frames = await until(
                socket, lambda f: all(len(of(f, channel)) > 8 for channel in channels)
            )
            rows = [frame["data"][0] for frame in of(frames, "trades")]
            assert {row["side"] for row in rows} == {"buy", "sell"}
            for row in rows:
                true = exchange.true_book("BTC-USDT", update_id=int(row["seqId"]))
                side = true["asks"] if row["side"] == "buy" else true["bids"]
                assert row["px"] in (side[0][0], side[1][0])
            for frame in of(frames, "books5"):
                (top,) = frame["data"]
                true = exchange.true_book("BTC-USDT", update_id=int(top["seqId"]))
                assert (pairs(top["bids"]), pairs(top["asks"])) == levels(true, 5)
            assert len(of(frames, "bbo-tbt")[0]["data"][0]["asks"]) == 1

    run(test())


def test_candles_are_newest_first_and_days_begin_in_utc_8_unless_asked():
    async def test():
        async with market() as exchange:

            async def rows(path=BARS, **params):
                body = (await get(exchange, path, instId="BTC-USDT", **params)).json()
                assert body["code"] == "0"
                return body["data"]

            minutes = await rows(bar="1m")
            times = [int(row[0]) for row in minutes]
            assert len(minutes) == 100
            assert times == sorted(times, reverse=True)
            assert [row[8] for row in minutes] == ["0"] + ["1"] * 99
            older = await rows(bar="1m", after=times[-1], limit=3)
            assert int(older[0][0]) == times[-1] - 60_000
            newer = await rows(bar="1m", before=times[5])
            assert [int(row[0]) for row in newer][-5:] == times[:5]
            day, eight = 86_400_000, 8 * 3_600_000
            assert {int(row[0]) % day for row in await rows(bar="1Dutc", limit=5)} == {0}
            assert {int(row[0]) % day for row in await rows(bar="1D", limit=5)} == {day - eight}
            (week,) = await rows(bar="1W", limit=1)
            assert (int(week[0]) + eight) // day % 7 == 4  # 1970-01-05 was a Monday
            assert not await rows(bar="1m", after=times[0] - 1500 * 60_000)
            old = await rows(OLD_BARS, bar="1Dutc", after=1_600_000_000_000, limit=2)
            assert [row[8] for row in old] == ["1", "1"]
            assert int(old[0][0]) - int(old[1][0]) == day

    run(test())


def test_refusals_by_rest_come_with_http_200_and_a_code():
    async def test():
        async with market() as exchange:
            for params, code in [
                ({"instId": "FOO-USDT"}, "51001"),
                ({}, "50014"),
                ({"instId": "BTC-USDT", "bar": "7m"}, "51000"),
            ]:
                answer = await get(exchange, BARS, **params)
                assert (answer.status_code, answer.json()["code"]) == (200, code)
            listed = (await get(exchange, "/api/v5/public/instruments", instType="SPOT")).json()
            assert [row["instId"] for row in listed["data"]] == ["BTC-USDT"]

    run(test())


def test_480_commands_an_hour_are_the_most_and_pings_do_not_count():
    async def test():
        async with session(market()) as socket:
            for _ in range(490):
                await socket.send("ping")
            for _ in range(481):
                await socket.send(ask("nonsense"))
            answers = []
            async with asyncio.timeout(30):
                while '"60014"' not in str(answers[-1:]):
                    answers.append(await socket.recv())
            assert answers.count("pong") == 490

    run(test())
