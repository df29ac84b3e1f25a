"""A session in a running loop, in a thread, and blocking; its ends and its failures."""

import asyncio
import threading
import time

import pytest

import mdkit as md
from mdkit.errors import (
    AuthenticationError,
    SessionError,
    SettingsError,
    SpillQuotaError,
    StrategyError,
)
from mdkit.pipeline.receipt import Receipt

SYMBOLS = ("AAPL.US", "MSFT.US")


def _busy(**options):
    return md.Exchange(SYMBOLS, process=False, rate=200, **options)


def _received(session):
    return int(session.ledger()["received"].sum())


@pytest.mark.outer
def test_in_the_running_loop(until):
    async def main():
        async with _busy() as exchange:
            heard = []
            session = md.live(
                SYMBOLS,
                channels=["depth", "trade", "ticker"],
                source=exchange,
                strategies=[md.strategies.spread_monitor],
                name="loop",
            )
            assert "not started" in repr(session)
            assert session.start() is session
            assert session.start() is session
            session.on_signal(heard.append)
            await until(lambda: _received(session) > 100)
            assert session.running
            assert "running" in repr(session)
            assert session.health().connected
            assert set(session.frame("depth")["symbol"]) == set(SYMBOLS)
            assert len(session.book("AAPL.US")) == 10
            assert session.stats()["connects"] == 1
            assert session.explain()
            await until(lambda: len(session.metrics()) > 0)
            receipt = await session.stop()
            assert receipt is session.receipt
            assert receipt is await session.stop()
            assert receipt.balanced
            assert receipt.drained
            assert receipt.signals == len(session.signals())
            assert not session.running
            assert "stopped" in repr(session)
            assert session.explain().startswith("Stopped: ")
            with pytest.raises(SessionError, match="has ended"):
                session.start()

    asyncio.run(main())


@pytest.mark.outer
@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_a_thread_of_its_own_in_plain_code(exchange_process, wait_until, runner):
    exchange = exchange_process(SYMBOLS, scenario="busy")
    session = md.live(SYMBOLS, source=exchange, runner=runner, name="thread").start()
    wait_until(lambda: _received(session) > 50)
    receipt = session.stop().result(20)
    assert receipt.balanced
    assert receipt.connects == 1
    assert len(session.frame("depth", "AAPL.US")) > 0
    with pytest.raises(SessionError):
        session.subscribe("depth", "AAPL.US")


def test_a_thread_is_not_stalled_by_a_busy_cell(until):
    source = md.Simulated(SYMBOLS, scenario="busy")

    async def main():
        session = md.live(source=source, runner="thread", name="busy cell").start()
        await until(lambda: _received(session) > 10)
        before = session.pipeline.ledger.totals()["processed"]
        deadline = time.monotonic() + 20
        while session.pipeline.ledger.totals()["processed"] <= before:  # a cell that computes
            sum(range(1000))
            assert time.monotonic() < deadline
        assert (await session.stop()).balanced

    asyncio.run(main())


def test_run_and_run_blocking_return_the_receipt():
    source = md.Simulated(SYMBOLS, scenario="busy", count=200)
    receipt = md.live(source=source, name="blocking").run_blocking(60)
    assert receipt.totals["processed"] >= 200
    assert receipt.balanced

    async def main():
        return await md.live(source=source, name="run").run(60)

    assert asyncio.run(main()).totals["processed"] >= 200


def test_waiting_inside_its_own_loop_is_refused_with_the_cure():
    async def main():
        async with md.live(SYMBOLS, source="simulated", name="own loop") as session:
            with pytest.raises(SessionError, match=r"await session.run"):
                session.run_blocking(1)
            with pytest.raises(SessionError, match=r"await session.stop"):
                session.stop().result()

    asyncio.run(main())


def test_run_ends_with_the_source(list_source, depth_message):
    batches = [[depth_message("A", n)] for n in range(50)]

    async def main():
        return await md.live(source=list_source(batches), name="source's end").run()

    receipt = asyncio.run(main())
    assert receipt.reason == "the source ended"
    assert receipt.totals["processed"] == 50


@pytest.mark.outer
def test_pause_and_resume(until):
    async def main():
        async with _busy() as exchange, md.live(source=exchange, name="pause") as session:
            await until(lambda: _received(session) > 10)
            session.pause()
            assert "paused" in repr(session)
            assert session.explain().startswith("Paused")
            before = _received(session)
            source = session.pipeline.source
            await until(lambda: source._connection and len(source._connection._inbox) > 20)
            assert _received(session) <= before
            session.resume()
            await until(lambda: _received(session) > before + 20)
            assert (await session.stop()).connects == 1

    asyncio.run(main())


