"""Subscriptions that change while a session runs, and what becomes of those that cannot be."""

import asyncio

import pytest

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.exchange.config import PlanLimits

pytestmark = pytest.mark.outer

SYMBOLS = ("AAPL.US", "MSFT.US")


def _running(work, *, symbols=SYMBOLS, limits=None, runner="notebook", **options):
    """Run `work(session)` on a session of a busy exchange."""

    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="busy", limits=limits) as exchange:
            options.setdefault("channels", ["depth"])
            session = md.live(symbols, source=exchange, runner=runner, name="changing", **options)
            async with session:
                await work(session)

    asyncio.run(main())


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_what_the_source_lacks_is_a_gap_and_part_of_the_explanation(until, runner):
    async def work(session):
        await until(lambda: session.ledger()["received"].sum())
        session.subscribe("depth", "NOPE")
        await until(lambda: len(session.gaps()))
        (row,) = session.gaps().itertuples()
        assert (row.symbol, row.channel) == ("NOPE", "depth")
        assert "subscription refused: 2002" in row.reason
        assert "1 subscription was refused: 2002 for depth NOPE" in session.explain()
        assert session.running
        assert set(session.ledger().reset_index()["symbol"]) == set(SYMBOLS)

    _running(work, runner=runner)


def test_what_the_plan_refuses_is_told_as_well_and_may_be_asked_for_again(until):
    async def work(session):
        await until(lambda: session.ledger()["received"].sum())
        session.subscribe("trade", "AAPL.US", "MSFT.US")
        await until(lambda: len(session.gaps()) == 2)
        assert "2 were refused, the last: 3004" in session.explain()
        session.unsubscribe("depth", "MSFT.US")
        session.subscribe("trade", "AAPL.US")
        await until(lambda: ("AAPL.US", "trade") in session.ledger().index)
        assert "1 subscription was refused: 3004 for trade MSFT.US" in session.explain()

    _running(work, limits=PlanLimits(subscriptions=2))


@pytest.mark.parametrize("first", [("AAPL.US", "NOPE")])
def test_so_is_one_of_the_first_symbols(until, first):
    async def work(session):
        await until(lambda: len(session.gaps()))
        assert session.gaps()["symbol"].tolist() == ["NOPE"]
        assert "NOPE" in session.explain()

    _running(work, symbols=first)


@pytest.mark.parametrize(
    ("verb", "arguments", "told"),
    [
        ("subscribe", ("depth", "xx yy"), "'xx yy' is not a symbol"),
        ("subscribe", ("depth",), r"names no symbol; add one"),
        ("subscribe", ("dept", "AAPL.US"), "'dept' does not exist: did you mean 'depth'"),
        ("unsubscribe", ("depth", "TSLA.US"), "depth of 'TSLA.US' is not subscribed to: there are"),
        ("unsubscribe", ("depth", "AAPL"), "did you mean 'AAPL.US'"),
        ("unsubscribe", ("trade", "AAPL.US"), "trade of 'AAPL.US' is not subscribed to: there is"),
        ("unsubscribe", ("trades", "AAPL.US"), "did you mean 'trade'"),
    ],
)
def test_what_cannot_be_is_an_error_at_once(verb, arguments, told):
    async def work(session):
        with pytest.raises(SettingsError, match=told):
            getattr(session, verb)(*arguments)

    _running(work)


def test_changes_right_behind_each_other_are_made_in_order(until):
    async def work(session):
        source = session.pipeline.source
        await until(lambda: session.ledger()["received"].sum())
        session.subscribe("trade", "AAPL.US")
        session.unsubscribe("trade", "AAPL.US")
        session.unsubscribe("depth", "AAPL.US")
        with pytest.raises(SettingsError, match="is not subscribed to: there is MSFT"):
            session.unsubscribe("depth", "AAPL.US")
        await until(lambda: list(source.subscriptions) == [("depth", "MSFT.US")])
        assert not session.pipeline.problems

    _running(work)


def test_the_demo_trades_further_symbols_when_asked_and_knows_what_it_does_not(wait_until):
    session = md.live(["AAPL.US"], source="demo", runner="thread", name="more").start()
    try:
        wait_until(lambda: session.ledger()["received"].sum())
        session.subscribe("depth", "TSLA.US", "BTCUSDT")
        wait_until(lambda: {"TSLA.US", "BTCUSDT"} <= set(session.frame("depth")["symbol"]))
        with pytest.raises(SettingsError, match=r"does not trade 'NVDIA.US'.*mean 'NVDA.US'"):
            session.subscribe("depth", "NVDIA.US")
    finally:
        session.stop().result(20)
    assert not session.pipeline.problems
    with pytest.raises(SettingsError, match=r"does not trade 'NOPE'.*md\.Exchange"):
        md.live(["NOPE"], source="demo")
