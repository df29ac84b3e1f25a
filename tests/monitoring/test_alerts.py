"""Alerts of real sessions: told once, from the sampler, never in the way; nothing is lost."""

import asyncio
import itertools
import logging
import threading

import pytest

import mdkit as md
from mdkit.errors import SessionError, SettingsError
from mdkit.monitoring import alerts as module
from mdkit.monitoring.alerts import Alerts
from mdkit.monitoring.telling import MOST_WAITING

SYMBOLS = ["AAPL.US", "MSFT.US"]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def pipeline():
    """A pipeline that has not started; its gaps and problems can be set."""
    return md.live(SYMBOLS, source="simulated", name="alerts").pipeline


def _gap(pipeline, reason="silent"):
    pipeline.gap(md.Gap("AAPL.US", "depth", reason, 1, 2, None))


def _states(alerts):
    return [(row.notice.text, row.state) for row in alerts._rows]


def _done(alerts, until):
    return until(lambda: not alerts._telling)


def test_gaps_within_the_cooldown_are_told_together_when_it_is_over(pipeline, until):
    async def main():
        clock, told = Clock(), []

        async def tell(notice):
            told.append(notice.text)

        alerts = Alerts(pipeline, None, "x", clock)
        alerts.add("gap", tell, 60.0)
        alerts.look()
        assert _states(alerts) == []
        for at, count in ((1, 1), (5, 1), (9, 2), (60.9, 0)):
            clock.now = at
            for _ in range(count):
                _gap(pipeline)
            alerts.look()
        await _done(alerts, until)
        one = "1 gap, the last of AAPL.US depth: silent"
        assert told == [one]
        assert _states(alerts) == [(one, "told"), (one, "waiting")]
        clock.now = 61
        alerts.look()
        await _done(alerts, until)
        assert told == [one, "3 gaps, the last of AAPL.US depth: silent"]
        assert [state for _, state in _states(alerts)] == ["told", "told"]
        await alerts.finish(1.0)

    asyncio.run(main())


def test_what_passes_within_the_cooldown_is_a_row_that_says_so(pipeline, until):
    async def main():
        clock, holds, told = Clock(), [""], []

        async def tell(notice):
            told.append(notice.text)

        alerts = Alerts(pipeline, None, "x", clock)
        alerts.add(lambda _: holds[0], tell, 10.0)
        for at, said in enumerate(["a", "", "b", "", "c"]):
            clock.now, holds[0] = at, said
            alerts.look()
        await _done(alerts, until)
        assert told == ["a"]
        assert _states(alerts) == [("a", "told"), ("b", "not told"), ("c", "waiting")]
        await alerts.finish(1.0)
        assert _states(alerts)[-1] == ("c", "not told")

    asyncio.run(main())


def test_what_do_raises_is_told_in_three_places(pipeline, until, caplog):
    async def main():
        def fail(notice):
            raise ValueError("no paper")

        alerts = Alerts(pipeline, None, "x")
        alerts.add("gap", fail, 0.0)
        _gap(pipeline)
        with caplog.at_level(logging.WARNING, "mdkit"):
            alerts.look()
            await _done(alerts, until)
        table = alerts.frame()
        assert table["state"].tolist() == ["failed"]
        assert table["error"].tolist() == ["ValueError: no paper"]
        assert "was not told: ValueError: no paper" in caplog.text
        assert "no paper" in str(pipeline.problems[-1])
        assert (alerts.told, alerts.failed) == (0, 1)
        await alerts.finish(1.0)

    asyncio.run(main())


def test_a_condition_that_raises_is_told_once_until_it_works_again(pipeline, until, caplog):
    async def main():
        broken = [True]

        def when(_):
            if broken[0]:
                raise KeyError("spread")
            return False

        alerts = Alerts(pipeline, None, "x")
        alerts.add(when, print, 0.0)
        for state in (True, True, False, True, True):
            broken[0] = state
            alerts.look()
        assert [(row.state, row.error) for row in alerts._rows] == [
            ("failed", "KeyError: 'spread'")
        ] * 2
        assert len(pipeline.problems) == 2
        await alerts.finish(1.0)

    asyncio.run(main())


def test_a_slow_do_holds_neither_the_loop_nor_another_alert(pipeline, until):
    async def main():
        go, told = threading.Event(), []

        def slow(notice):
            assert threading.current_thread() is not threading.main_thread()
            assert go.wait(30)
            told.append("slow")

        alerts = Alerts(pipeline, None, "x")
        alerts.add("gap", slow, 0.0)
        alerts.add("gap", lambda notice: told.append("quick"), 0.0)
        _gap(pipeline)
        alerts.look()
        await until(lambda: told == ["quick"])
        go.set()
        await _done(alerts, until)
        assert told == ["quick", "slow"]
        await alerts.finish(1.0)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["function", "coroutine", "object", "returns a coroutine"])
