"""A strategy that fails on every message: who says so, where, and how often."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

import mdkit as md
from mdkit.pipeline.health import Monitor, Sample
from mdkit.workers.failures import Failures, where_failed


@md.strategy("depth")
def lean(book):
    return book.no_such_thing


@md.strategy("depth")
def sometimes(book):
    return 1.0 if book.bids[0][0] % 4 else book.no_such_thing


@md.strategy("depth")
def silly(book):
    return "text"


def _run(strategies, messages, caplog, until, **options):
    """Run strategies over messages; return the session, when it has handled them, and its end."""

    async def main():
        session = md.live(source=messages, strategies=strategies, name="failing", **options)
        session.start()
        samples = session.pipeline.monitor.samples
        await until(lambda: samples and samples[-1].processed >= 40)
        looked = (session.state, session.health(), session.explain(), repr(session))
        return looked, await session.stop(), session

    with caplog.at_level(logging.WARNING, "mdkit"):
        return asyncio.run(main())


@pytest.mark.outer
@pytest.mark.parametrize("kind", ["task", "process"])
def test_a_session_whose_every_message_fails_says_so_everywhere(
    list_source, depth_message, caplog, until, kind
):
    source = list_source([[depth_message(s, n) for s in "AB"] for n in range(20)], ends=False)
    looked, receipt, session = _run([lean], source, caplog, until, worker_kind=kind, workers=2)
    state, health, sentence, short = looked
    assert state == health.state == "failing"
    assert not health.ok
    assert "failing" in short
    where = f"strategy lean at test_failures.py:{lean.function.__code__.co_firstlineno + 2} in lean"
    assert sentence.startswith("Most of the last messages were dead letters, 40 dead letters")
    for text in (sentence, str(receipt)):
        assert where in text
        assert "has no attribute 'no_such_thing'; dead_letters()" in text
    assert session.state == "stopped"
    warnings = [record.getMessage() for record in caplog.records if record.name == "mdkit"]
    assert len(warnings) == 1
    assert warnings[0].startswith("mdkit: strategy lean failed on a depth message of ")
    assert "(test_failures.py:" in warnings[0]
    letters = session.dead_letters()
    assert len(letters) == 40
    assert list(letters.columns[:5]) == ["symbol", "channel", "strategy", "error", "where"]
    assert set(letters["where"]) == {where.removeprefix("strategy lean at ")}


def test_one_that_fails_now_and_then_is_told_and_does_not_make_it_fail(
    list_source, depth_message, caplog, until
):
    source = list_source([[depth_message("A", n)] for n in range(40)], ends=False)
    (state, health, sentence, _), receipt, _ = _run([sometimes], source, caplog, until)
    assert (state, health.state) == ("running", "normal")
    assert "10 dead letters so far, strategy sometimes at test_failures.py:" in sentence
    assert "10 dead lettered" in str(receipt)


def test_the_commonest_is_told_each_strategy_warns_once(list_source, depth_message, caplog, until):
    source = list_source([[depth_message("A", n)] for n in range(40)], ends=False)
    _, receipt, _ = _run([sometimes, silly], source, caplog, until)
    assert "strategy silly: StrategyError: strategy silly returned a str" in receipt.commonest
    assert receipt.commonest.endswith("(40 times)")
    assert len([record for record in caplog.records if record.name == "mdkit"]) == 2


def test_nothing_is_said_where_nothing_fails(list_source, depth_message, caplog, until):
    source = list_source([[depth_message("A", n)] for n in range(40)], ends=False)
    (state, health, _, _), receipt, _ = _run([md.strategies.pressure], source, caplog, until)
    assert (state, health.state, receipt.commonest) == ("running", "normal", "")
    assert "Dead letters" not in str(receipt)
    assert not caplog.records


def test_the_line_is_the_strategys_own_though_a_library_raised():
    def parse():
        import json

        json.loads("{")

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse()
    line = parse.__code__.co_firstlineno + 3
    assert where_failed(caught.value) == f"test_failures.py:{line} in parse"
    assert where_failed(ValueError()) == ""


def test_kinds_of_failures_are_bounded():
    failures = Failures()
    for n in range(10_000):
        failures.add(SimpleNamespace(strategy="s", where=f"file.py:{n}", error="E: x" * 200))
    assert len(list(failures)) == 200
    assert len(failures.commonest) < 500


def _sample(at, handled, failed):
    return Sample(at, handled, handled, 0, 0, 0, 0, 10, 0.0, 0.0, 0.0, failed)


def test_failing_is_judged_by_the_last_messages():
    monitor = Monitor(window=5)
    assert not monitor.failing
    monitor.add(_sample(0.0, 0, 0))
    assert not monitor.failing
    monitor.add(_sample(0.2, 1, 1))
    assert monitor.failing  # one message, and it failed
    for n in range(1, 50):
        monitor.add(_sample(n, 1 + 10 * n, 1))
    assert not monitor.failing
    for n in range(50, 60):  # a quiet feed: few messages, all of which fail
        monitor.add(_sample(n, 491 + 2 * (n - 49), 1 + 2 * (n - 49)))
    assert monitor.failing
