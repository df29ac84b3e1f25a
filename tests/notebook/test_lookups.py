"""Tables that a session cannot have are errors; those that are only empty yet are none."""

import asyncio

import pytest

import mdkit as md
from mdkit.errors import SettingsError


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (lambda s: s.frame("depth", "AAPL"), "'AAPL' is not subscribed to: did you mean 'AAPL.US'"),
        (lambda s: s.frame("depth", "aapl.us"), "did you mean 'AAPL.US'"),
        (lambda s: s.book("TSLA"), r"there are AAPL.US, MSFT.US.*subscribe\(\"depth\", \"TSLA\"\)"),
        (lambda s: s.frame("trade"), r"trade is not subscribed to \(channels: depth\)"),
        (lambda s: s.frame("trade", "AAPL.US"), r'session.subscribe\("trade", ...\)'),
        (lambda s: s.frame("bar"), r'bars="1m"'),
        (lambda s: s.frame("dep"), "no table of 'dep': did you mean 'depth'"),
        (lambda s: s.live_frame("dep", "AAPL.US"), "no table of 'dep'"),
        (lambda s: s.live_frame("depth", "AAPL"), "did you mean 'AAPL.US'"),
        (lambda s: s.live_frame("depth", rows=0), "rows=0"),
        (lambda s: s.dashboard(levels=-1), "levels=-1"),
        (lambda s: s.dashboard(levels="many"), "levels='many'"),
    ],
)
@pytest.mark.parametrize("is_over", [False, True])
def test_a_name_that_is_not_there_is_told_with_what_may_be_meant(look, told, is_over, until):
    async def main():
        source = md.Simulated(scenario="busy")
        session = md.live(["AAPL.US", "MSFT.US"], source=source, name="names")
        with pytest.raises(SettingsError, match=told):
            look(session)  # before it has begun
        async with session:
            await until(lambda: session.ledger()["received"].sum() > 50)
            if is_over:
                await session.stop()
            with pytest.raises(SettingsError, match=told):
                look(session)

    asyncio.run(main())


def test_what_has_not_come_yet_is_an_empty_table():
    session = md.live(["AAPL.US"], source="demo", channels=["trade"], bars="1m", name="empty")
    assert len(session.frame("trade")) == len(session.frame("trade", "AAPL.US")) == 0
    assert len(session.frame("bar", "AAPL.US")) == 0


def test_of_a_source_that_does_not_say_what_it_carries_anything_may_come(
    list_source, depth_message
):
    async def main():
        source = list_source([[depth_message("A")]])
        session = md.live(source=source, name="unsaid")
        assert len(session.frame("trade", "B")) == len(session.book("A")) == 0
        await session.run()
        assert len(session.frame("depth", "A")) == 1
        with pytest.raises(SettingsError, match="'B' is not subscribed to: there is A"):
            session.frame("depth", "B")

    asyncio.run(main())


def test_what_was_unsubscribed_can_still_be_seen(until):
    async def main():
        source = md.Simulated(["A", "B"], scenario="busy")
        async with md.live(source=source, name="before") as session:
            await until(lambda: len(session.frame("depth", "A")))
            session.unsubscribe("depth", "A")
            await until(lambda: session.pipeline.source.symbols == ("B",))
            assert len(session.frame("depth", "A"))

    asyncio.run(main())


def test_symbols_that_are_none_are_not_the_default_ones():
    with pytest.raises(SettingsError, match=r"symbols is empty: name at least one"):
        md.live([], source="demo")


def test_a_session_of_trades_alone_is_plotted_and_saved(tmp_path):
    source = md.Simulated(["A"], scenario="busy", count=500)
    session = md.live(source=source, channels=["trade"], name="trades")
    assert session.run_blocking().totals["processed"] > 50
    assert session.save(tmp_path).exists()
