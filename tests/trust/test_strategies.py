"""Strategies that misbehave: the session goes on, says so, and can be stopped."""

import asyncio
import threading
import time

import numpy as np
import pytest

import mdkit as md
from mdkit.errors import SessionError, StrategyError
from mdkit.events import Gap
from mdkit.notebook.loops import LoopThread
from mdkit.pipeline.explain import explain
from mdkit.pipeline.health import Sample
from mdkit.session.stopping import awaitable
from mdkit.workers.watchdog import Watchdog


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def _raises(book):
    raise ValueError("x" * 10_000_000)


def _cannot_say(book):
    raise UnprintableError


def _leaves(book):
    raise SystemExit(3)


class PanicException(BaseException):
    pass


def _panics(book):
    raise PanicException("called `Option::unwrap()` on a `None` value")


def _says_cancelled(book):
    raise asyncio.CancelledError


def _changes_the_event(book):
    book.symbol = "mine"


def _recurses(book):
    return _recurses(book)


async def _something():
    return 1.0


BAD = {
    "raises": (_raises, "ValueError"),
    "cannot say why": (_cannot_say, "its message cannot be had"),
    "leaves": (_leaves, "SystemExit"),
    "panics": (_panics, "PanicException: called `Option::unwrap()`"),
    "is cancelled": (_says_cancelled, "CancelledError"),
    "nan": (lambda book: float("nan"), "returned nan"),
    "a string": (lambda book: "buy", "returned a str"),
    "a huge array": (lambda book: np.zeros(1_000_000), "returned a ndarray"),
    "changes the event": (_changes_the_event, "immutable"),
    "recurses": (_recurses, "RecursionError"),
    "a coroutine": (lambda book: _something(), "nobody awaits"),
}


@pytest.mark.outer
@pytest.mark.parametrize("kind", ["depth", "bar"])
@pytest.mark.parametrize("name", BAD)
def test_a_failing_strategy_buries_its_messages_alone(name, kind, list_source, depth_message):
    function, words = BAD[name]
    calls = []
    trades = [
        b'{"cmd":"trade","data":{"symbol":"A","trades":[{"id":"%d","price":"10.5","quantity":"1",'
        b'"side":"buy","timestamp":%d}]}}' % (n, 1_700_000_000_000 + 60_000 * n)
        for n in range(20)
    ]

    @md.strategy(kind)
    def good(event):
        calls.append(event)
        return 1.0

    async def main():
        session = md.live(
            source=list_source([[depth_message("A", n)] for n in range(20)] + [trades]),
            channels=["depth", "trade"],
            strategies=[md.strategy(kind)(function), good],
            bars="1m" if kind == "bar" else None,
            name="bad",
        )
        return session, await session.run()

    session, receipt = asyncio.run(main())
    assert receipt.balanced
    assert receipt.drained
    assert calls
    assert receipt.totals["dead_lettered"] == len(calls)
    letter = session.dead_letters().iloc[-1]
    assert words in letter["error"]
    assert len(letter["error"]) + len(letter["traceback"]) < 50_000


def test_messages_refuses_a_function_that_gives_something_to_await(list_source):
    raw = (
        b'{"cmd":"depth","data":{"symbol":"A","bids":[["1","1"]],"asks":[["2","1"]],"timestamp":1}}'
    )

    async def post(message):
        return 1.0

    async def main(function):
        source = list_source([[raw]])
        session = md.live(source=source, strategies=[md.messages(function)], name="messages")
        return session, await session.run()

    session, receipt = asyncio.run(main(lambda message: post(message)))
    assert receipt.totals["dead_lettered"] == 1
    assert "async function itself" in session.dead_letters()["error"].iloc[0]
    _, receipt = asyncio.run(main(post))
    assert receipt.signals == 1


def test_a_callback_that_leaves_does_not_end_the_session(list_source, depth_message):
    async def main():
        source = list_source([[depth_message("A", n)] for n in range(5)])
        one = md.strategy("depth")(lambda book: 1.0)
        session = md.live(source=source, strategies=[one], name="callback")
        session.pipeline.on_signal(_leaves)
        session.pipeline.on_signal(_cannot_say)
        return session, await session.run()

    session, receipt = asyncio.run(main())
    assert receipt.totals["processed"] == 5
    assert "SystemExit" in " ".join(session.pipeline.lanes.outcome.callback_errors)