def test_a_stop_that_is_not_awaited_still_stops(until):
    async def main():
        session = md.live(source=md.Simulated(SYMBOLS, rate=2000), name="unawaited").start()
        await until(lambda: _received(session) > 10)
        session.stop()
        await until(lambda: not session.running)
        assert session.receipt.balanced

    asyncio.run(main())


@pytest.mark.leaves_tasks
def test_a_loop_that_closes_under_a_session_leaves_nothing(list_source, depth_message, until):
    async def main():
        source = list_source([[depth_message("A", 1)]], ends=False)
        session = md.live(source=source, name="closing loop").start()
        await until(lambda: _received(session) == 1)
        return session

    session = asyncio.run(main())
    assert not session.running
    assert session.receipt.balanced
    with pytest.raises(SessionError, match="loop was closed"):
        session.stop().result(1)


@pytest.mark.outer
def test_a_drain_that_takes_too_long_saves_what_is_left(list_source, depth_message, until):
    messages = [depth_message("A", n) for n in range(30)]

    async def main():
        begun = asyncio.Event()

        @md.strategy("depth")
        async def hangs(book):
            begun.set()
            await asyncio.Event().wait()

        session = md.live(
            source=list_source([messages], ends=False),
            strategies=[hangs],
            maxsize=10,
            overflow="spill",
            name="drain",
        ).start()
        await begun.wait()
        await until(lambda: _received(session) == 30)
        return await session.stop(timeout=0.01)

    receipt = asyncio.run(main())
    assert receipt.balanced
    assert not receipt.drained
    assert receipt.totals["dead_lettered"] == 1
    assert receipt.left == 29
    assert str(receipt.left_path) in str(receipt)
    _, *saved = receipt.left_path.read_bytes().splitlines()  # the first line says what it is
    assert [line.partition(b"\t")[2] for line in saved] == messages[1:]

    async def replay():
        exchange = md.Exchange(replay=receipt.left_path, speed=0, process=False)
        async with exchange, md.live(["A"], source=exchange, name="left") as session:
            await until(lambda: _received(session) == 29)

    asyncio.run(replay())
    receipt.left_path.unlink()


@pytest.mark.outer
def test_the_same_name_replaces_the_old_session_before_it_connects(until):
    async def main():
        limits = md.PlanLimits(connections=1)
        async with _busy(limits=limits) as exchange:
            sessions = []
            for _ in range(3):
                sessions.append(md.live(SYMBOLS, source=exchange, name="again").start())
                await until(lambda: _received(sessions[-1]) > 10)
            assert [session.running for session in sessions] == [False, False, True]
            statistics = exchange.statistics()
            assert statistics["refused"] == {}
            assert statistics["connections_total"] == 3
            await sessions[-1].stop()
            for session in sessions:
                assert session.receipt.balanced

    asyncio.run(main())


def test_a_replaced_session_that_never_started_says_so_when_started(until):
    async def main():
        old = md.live(SYMBOLS, source="simulated", name="never")
        async with md.live(SYMBOLS, source="simulated", name="never") as new:
            await until(lambda: _received(new) > 0)
            with pytest.raises(SessionError):
                old.start()

    asyncio.run(main())


def test_a_session_that_has_ended_takes_no_time_from_its_successor(monkeypatch, until):
    """Its end would be shown in its own loop, which `run_blocking` of the successor blocks."""

    async def main():
        old = md.live(SYMBOLS, source="simulated", name="former").start()
        await until(lambda: _received(old) > 0)
        await old.stop()

        shown = []

        async def shows_its_end():
            shown.append(asyncio.get_running_loop())

        monkeypatch.setattr(old, "_show_end", shows_its_end)
        source = md.Simulated(SYMBOLS, speed=None, count=100)
        new = md.live(source=source, name="former")
        assert new.run_blocking(100).reason == "the source ended"
        assert shown == []

    asyncio.run(main())


def test_blocking_the_loop_of_the_session_whose_name_is_taken_is_refused(until):
    async def main():
        old = md.live(SYMBOLS, source="simulated", name="shared").start()
        await until(lambda: _received(old) > 0)
        new = md.live(SYMBOLS, source=md.Simulated(SYMBOLS, speed=None, count=10), name="shared")
        with pytest.raises(SessionError, match=r"session 'shared' still runs in this very loop"):
            new.run_blocking(1)
        await old.stop()
        assert new.run_blocking().totals["received"] > 0

    asyncio.run(main())


