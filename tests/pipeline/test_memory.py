"""Memory is bounded and accounted for, whatever comes."""

import asyncio

import pytest

import mdkit as md
from mdkit.pipeline.memory import memory
from mdkit.pipeline.pipeline import Pipeline


async def overloaded(list_source, depth_message, until, count, **options):
    """A pipeline whose workers are stuck while messages go on to come."""
    held = asyncio.Event()

    @md.strategy("depth")
    async def stuck(book):
        await held.wait()

    batch = [depth_message(f"S{n % 7}", n) for n in range(100)]
    source = list_source([batch] * (count // 100), ends=False)
    pipeline = Pipeline(source, [stuck], workers=1, maxsize=1000, **options)
    pipeline.start()
    await until(lambda: source.delivered == count)
    told = memory(pipeline)
    totals = pipeline.ledger.totals()
    held.set()
    receipt = await pipeline.stop()
    assert receipt.balanced
    return told, totals


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "conflate", "spill", "block"])
def test_a_queue_takes_no_more_under_ten_times_the_load(list_source, depth_message, until, policy):
    options = {"overflow": policy, "block_timeout": 0.0}

    async def play():
        first = await overloaded(list_source, depth_message, until, 2000, **options)
        return first, await overloaded(list_source, depth_message, until, 20_000, **options)

    (once, _), (ten_times, totals) = asyncio.run(play())
    assert totals["received"] == 20_000
    assert totals["queued"] <= 1000
    size = len(depth_message("S0", 0)) + 200
    assert ten_times["queue"] <= 1000 * size
    assert ten_times["queue"] <= 1.1 * once["queue"] + size
    if policy in ("spill", "block"):
        assert ten_times["spill_on_disk"] > 5 * once["spill_on_disk"]


def test_a_feed_that_invents_symbols_without_end_stays_bounded(
    list_source, depth_message, monkeypatch
):
    monkeypatch.setattr("mdkit.channels.channels.MAX_UNASKED", 50)

    async def play():
        messages = [depth_message(f"X{n}", n) for n in range(500)] + [depth_message("A", 1)]
        pipeline = Pipeline(list_source([messages], symbols=["A"]))
        pipeline.start()
        return pipeline, await pipeline.wait()

    pipeline, receipt = asyncio.run(play())
    assert receipt.balanced
    assert receipt.totals["received"] == 501
    assert receipt.totals["invalid"] == 450
    assert len(list(pipeline.channels)) == 52
    assert len(pipeline.frames.symbols("depth")) == 51
    assert pipeline.frames.book("A") is not None
    (reason,) = pipeline.lanes.outcome.invalid_reasons
    assert "not subscribed to" in reason


@pytest.mark.outer
def test_a_session_tells_where_its_memory_is(exchange_process, until):
    exchange = exchange_process(["AAPL.US"])

    async def play():
        async with md.live(source=exchange) as session:
            await until(lambda: session.ledger().processed.sum() > 20)
            before = session.memory()
            session.frame("depth")
            return before, session.memory()

    before, after = asyncio.run(play())
    assert before["undecoded"] > 0
    assert after["tables"] > before["tables"]
    assert after["undecoded"] < before["undecoded"]
    assert after["process"] > 1_000_000