class Dies:
    """A strategy of which one part fails in a way that is no `Exception`."""

    def __init__(self, where, error):
        self.where, self.error = where, error

    def make(self):
        where, error = self.where, self.error

        @md.strategy("depth")
        class Dying:
            def start(self):
                if where == "start":
                    raise error

            def __call__(self, book):
                if where == "call":
                    raise error
                return 1.0

            def on_gap(self, gap):
                if where == "on_gap":
                    raise error

        return Dying


@pytest.mark.parametrize("error", [PanicException("out"), SystemExit(3)])
@pytest.mark.parametrize("runner", ["notebook", "thread"])
@pytest.mark.parametrize("where", ["call", "on_gap", "start"])
def test_what_a_session_died_of_is_not_its_successors(
    where, runner, error, list_source, depth_message
):
    empty = b'{"cmd":"depth","data":{"symbol":"A","bids":[],"asks":[],"timestamp":5}}'
    batches = [[depth_message("A", 1), empty, depth_message("A", 2)]]

    async def main():
        session = md.live(
            source=list_source(batches),
            strategies=[Dies(where, error).make()],
            runner=runner,
            name="dies",
        )
        if where == "start":
            with pytest.raises(StrategyError, match=r"Dying could not begin: .*(out|3)"):
                await session.run()
        else:
            receipt = await session.run()
            assert receipt.totals["dead_lettered"] == (3 if where == "call" else 0)
            assert len(session.stats()["callback_errors"]) == (2 if where == "on_gap" else 0)
        good = md.strategy("depth")(lambda book: 2.0)
        for _ in range(2):
            after = md.live(
                source=list_source(batches), strategies=[good], runner=runner, name="dies"
            )
            assert (await after.run()).totals["processed"] == 3
            assert after.signals()["value"].tolist() == [2.0, 2.0, 2.0]

    asyncio.run(main())


def test_a_session_takes_the_name_of_one_that_any_exception_ended(list_source, depth_message):
    async def main():
        source = list_source([[depth_message("A", 1)]])

        async def run(sink):
            raise PanicException("of a library that the source uses")

        source.run = run
        died = md.live(source=source, name="died")
        died.start()
        await asyncio.wait([awaitable(died._ended)])
        assert died.state == "failed"
        after = md.live(source=list_source([[depth_message("A", 1)]]), name="died")
        assert (await after.run()).totals["processed"] == 1

    asyncio.run(main())


@pytest.mark.outer
def test_a_panic_in_a_worker_process_is_a_dead_letter(list_source, depth_message):
    async def main():
        session = md.live(
            source=list_source([[depth_message("A", n)] for n in range(5)]),
            strategies=[md.strategy("depth")(_panics)],
            worker_kind="process",
            workers=1,
            name="panic in a process",
        )
        return session, await session.run()

    session, receipt = asyncio.run(main())
    assert receipt.totals["dead_lettered"] == 5
    assert receipt.balanced
    assert "PanicException" in session.dead_letters()["error"].iloc[0]


def test_threads_of_a_strategy_may_ask_the_session(list_source, depth_message, wait_until):
    answers = []
    source = list_source([[depth_message("A", n)] for n in range(3)], ends=False)

    @md.strategy("depth")
    def asks(book):
        threading.Thread(target=lambda: answers.append(len(session.ledger()))).start()

    session = md.live(source=source, strategies=[asks], runner="thread", name="asks")
    session.start()
    wait_until(lambda: len(answers) == 3)
    assert session.stop().result(20).balanced


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_a_strategy_may_stop_its_session(runner, list_source, depth_message):
    async def main():
        source = list_source([[depth_message("A", n)] for n in range(50)], ends=False)

        @md.strategy("depth")
        def stops(book):
            session.stop()

        session = md.live(source=source, strategies=[stops], runner=runner, name="stops")
        return await session.run()

    receipt = asyncio.run(main())
    assert receipt.balanced
    assert receipt.drained


def test_a_strategy_may_stop_its_session_before_start_has_come_back(
    list_source, depth_message, wait_until, monkeypatch
):
    stopped = []

    class SlowToComeBack(LoopThread):
        def __init__(self, work, name):
            super().__init__(work, name)
            wait_until(lambda: stopped)

    @md.strategy("depth")
    def stops(book):
        session.stop()
        stopped.append(book)

    monkeypatch.setattr("mdkit.session.session.LoopThread", SlowToComeBack)
    source = list_source([[depth_message("A", 1)]], ends=False)
    session = md.live(source=source, strategies=[stops], runner="thread", name="stops at once")
    session.start()
    wait_until(lambda: not session.running, timeout=20)
    assert session.receipt.balanced