def test_blocking_on_a_session_that_has_ended_says_that_it_has():
    async def main():
        session = md.live(source=md.Simulated(SYMBOLS, speed=None, count=10), name="over")
        await session.run()
        with pytest.raises(SessionError, match="has ended; make a new one"):
            session.run_blocking(1)

    asyncio.run(main())


@pytest.mark.parametrize("seconds", ["5", -1, float("nan"), True, [3]])
def test_what_is_no_number_of_seconds_is_refused_before_anything_starts(seconds):
    session = md.live(SYMBOLS, source="simulated", name="no time")
    with pytest.raises(SettingsError, match=r"seconds is .* give a number of seconds"):
        session.run_blocking(seconds)
    with pytest.raises(SettingsError, match=r"seconds is .* give a number of seconds"):
        asyncio.run(session.run(seconds))
    assert session.state == "not started"
    assert session.explain().startswith("Not started: ")


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_a_failure_is_raised_by_the_next_call_once(list_source, depth_message, until, runner):
    async def main():
        @md.strategy("depth")
        def fails(book):
            raise ValueError("broken")

        session = md.live(
            source=list_source([[depth_message("A", 1)]], ends=False),
            strategies=[fails],
            on_error="raise",
            runner=runner,
            name="fails",
        ).start()
        await until(lambda: not session.running)
        with pytest.raises(StrategyError, match="broken"):
            session.ledger()
        assert session.ledger()["dead_lettered"].sum() == 1
        assert "failed" in repr(session)
        assert "broken" in session.explain()
        with pytest.raises(StrategyError):
            await session.stop()

    asyncio.run(main())


def test_a_full_disk_quota_stops_the_session_with_the_cure(list_source, depth_message):
    async def main():
        @md.strategy("depth")
        async def hangs(book):
            await asyncio.sleep(0.01)

        settings = md.Settings(spill_quota_bytes=300)
        batches = [[depth_message("A", n) for n in range(50)]]
        session = md.live(
            source=list_source(batches),
            strategies=[hangs],
            maxsize=1,
            overflow="spill",
            settings=settings,
            name="quota",
        )
        with pytest.raises(SpillQuotaError, match="SPILL_QUOTA_BYTES"):
            await session.run()
        return session.receipt

    assert asyncio.run(main()).balanced


def test_async_with_stops_and_lets_errors_through():
    async def main():
        with pytest.raises(KeyError):
            async with md.live(source="simulated", name="with") as session:
                raise KeyError("mine")
        assert session.receipt.balanced

    asyncio.run(main())


@pytest.mark.outer
@pytest.mark.parametrize("overflow", ["block", "spill", "drop_oldest", "drop_newest", "conflate"])
def test_the_ledger_balances_at_every_instant_of_a_flood(exchange_process, overflow):
    exchange = exchange_process(SYMBOLS, scenario="flood")
    looks = []

    async def main():
        @md.strategy("depth")
        async def slow(book):
            await asyncio.sleep(0)

        async with md.live(
            SYMBOLS,
            channels=["depth", "trade"],
            source=exchange,
            strategies=[slow],
            maxsize=100,
            overflow=overflow,
            block_timeout=0.01,
            name="flood",
        ) as session:
            while not looks or looks[-1] < 3000:
                assert not session.pipeline.ledger.imbalance()
                frame = session.ledger()
                assert (frame["received"] == frame.drop(columns="received").sum(axis=1)).all()
                looks.append(_received(session))
                await asyncio.sleep(0)
            session.pause()
        return session.receipt

    receipt = asyncio.run(main())
    assert len(looks) > 20
    assert receipt.balanced
    if overflow in ("block", "spill"):
        assert receipt.totals["dropped"] == receipt.totals["conflated"] == 0


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"source": "tickdb"}, AuthenticationError, "TICKDB_API_KEY"),
        ({"source": "nonsense"}, SettingsError, "is not a source"),
        ({"source": 7}, SettingsError, "is not a source"),
        ({"source": "ws://h/?api_key=secret-1"}, SettingsError, "api_key="),
        ({"source": "https://h/?api_key=secret-1"}, SettingsError, "source"),
        ({"channels": ["book"]}, SettingsError, "'book' does not exist"),
        ({"channels": []}, SettingsError, "channels is empty"),
        ({"runner": "cloud"}, SettingsError, "runner='cloud'"),
        ({"on_error": "ignore"}, SettingsError, "on_error='ignore'"),
        ({"workers": 0}, SettingsError, "workers=0"),
        ({"workers": "4"}, SettingsError, "workers='4'"),
        ({"max_retries": -1}, SettingsError, "max_retries=-1"),
        ({"symbols": "AAPL.US,MSFT.US"}, SettingsError, r"\['AAPL.US', 'MSFT.US'\]"),
        ({"symbols": 5}, SettingsError, "5 is not a symbol"),
        ({"symbols": [None], "source": "ws://127.0.0.1:9"}, SettingsError, "None is not a symbol"),
        ({"symbols": "", "source": "ws://127.0.0.1:9"}, SettingsError, "'' is not a symbol"),
        ({"overflow": {"depht": "spill"}}, SettingsError, "'depht'"),
        ({"strategies": print}, SettingsError, "md.messages"),
        ({"maxsize": 0}, SettingsError, "maxsize=0"),
        ({"overflow": "lose"}, SettingsError, "overflow='lose'"),
        ({"strategies": [print]}, SettingsError, "md.messages"),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(options, error, told):
    with pytest.raises(error, match=told) as caught:
        md.live(**{"source": "demo", **options})
    assert "secret-1" not in str(caught.value)