def test_notices_of_one_alert_are_told_in_order_whatever_is_called(pipeline, until, kind):
    async def main():
        told = []

        async def tell(notice):
            if not told:
                await asyncio.sleep(0.01)  # the second one must wait for the first
            told.append(notice.text)

        class Caller:
            async def __call__(self, notice):
                await tell(notice)

        do = {
            "function": lambda notice: told.append(notice.text),
            "coroutine": tell,
            "object": Caller(),
            "returns a coroutine": lambda notice: tell(notice),
        }[kind]
        said = iter("abc")
        alerts = Alerts(pipeline, None, "x")
        alert = alerts.add(lambda _: next(said), do, 0.0)
        for _ in range(3):
            alerts.look()
            alert._episodes.close()
        await _done(alerts, until)
        assert told == ["a", "b", "c"]
        assert {state for _, state in _states(alerts)} == {"told"}
        await alerts.finish(1.0)

    asyncio.run(main())


def test_a_do_that_never_returns_is_noted_at_the_end_and_what_waits_is_bounded(pipeline):
    async def main():
        forever = threading.Event()
        alerts = Alerts(pipeline, None, "x")
        alert = alerts.add(lambda _: "again", lambda _: forever.wait(60), 0.0)
        for _ in range(MOST_WAITING + 5):
            alerts.look()
            alert._episodes.close()
        table = alerts.frame()
        assert table["state"].value_counts().to_dict() == {"telling": MOST_WAITING, "failed": 5}
        assert "wait already to be told" in table["error"].iloc[-1]
        await alerts.finish(0.01)
        assert set(alerts.frame()["state"]) == {"failed"}
        assert alerts.frame()["error"].iloc[0] == "the session ended while this was being told"
        forever.set()

    asyncio.run(main())


def test_a_cancelled_alert_waits_for_nothing(pipeline):
    async def main():
        alerts = Alerts(pipeline, None, "x")
        alert = alerts.add("gap", print, 0.0)
        assert repr(alert) == "<Alert 'gap'>"
        alert.cancel()
        assert repr(alert) == "<Alert 'gap', ended>"
        _gap(pipeline)
        alerts.look()
        assert _states(alerts) == []
        await alerts.finish(1.0)

    asyncio.run(main())


@pytest.mark.parametrize("cooldown", [-1, float("inf"), float("nan"), "60", None, True])
def test_a_cooldown_is_a_time(cooldown):
    session = md.live(SYMBOLS, source="simulated", name="alerts")
    with pytest.raises(SettingsError, match="is no time: give seconds"):
        session.alert("gap", print, cooldown=cooldown)


def test_what_cannot_be_called_is_refused():
    session = md.live(SYMBOLS, source="simulated", name="alerts")
    with pytest.raises(SettingsError, match=r"do='notebok' cannot be called.*md\.webhook"):
        session.alert("gap", "notebok")
    assert session.alerts().empty
    assert session.alerts()["told"].dtype.kind == "M"


# -- whole sessions ----------------------------------------------------------------------------


def test_a_session_tells_of_its_figures_and_of_its_end(until):
    async def main():
        session = md.live(SYMBOLS, source="simulated", name="alerts")
        told = []
        session.alert("received > 5", told.append)
        session.alert("ended", told.append)
        session.alert("failed", told.append)
        session.start()
        await until(lambda: told)
        assert told[0].alert == "received > 5"
        assert told[0].session == "alerts"
        assert told[0].figures["received"] > 5
        assert told[0].text == f"received is {told[0].figures['received']:,.6g}"
        await session.stop()
        assert [notice.alert for notice in told] == ["received > 5", "ended"]
        table = session.alerts()
        assert table["state"].tolist() == ["told", "told"]
        assert (table["told"] >= table.index).all()
        assert str(table.index.tz) == "UTC"
        with pytest.raises(SessionError, match="ended"):
            session.alert("gap", told.append)

    asyncio.run(main())


def test_a_session_that_fails_says_so_before_it_is_gone(until):
    @md.strategy("depth")
    def wrong(book):
        raise ZeroDivisionError("of the spread")

    async def main():
        told = []
        session = md.live(
            SYMBOLS, source="simulated", name="alerts", strategies=[wrong], on_error="raise"
        )
        session.alert("failed", told.append)
        session.start()
        await until(lambda: not session.running)
        assert "of the spread" in told[0].text
        with pytest.raises(md.MdkitError):
            session.alerts()
        assert session.alerts()["alert"].tolist() == ["failed"]

    asyncio.run(main())