def test_a_session_that_is_stopped_before_its_thread_runs_ends(list_source, monkeypatch):
    class NotYet(LoopThread):
        def __init__(self, work, name):
            stopping.append(session.stop())
            super().__init__(work, name)

    stopping = []
    monkeypatch.setattr("mdkit.session.session.LoopThread", NotYet)
    session = md.live(source=list_source([], ends=False), runner="thread", name="not yet")
    session.start()
    assert stopping[0].result(20).balanced


def test_a_strategy_that_awaits_the_end_of_its_session_cannot_prevent_it(
    list_source, depth_message
):
    async def main():
        source = list_source([[depth_message("A", n)] for n in range(5)], ends=False)

        @md.strategy("depth")
        async def waits(book):
            await session.stop(timeout=0.05)

        session = md.live(source=source, strategies=[waits], name="waits for itself")
        return await session.run()

    receipt = asyncio.run(main())
    assert receipt.balanced
    assert not receipt.drained
    receipt.left_path.unlink()


def test_awaiting_for_long_is_explained(list_source, depth_message, until, monkeypatch):
    monkeypatch.setattr("mdkit.pipeline.explain._LONG", 0.05)

    async def main():
        source = list_source([[depth_message("A", 1)]], ends=False)

        @md.strategy("depth")
        async def patient(book):
            await asyncio.Event().wait()

        session = md.live(source=source, strategies=[patient], name="patient").start()
        await until(lambda: "trategy patient has awaited" in session.explain())
        receipt = await session.stop(timeout=0.05)
        assert receipt.totals["dead_lettered"] == 1

    asyncio.run(main())


@pytest.fixture
def held_session(list_source, depth_message, wait_until):
    """A session in a thread whose strategy does not return until the test is over."""
    release = threading.Event()
    source = list_source([[depth_message("A", n)] for n in range(3)], ends=False)

    @md.strategy("depth")
    def never_returns(book):
        release.wait(60)

    session = md.live(source=source, strategies=[never_returns], runner="thread", name="held")
    told = []
    session.pipeline.watchdog = Watchdog(
        lambda: session.pipeline.lanes.running, told.append, noted=0.05, told=0.1
    )
    session.start()
    wait_until(lambda: told)
    session.told = told
    yield session
    release.set()
    assert session.stop().result(20).balanced
    explained = session.pipeline.watchdog.longest
    assert explained.by == "Strategy never_returns"


def test_a_strategy_that_never_returns_is_named(held_session, caplog, monkeypatch):
    assert [held.by for held in held_session.told] == ["Strategy never_returns"]
    assert [held.symbol for held in held_session.told] == ["A"]
    assert "test_strategies.py" in held_session.told[0].where
    assert (
        "Strategy never_returns has held the event loop"
        in caplog.get_records("setup")[0].getMessage()
    )
    assert held_session.explain().startswith("Strategy never_returns has held")
    monkeypatch.setattr("mdkit.notebook.loops.call_in.__defaults__", (0.05,))
    with pytest.raises(SessionError, match="Strategy never_returns has held the event loop"):
        held_session.ledger()


def test_stopping_does_not_wait_for_ever_for_a_strategy(held_session):
    with pytest.raises(SessionError, match="cannot stop: Strategy never_returns"):
        held_session.stop(timeout=0.1).result()

    async def main():
        await held_session.stop(timeout=0.1)

    with pytest.raises(SessionError, match="cannot stop: Strategy never_returns"):
        asyncio.run(main())


def test_the_longest_block_is_blamed_on_the_strategy(until):
    async def main():
        dog = Watchdog(lambda: session.pipeline.lanes.running, lambda held: None, noted=0.2)

        @md.strategy("depth")
        def sleeps(book):
            if session.pipeline.monitor.recent():  # how late the loop is has been looked at before
                while dog.longest is None or dog.longest.seconds < 0.8:
                    time.sleep(0.01)

        session = md.live(["AAPL.US"], source="simulated", strategies=[sleeps], name="sleeps")
        session.pipeline.watchdog = dog
        session.start()
        await until(lambda: session.pipeline.monitor.blocks)
        explained = session.explain()
        await session.stop()
        assert "by strategy sleeps (test_strategies.py" in explained

    asyncio.run(main())


