"""What the sentence says of a loop that stood still."""

import asyncio

import pytest

import mdkit as md
from mdkit.stream.explain import explain
from mdkit.stream.health import Sample


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
