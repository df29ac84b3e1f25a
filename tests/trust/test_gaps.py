"""Gaps that would be lost when one mishap comes upon another."""

import asyncio
import time

import pytest

import mdkit as md
from mdkit.backfill.backfill import ReconnectBackfill
from mdkit.backfill.rest import Answers
from mdkit.events import Gap


class Told:
    """A stream that keeps what it is told."""

    def __init__(self):
        self.gaps = []

    def gap(self, gap):
        self.gaps.append(gap)


class NothingKnown:
    """A REST service without answers."""

    gives_only_bars = False

    async def books(self, symbols):
        return Answers()

    async def trades(self, symbols):
        return Answers()


class Places:
    def find(self, symbol, channel):
        return None


def missed(reason):
    return Gap("A", "trade", reason, 1, time.time_ns())


def test_a_connection_lost_before_it_was_subscribed_keeps_the_gap_before_it():
    async def main(*steps):
        told = Told()
        filling = ReconnectBackfill(told, NothingKnown(), source=None)
        for step in steps:
            await (filling.opened([missed(step)]) if step else filling.subscribed())
        await filling.stop()
        return [gap.reason for gap in told.gaps]

    assert asyncio.run(main("first", "")) == ["first"]
    assert asyncio.run(main("first", "second", "")) == ["first", "second"]
    assert asyncio.run(main("first")) == ["first"]  # stopped before it was subscribed


@pytest.mark.outer
def test_what_rest_fills_is_never_stamped_later_than_what_is_pushed(until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=2000) as exchange:
            seen = []
            session = md.live(
                "AAPL.US",
                source=exchange.flat_ws_url,
                channels=["depth", "trade"],
                strategies=[md.strategy("depth", "trade")(lambda e: seen.append(e.received_ns))],
                settings=md.Settings(reconnect_base_delay=0.01, reconnect_max_delay=0.05),
                name="stamps",
            ).start()
            for n in range(5):
                await until(lambda n=n: len(session.gaps()) >= 2 * n and len(seen) > 100 * n)
                exchange.inject("drop")
            await until(lambda: len(session.gaps()) == 10)
            await session.stop()
            assert seen == sorted(seen)

    asyncio.run(main())


def test_a_recording_that_begins_with_the_session_is_one(tmp_path, until, list_source):
    raw = (
        b'{"cmd":"depth","data":{"symbol":"A","bids":[["1","1"]],"asks":[["2","1"]],"timestamp":1}}'
    )

    async def main():
        session = md.live(source=list_source([[raw]], ends=False), name="at once").start()
        session.record(tmp_path / "kept.jsonl")  # before the loop has turned
        await until(lambda: session.ledger()["processed"].sum() == 1)
        assert (await session.stop()).balanced

    asyncio.run(main())
    assert md.recording_info(tmp_path / "kept.jsonl").messages == 1