@pytest.mark.outer
def test_a_session_in_a_thread_tells_of_the_gap_of_a_lost_connection():
    told, heard = [], threading.Event()

    def tell(notice):
        told.append(notice)
        heard.set()

    faults = [md.Fault("disconnect", at=0.3)]
    with md.Exchange(SYMBOLS, rate=200, faults=faults) as exchange:
        session = md.live(SYMBOLS, source=exchange, name="alerts", runner="thread")
        session.alert("gap", tell)
        session.start()
        assert heard.wait(60)
        session.stop()
    assert "gap" in told[0].text
    assert set(session.alerts()["state"]) == {"told"}


def test_events_count_from_when_they_are_asked_for_and_not_from_the_last_sample(pipeline):
    async def main():
        alerts = Alerts(pipeline, None, "x")
        counts = pipeline.ledger.counts("AAPL.US", "depth")
        pipeline._sampler.look()
        counts.received = counts.dropped = 3
        alerts.add("loss", print, 0.0)
        pipeline._sampler.look()
        assert _states(alerts) == []
        counts.received = counts.dropped = 5
        pipeline._sampler.look()
        assert _states(alerts)[0][0] == "2 messages dropped or conflated"
        await alerts.finish(1.0)

    asyncio.run(main())


def test_without_alerts_nothing_is_looked_at(monkeypatch, pipeline):
    def refuse(_):
        raise AssertionError("nobody asked")

    alerts = Alerts(pipeline, None, "x")
    monkeypatch.setattr(module, "figures", refuse)
    alerts.look()
    assert pipeline.on_sample == []


@pytest.mark.parametrize("kind", ["coroutine", "returns a coroutine"])
def test_the_end_leaves_no_coroutine_behind(pipeline, until, kind):
    async def main():
        begun = []

        async def hold(notice):
            begun.append(asyncio.current_task())
            await asyncio.Event().wait()

        def threads():
            return [t.name for t in threading.enumerate() if t.name.startswith("mdkit alert")]

        alerts = Alerts(pipeline, None, "x")
        do = hold if kind == "coroutine" else lambda notice: hold(notice)
        alert = alerts.add(lambda _: "again", do, 0.0)
        for _ in range(3):
            alerts.look()
            alert._episodes.close()
        await until(lambda: begun)
        await alerts.finish(0.01)
        await until(lambda: begun[0].done() and not alert._teller._tasks and not threads())
        assert len(begun) == 1
        assert {row.error for row in alerts._rows} == {
            "the session ended while this was being told"
        }

    asyncio.run(main())


@pytest.mark.parametrize("error", [TypeError, SystemExit])
def test_what_a_coroutine_function_raises_is_the_rows_error(pipeline, until, error):
    async def main():
        async def takes_nothing():
            pass

        async def leaves(notice):
            raise SystemExit(3)

        alerts = Alerts(pipeline, None, "x")
        alerts.add(lambda _: "now", leaves if error is SystemExit else takes_nothing, 0.0)
        alerts.look()
        await _done(alerts, until)
        assert alerts._rows[0].error.startswith(f"{error.__name__}: ")
        await alerts.finish(1.0)

    asyncio.run(main())


def test_a_condition_that_raises_now_and_then_is_told_once_in_the_cooldown(pipeline, caplog):
    async def main():
        clock, looks = Clock(), itertools.count()

        def when(_):
            if (turn := next(looks)) % 2:
                raise KeyError(turn)
            return False

        alerts = Alerts(pipeline, None, "x", clock)
        alerts.add(when, print, 60.0)
        for _ in range(100):
            alerts.look()
        assert [row.error for row in alerts._rows] == ["KeyError: 1"]
        clock.now = 60.0
        alerts.look()
        alerts.look()
        assert [row.error for row in alerts._rows] == ["KeyError: 1", "KeyError: 101"]
        await alerts.finish(1.0)

    asyncio.run(main())


def test_what_waits_for_the_cooldown_is_not_told_once_its_alert_is_cancelled(pipeline, until):
    async def main():
        said, told = iter(["first", "", "second", "third"]), []
        alerts = Alerts(pipeline, None, "x")
        alert = alerts.add(lambda _: next(said), told.append, 60.0)
        for _ in range(3):
            alerts.look()
        await _done(alerts, until)
        assert _states(alerts) == [("first", "told"), ("second", "waiting")]
        alert.cancel()
        alerts.look()
        assert _states(alerts) == [("first", "told"), ("second", "not told")]
        await alerts.finish(1.0)

    asyncio.run(main())