def test_one_strategy_needs_no_list():
    session = md.live(source="demo", strategies=md.strategies.SmaCross, bars="1m", name="one")
    assert [strategy.name for strategy in session.pipeline.strategies] == ["SmaCross"]


def test_without_a_key_it_says_that_the_data_are_simulated(capsys, monkeypatch):
    session = md.live(name="default source")
    assert "embedded exchange" in capsys.readouterr().out
    assert session.pipeline.source.name == "embedded exchange"
    monkeypatch.setenv("TICKDB_API_KEY", "sk-1")
    session = md.live(name="default source")
    assert "TickDB" in capsys.readouterr().out
    assert session.pipeline.source.url.startswith("wss://api.tickdb.ai")
    assert threading.active_count() >= 1


@pytest.mark.outer
def test_stop_before_start_is_told():
    session = md.live(source="demo", name="early")
    session.stop()  # may be left alone, as when a session runs
    with pytest.raises(SessionError, match=r"before it started.*can still be started"):
        session.stop().result(1)
    assert session.state == "not started"
    assert session.run_blocking(0.3).balanced
    assert session.state == "stopped"


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_stop_waits_where_no_loop_runs(list_source, depth_message, runner):
    source = list_source([[depth_message("A", n)] for n in range(50)], ends=False)
    session = md.live(source=source, runner=runner, name="script").start()
    receipt = session.stop()
    assert isinstance(receipt, Receipt)
    assert not session.running
    assert receipt is session.receipt is session.stop() is session.stop().result(1)
    with pytest.raises(SessionError, match="has ended"):
        session.start()

    async def wait():
        return await receipt

    assert asyncio.run(wait()) is receipt


def test_stop_raises_what_made_it_fail_where_it_waits(list_source, depth_message, wait_until):
    @md.strategy("depth")
    def wrong(book):
        raise ValueError("wrong")

    source = list_source([[depth_message("A")]], ends=False)
    session = md.live(source=source, strategies=[wrong], on_error="raise", name="script").start()
    wait_until(lambda: session.state == "failed")
    with pytest.raises(StrategyError, match="ValueError: wrong"):
        session.stop()


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_a_start_while_it_is_being_stopped_is_told(list_source, runner):
    async def main():
        session = md.live(source=list_source([], ends=False), runner=runner, name="restart")
        await asyncio.sleep(0)
        stopping = session.start().stop()
        if session.running:
            with pytest.raises(SessionError, match="is being stopped: `await session"):
                session.start()
        receipt = await stopping
        assert receipt.balanced
        with pytest.raises(SessionError, match="has ended"):
            session.start()

    asyncio.run(main())


def test_a_start_in_a_script_waits_for_the_end(list_source):
    session = md.live(source=list_source([], ends=False), runner="thread", name="restart").start()
    session._begin_to_stop(10.0)  # as a loop in another thread does
    with pytest.raises(SessionError, match="has ended"):
        session.start()
    assert session.receipt is not None


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_a_session_that_is_stopped_before_its_loop_comes_to_it_never_begins(
    list_source, until, runner
):
    async def main():
        before = md.live(source=list_source([], ends=False), name="hasty").start()
        await until(lambda: before.pipeline._started_at)
        for _ in range(10):  # each is to replace the one before, and is stopped before it can
            session = md.live(source=list_source([], ends=False), runner=runner, name="hasty")
            receipt = await session.start().stop()
            assert receipt.balanced
            assert receipt.drained
            assert "stopped" in repr(session)
        assert before.receipt is not None

    asyncio.run(main())
