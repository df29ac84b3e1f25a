"""What the sentence says of a loop that stood still."""

import asyncio

import pytest

import mdkit as md
from mdkit.pipeline.explain import diagnose, explain
from mdkit.pipeline.health import Monitor, Sample
from mdkit.pipeline.pipeline import Pipeline
from mdkit.strategies.contract import as_strategy


def blocked_for(seconds):
    idle = dict.fromkeys(Sample.__slots__, 0)
    return Sample(**{**idle, "at": 1.0, "lag": seconds, "maxsize": 100})


@pytest.mark.parametrize(
    ("runner", "blamed", "advised"),
    [("notebook", "other code in this thread", True), ("thread", "other threads", False)],
)
def test_a_thread_is_advised_to_those_who_have_none(runner, blamed, advised, list_source):
    async def main():
        source = list_source([], ends=False)
        session = md.live(source=source, runner=runner, name="blocked").start()
        session.pipeline.monitor.add(blocked_for(0.7))
        said = session.explain()
        await session.stop()
        return said

    said = asyncio.run(main())
    headline, _, over = said.partition("Earlier ")
    assert "blocked" not in headline
    assert f"blocked for 0.7 s by {blamed}" in over
    assert ('runner="thread"' in said) is advised


def test_a_loop_that_is_blocked_again_and_again_is_the_headline(list_source):
    session = md.live(source=list_source([], ends=False), name="blocked")
    monitor = session.pipeline.monitor
    monitor.add(blocked_for(0.7))
    assert "blocked" not in explain(session.pipeline).partition("Earlier")[0]
    monitor.add(blocked_for(0.9))
    said = explain(session.pipeline)
    assert "he event loop is blocked again and again, for 0.9 s at most, by" in said
    assert "Earlier" not in said
    for _ in range(monitor.window):
        monitor.add(blocked_for(0.0))
    said = explain(session.pipeline)
    assert "Earlier the event loop was blocked 2 times, at most for 0.9 s by" in said
    assert "again" not in said


def test_it_says_why_there_are_no_bars_and_that_trades_came_late(list_source, wait_until):
    def message(symbol, stamp):
        return (
            f'{{"cmd":"trade","data":{{"symbol":"{symbol}","trades":[{{"price":"1",'
            f'"quantity":"1","timestamp":{stamp}}}]}}}}'
        ).encode()

    minutes = [1_700_000_040_000 + 60_000 * n for n in (0, 1, 2, 1)]
    batch = [message("A", 0), message("B", 0), *(message("C", stamp) for stamp in minutes)]
    source = list_source([batch], ends=False)
    session = md.live(source=source, channels=["trade"], bars="1m", runner="thread", name="bars")
    session.start()
    wait_until(lambda: session.ledger()["processed"].sum() == 6)
    said = session.explain()
    session.stop().result(20)
    assert "o bars can be made of trades that carry no time (A, B)" in said
    assert "1 trades came too late for their bars so far" in said


@md.strategy("depth", "trade")
def plain(event):
    return 1.0


@md.strategy("depth", per="session")
def together(event):
    return 1.0


WOULD_NOT = "more worker processes would not help because "


@pytest.mark.parametrize(
    ("strategy", "symbols", "each", "cores", "bottleneck", "advice"),
    [
        (None, "AB", 0.0, 4, "consumer_bound", f"{WOULD_NOT}there are no strategies"),
        (plain, "AB", 1e-3, 4, "balanced", f"{WOULD_NOT}the strategies keep up"),
        (plain, "AB", 1e-3, 4, "producer_bound", f"{WOULD_NOT}the strategies keep up"),
        (plain, "AB", 1e-3, 1, "consumer_bound", f"{WOULD_NOT}of 1 core none is idle"),
        # Depth and trades of one symbol are handled in order, and so is all that a strategy sees.
        (plain, "A", 1e-3, 4, "consumer_bound", f"{WOULD_NOT}there is one stream of messages"),
        (together, "ABC", 1e-3, 4, "consumer_bound", f"{WOULD_NOT}there is one stream"),
        (plain, "AB", 0.0, 4, "consumer_bound", f"{WOULD_NOT}no call of a strategy has been"),
        (
            plain, "AB", 20e-6, 4, "consumer_bound",
            f"{WOULD_NOT}the strategies take 20.0 µs a message, and sending one to a process pays "
            "from 50.0 µs on",
        ),
        (
            plain, "AB", 1e-3, 4, "consumer_bound",
            'more worker processes would help: worker_kind="process" with workers=2 would use one '
            "more core",
        ),
    ],
)  # fmt: skip
def test_the_advice_says_whether_more_worker_processes_would_help(
    list_source, monkeypatch, strategy, symbols, each, cores, bottleneck, advice
):
    monkeypatch.setattr("mdkit.pipeline.explain.cores", lambda: cores)
    monkeypatch.setattr(Monitor, "diagnose", lambda self: bottleneck)
    pipeline = Pipeline(list_source([]), [as_strategy(strategy)] if strategy else [])
    for symbol in symbols:
        for channel in ("depth", "trade"):
            pipeline.channels.expect(symbol, channel)
    if bottleneck != "consumer_bound":
        assert diagnose(pipeline).advice == f"{WOULD_NOT}nothing has come yet"
    pipeline.channels.expect("A", "depth").received = 1
    for timer in pipeline.timers.values():
        if each:
            timer.add(each)
    pipeline.monitor.add(blocked_for(0.0))
    told = diagnose(pipeline)
    assert told == bottleneck
    assert told.advice.startswith(advice)
    assert told.advice in repr(told)
    if bottleneck == "consumer_bound":
        assert advice in explain(pipeline)


def test_the_advice_counts_the_worker_processes_there_are(list_source, monkeypatch):
    monkeypatch.setattr("mdkit.pipeline.explain.cores", lambda: 4)
    monkeypatch.setattr(Monitor, "diagnose", lambda self: "consumer_bound")
    told = {}
    for workers in (1, 3, 4):
        pipeline = Pipeline(
            list_source([]), [as_strategy(plain)], worker_kind="process", workers=workers
        )
        for symbol in "ABC":
            pipeline.channels.expect(symbol, "depth")
        pipeline.timers[pipeline.strategies[0]].add(1e-3)
        told[workers] = diagnose(pipeline).advice
    assert told[1].endswith("workers=3 would use 2 more cores")
    assert told[3].endswith("there are 3 streams of messages to be handled in order")
    assert told[4].endswith("of 4 cores none is idle")


def test_a_session_to_which_nothing_came_says_why_once_it_has_ended():
    source = md.replay(md.sample(), speed=None, start="2030-01-01")
    session = md.live(source=source, name="behind the end")
    session.run_blocking()
    assert session.explain().startswith("Stopped: 0 messages in ")
    assert "played no message: it ends at 2026-11-22" in session.explain()