def test_whoever_holds_the_loop_behind_an_await_is_named(list_source, depth_message, wait_until):
    """Others await meanwhile: what was called last, or first, is not who holds the loop."""
    release = threading.Event()

    @md.strategy("depth")
    async def patient(book):
        await asyncio.sleep(0)
        await asyncio.Event().wait()

    @md.strategy("depth")
    async def blocks(book):
        await asyncio.sleep(0.05)
        if book.symbol == "B":
            release.wait(60)

    source = list_source([[depth_message(symbol, 1) for symbol in "ABC"]], ends=False)
    session = md.live(source=source, strategies=[blocks, patient], runner="thread", name="behind")
    told, running = [], lambda: session.pipeline.lanes.running
    session.pipeline.watchdog = Watchdog(running, told.append, noted=0.05, told=0.1)
    session.start()
    wait_until(lambda: told)
    assert (told[0].by, told[0].symbol) == ("Strategy blocks", "B")
    assert "in blocks" in told[0].where
    release.set()
    receipt = session.stop(timeout=0.5).result(20)
    assert receipt.balanced
    if receipt.left_path is not None:
        receipt.left_path.unlink()


def test_lanes_say_what_they_are_calling_and_with_what(list_source, depth_message, until):
    seen = []

    def note(event):
        called, given = session.pipeline.lanes.running
        seen.append((str(called), given.symbol, given is event))

    @md.strategy("depth")
    class Plain:
        def start(self):
            self.tries = 0

        def __call__(self, book):
            note(book)
            self.tries += 1
            if self.tries == 1:
                raise md.TransientError("again")
            return 1.0

        def on_gap(self, gap):
            note(gap)

    @md.strategy("depth")
    class Awaits:
        async def __call__(self, book):
            note(book)
            await asyncio.sleep(0)
            note(book)

        async def on_gap(self, gap):
            await asyncio.sleep(0)
            note(gap)

    @md.strategy("depth", per="session")
    def fails(book):
        raise ValueError("no")

    async def main():
        nonlocal session
        source = list_source([[depth_message("A", 1)]], ends=False)
        session = md.live(source=source, strategies=[Plain, fails, Awaits], name="calls")
        session.on_signal(lambda signal: seen.append(str(session.pipeline.lanes.running[0])))
        session.pipeline.gap(Gap("A", "depth", "a test", 1, 2))
        session.start()
        await until(lambda: session.ledger()["dead_lettered"].sum())
        assert session.pipeline.lanes.running is None
        await session.stop()

    session = None
    asyncio.run(main())
    plain, awaits = ("Strategy Plain", "A", True), ("Strategy Awaits", "A", True)
    gaps, books = [plain, awaits], [plain, plain, awaits, awaits]
    assert seen == [*gaps, *books, "An on_signal callback"]


def test_a_busy_cell_is_none_of_the_watchdogs_business():
    told, looks = [], []

    def clock():
        looks.append(time.monotonic())
        return looks[-1]

    dog = Watchdog(lambda: None, told.append, noted=0.05, told=0.05, clock=clock)
    dog.start()
    while len(looks) < 2 or looks[-1] - looks[0] < 0.3:  # as a cell that computes
        sum(range(100))
    dog.stop()
    assert not told
    assert dog.held is None


def test_a_standstill_of_worker_processes_is_explained(list_source, depth_message):
    async def main():
        source = list_source([[depth_message("A", n)] for n in range(3)], ends=False)
        never = md.strategy("depth")(lambda book: None)
        session = md.live(source=source, strategies=[never], name="standstill")
        pipeline = session.pipeline
        for tick in range(pipeline.monitor.window):
            counts = dict.fromkeys(("dropped", "conflated", "spilled"), 0)
            times = dict.fromkeys(("lag", "busy", "blocked"), 0.0)
            pipeline.monitor.add(
                Sample(0.2 * tick, tick, 7, queued=5, maxsize=9, **counts, **times)
            )
        return explain(pipeline)

    said = asyncio.run(main())
    assert "othing has been handled for 5 s though messages wait" in said
    assert "<lambda>" in said
