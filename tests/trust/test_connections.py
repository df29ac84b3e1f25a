"""Names that cannot be looked up, and faults that a session lives with."""

import asyncio

import pytest

import mdkit as md
from mdkit.exchange import FAULTS, RECOVERABLE
from mdkit.sources.websocket import WebSocketSource

pytestmark = pytest.mark.outer


def test_a_name_that_does_not_exist_is_said_so(until):
    async def main():
        source = WebSocketSource(
            "ws://no-such-host.invalid/v1/realtime",
            ["depth"],
            ["AAPL.US"],
            base_delay=0.01,
            max_delay=0.05,
        )
        session = md.live(source=source, name="dns").start()
        await until(lambda: session.pipeline.problems)
        said = session.explain()
        await session.stop()
        assert "Not connected" in said
        assert "no-such-host.invalid" in said

    asyncio.run(main())


def test_a_burst_is_said_at_once_and_the_market_goes_on_from_there(until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=50) as exchange:
            session = md.live(source=exchange, channels=["depth", "trade"], name="burst").start()
            await until(lambda: session.ledger()["received"].sum() > 5)
            exchange.inject("burst", count=20_000)
            await until(lambda: exchange.statistics()["messages"] > 20_000)
            said = exchange.statistics()["messages"]
            await until(lambda: exchange.statistics()["messages"] > said + 5)
            assert exchange.statistics()["messages"] < said + 5_000  # at its own pace again
            assert (await session.stop()).balanced

    asyncio.run(main())


def test_a_burst_ends_with_a_market_that_ends(until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=50, count=100) as exchange:
            session = md.live(source=exchange, name="short burst").start()
            await until(lambda: session.ledger()["received"].sum())
            exchange.inject("burst", count=20_000)
            await until(lambda: exchange.statistics()["finished"])
            await until(lambda: session.ledger()["received"].sum() == 100)
            await session.stop()

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [3600, -3600])
@pytest.mark.parametrize("dialect", ["ws_url", "flat_ws_url"])
def test_the_clock_of_what_is_pushed_jumps(seconds, dialect, until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=200) as exchange:
            url = getattr(exchange, dialect)
            session = md.live("AAPL.US", source=url, name="clock").start()
            await until(lambda: len(session.frame("depth")) > 5)
            exchange.inject("clock", seconds=seconds)

            def steps():
                return session.frame("depth")["exchange_time"].diff().dt.total_seconds().abs()

            await until(lambda: (steps() > 3000).sum() == 1)  # there
            exchange.inject("clock", seconds=0.0)
            await until(lambda: (steps() > 3000).sum() == 2)  # and back
            assert steps().max() == pytest.approx(3600, abs=60)
            await session.stop()

    asyncio.run(main())


def test_a_slow_handshake_is_waited_for_and_a_deaf_exchange_given_no_blame(until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=200) as exchange:
            exchange.inject("slow_handshake", pause=0.2)
            session = md.live(source=exchange, name="deaf").start()
            await until(lambda: session.ledger()["received"].sum() > 5)
            exchange.inject("deaf", duration=0.3)
            before = session.ledger()["received"].sum()
            await until(lambda: session.ledger()["received"].sum() > before + 50)
            assert (await session.stop()).connects == 1

    asyncio.run(main())


def test_recoverable_faults_are_all_but_refused_keys():
    assert set(FAULTS) - set(RECOVERABLE) == {"unauthorized"}
