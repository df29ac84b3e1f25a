"""Lanes in worker processes do what lanes in tasks do, and survive what tasks cannot."""

import asyncio
import os
import signal
import threading

import pandas as pd
import pytest

import mdkit as md
from mdkit.errors import SessionError, SettingsError, StrategyError
from mdkit.events import Gap
from mdkit.pipeline.explain import diagnose, explain
from mdkit.pipeline.memory import memory
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.replay.replay import replay
from mdkit.strategies.contract import as_strategy
from mdkit.views.dashboard.gaps import RecentGaps

pytestmark = pytest.mark.outer

SYMBOLS = [f"S{number}" for number in range(6)]
T0 = 1_700_000_000_000_000_000


@md.strategy("depth")
class Memory:
    """Depends on everything it has seen, and on the order."""

    def start(self):
        self.value = 0.0
        self.gaps = 0

    def __call__(self, book):
        self.value = 0.5 * self.value + book.bids[0][0] + 1000.0 * self.gaps
        return self.value

    def on_gap(self, gap):
        self.gaps += 1


@md.strategy("depth")
def picky(book):
    if book.bids[0][0] % 7 < 1:
        raise ValueError(f"no {book.bids[0][0]:g}")
    return book.bids[0][0]


@md.strategy("depth")
async def slow(book):
    await asyncio.sleep(0.001)
    return book.asks[0][0]


@md.strategy("depth", per="session")
class Everything:
    def start(self):
        self.seen = 0

    def __call__(self, book):
        self.seen += 1
        return float(self.seen)


@md.strategy("bar")
class Closes:
    def __call__(self, bar):
        return bar.close


@md.strategy("depth")
def deadly(book, at=100_050.0):
    if book.bids[0][0] == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return book.bids[0][0]


@md.strategy("depth")
def who(book):
    return float(os.getpid())


@md.strategy("depth")
def busy(book):
    return float(sum(range(20_000)))


@md.strategy("depth")
def light(book):
    return book.bids[0][0]


@pytest.fixture
def batches(depth_message):
    """Books of six symbols, some of them broken, with prices that tell them apart."""

    def make(count=40):
        made = [
            depth_message(symbol, number) if number % 11 else b'{"cmd":"depth",'
            for number in range(count)
            for symbol in SYMBOLS
        ]
        return [made[i : i + 17] for i in range(0, len(made), 17)]

    return make


def signals_of(pipeline):
    """Signals by symbol and strategy, in order."""
    found = {}
    frame = pipeline.signals.snapshot()
    for row in frame.itertuples():
        found.setdefault((row.symbol, row.strategy), []).append((row.Index.value, row.value))
    return found


def run(source, strategies, **options):
    async def play():
        pipeline = Pipeline(source, [as_strategy(s) for s in strategies], **options)
        pipeline.start()
        receipt = await pipeline.wait()
        return pipeline, receipt

    return asyncio.run(play())


@pytest.mark.starts_workers
def test_processes_give_the_same_bits_as_tasks(list_source, batches):
    strategies = [Memory, picky, slow]
    one, told_one = run(list_source(batches()), strategies, workers=2)
    two, told_two = run(list_source(batches()), strategies, workers=2, worker_kind="process")
    assert signals_of(two) == signals_of(one)
    assert dict(told_two.totals) == dict(told_one.totals)
    assert told_two.balanced
    assert told_two.totals["dead_lettered"] > 0
    assert told_two.totals["invalid"] > 0
    for symbol in SYMBOLS:
        ours, theirs = (p.frames.frame("depth", symbol) for p in (two, one))
        assert ours.equals(theirs)
    outcomes = one.lanes.outcome, two.lanes.outcome
    assert outcomes[1].invalid_reasons == outcomes[0].invalid_reasons
    assert sorted(x.error for x in outcomes[1].dead_letters) == sorted(
        x.error for x in outcomes[0].dead_letters
    )
    for timer in two.timers.values():
        assert timer.samples > 0


def test_gaps_and_drops_come_in_their_places(list_source, batches):
    def played(**options):
        source = list_source(batches())
        deliver_all = source.run

        async def run_with_gaps(sink):
            await deliver_all(sink)
            for symbol in SYMBOLS:
                sink.gap(Gap(symbol, "depth", "a test", T0, T0 + 1))
            await deliver_all(sink)

        source.run = run_with_gaps
        return run(source, [Memory], maxsize=100_000, **options)

    one, _ = played(workers=1)
    two, _ = played(workers=2, worker_kind="process")
    assert signals_of(one) == signals_of(two)
    for symbol in SYMBOLS:
        assert two.frames.frame("depth", symbol).gap.sum() == 1


def test_bars_are_folded_in_the_process(exchange_process, until):
    exchange = exchange_process(["AAPL.US", "MSFT.US"], speed=60, scenario="steady")

    async def play():
        session = md.live(
            source=exchange,
            strategies=[Closes],
            bars="1m",
            warmup=3,
            worker_kind="process",
            workers=2,
        )
        async with session:
            await until(lambda: (session.signals().symbol.value_counts() >= 6).sum() == 2)
        return session

    session = asyncio.run(play())
    bars = session.frame("bar", "AAPL.US")
    whole = bars[~bars.partial]
    said = session.signals()
    closes = said[said.symbol == "AAPL.US"].value.tolist()
    assert whole.close.tolist()[: len(closes)] == closes
    assert whole.index.is_monotonic_increasing
    assert set(whole.source) == {"live", "rest"}


def test_one_strategy_over_all_symbols_stays_in_one_process(list_source, batches):
    pipeline, receipt = run(
        list_source(batches(12)), [Everything], workers=2, worker_kind="process"
    )
    ((_, said),) = [(k, v) for k, v in _by_strategy(pipeline).items()]
    assert said == [float(n) for n in range(1, receipt.totals["processed"] + 1)]


def _by_strategy(pipeline):
    found = {}
    for row in pipeline.signals.snapshot().itertuples():
        found.setdefault(row.strategy, []).append(row.value)
    return found


def test_symbols_are_spread_over_the_processes(list_source, batches):
    pipeline, _ = run(list_source(batches(5)), [who], workers=3, worker_kind="process")
    by_symbol = pipeline.signals.snapshot().groupby("symbol").value.nunique()
    assert (by_symbol == 1).all()
    assert pipeline.signals.snapshot().value.nunique() == 3


@pytest.mark.starts_workers
def test_a_process_that_dies_is_replaced_and_what_it_held_is_counted(
    list_source, batches, tmp_path
):
    # Later than what fits into the first batches, so that some of it is handled.
    strategy = deadly.with_params(at=101_400.0)
    path = tmp_path / "a.jsonl"
    pipeline, receipt = run(
        list_source(batches(1500)),
        [strategy],
        workers=2,
        worker_kind="process",
        recorder=Recorder(path),
    )
    assert receipt.balanced
    assert pipeline.lanes.deaths >= 1
    assert receipt.totals["dead_lettered"] >= 1
    assert receipt.totals["in_flight"] == 0
    assert receipt.totals["processed"] > 0
    letters = {letter.error for letter in pipeline.lanes.outcome.dead_letters}
    assert all("died with exit code -9 while it held this" in letter for letter in letters)
    gaps = [gap for gap in pipeline.gaps if "begin anew" in gap.reason]
    assert {gap.symbol for gap in gaps} == set(SYMBOLS)
    assert 0 not in {gap.lost for gap in gaps}, "which would say that nothing is missing"
    assert sum(gap.lost or 0 for gap in gaps) == receipt.totals["dead_lettered"]
    # A replay leaves out what nobody has heard the answers to.
    replayed, again = run(replay(path, None), [md.strategies.pressure])
    assert again.totals["processed"] == receipt.totals["processed"]
    assert sum(gap.lost for gap in replayed.gaps) == receipt.totals["dead_lettered"]


def test_a_death_is_shown_where_it_happened_even_if_no_message_died(exchange_process, until):
    """The feed lacks nothing then, but strategies have forgotten all that they had seen."""
    exchange = exchange_process(["AAPL.US", "MSFT.US"], rate=20)

    async def play():
        session = md.live(source=exchange, strategies=[Memory], worker_kind="process", workers=1)
        async with session:
            await until(lambda: len(session.frame("depth", "MSFT.US")) > 10)
            lanes = session.pipeline.lanes
            await until(lambda: not lanes.processes[0].outstanding)
            lanes.processes[0].child.kill()
            await until(lambda: lanes.deaths)
            view = RecentGaps()
            view.look(session.pipeline)
            unseen = view.stretches
            seen = len(session.frame("depth"))
            await until(lambda: len(session.frame("depth")) > seen + 20)
        return session, unseen

    session, unseen = asyncio.run(play())
    gaps = session.gaps()
    assert set(gaps.symbol) == {"AAPL.US", "MSFT.US"}
    assert gaps.reason.str.contains("begin anew").all()
    assert (gaps.lost.isna() | (gaps.lost > 0)).all()
    # A message may have been on its way when the process died, which is a stretch of its own.
    assert len({stretch.reason for stretch in unseen}) == 1
    shades = [patch for axes in session.plot().axes for patch in axes.patches]
    assert len(shades) >= 2, "in both panels"
    lost = gaps.set_index("symbol").lost
    for symbol in lost.index:
        assert session.frame("depth", symbol).gap.any() == (not pd.isna(lost[symbol]))


def test_a_process_that_dies_again_and_again_ends_the_session(list_source, batches):
    async def play():
        strategy = deadly.with_params(at=100_001.0)
        source = list_source(batches(3) * 1500)
        pipeline = Pipeline(source, [strategy], workers=1, worker_kind="process")
        pipeline.start()
        with pytest.raises(SessionError, match="died 5 times within a minute"):
            await pipeline.wait()
        assert pipeline.receipt.balanced
        if pipeline.receipt.left_path is not None:
            pipeline.receipt.left_path.unlink()

    asyncio.run(play())


@pytest.mark.starts_workers
def test_a_strategy_that_never_returns_is_named_and_stopping_accounts_for_all(
    list_source, batches, until, caplog
):
    """Its process cannot answer, but the process's watchdog has a way of its own to tell."""

    @md.strategy("depth")
    def stuck(book):
        while book.symbol == "S3":
            pass
        return 1.0

    async def play():
        source = list_source(batches(20), ends=False)
        pipeline = Pipeline(source, [light, stuck], workers=2, worker_kind="process")
        pipeline.start()
        await until(lambda: pipeline.problems)
        held = [process.held for process in pipeline.lanes.processes.values()]
        held.remove(None)  # the other process goes on
        assert memory(pipeline)["handed_over"] > 0
        receipt = await pipeline.stop(0.2)
        if receipt.left_path is not None:
            receipt.left_path.unlink()
        return pipeline, receipt, held[0]

    pipeline, receipt, held = asyncio.run(play())
    said = "Strategy stuck has held the event loop of worker process"
    assert str(pipeline.problems[0]).startswith(said)
    assert said in caplog.text
    assert (held.by, held.symbol) == ("Strategy stuck", "S3")
    assert "test_lanes.py" in held.where
    assert receipt.balanced
    assert receipt.totals["in_flight"] == 0
    assert pipeline.ledger.counts("S3", "depth").queued > 0
    assert receipt.left + receipt.totals["processed"] + receipt.totals["invalid"] == 120


def test_a_strategy_that_awaits_without_end_is_named_too(list_source, batches, until):
    @md.strategy("depth")
    async def waits(book):
        if book.symbol == "S3":
            await asyncio.sleep(3600)
        return 1.0

    async def play():
        source = list_source(batches(20), ends=False)
        pipeline = Pipeline(source, [light, waits], workers=1, worker_kind="process")
        pipeline.start()
        await until(lambda: pipeline.problems)
        others = [a for a in pipeline.ledger if a.symbol not in ("S3", "")]
        await until(lambda: all(a.processed == a.received for a in others))
        receipt = await pipeline.stop(0.2)
        if receipt.left_path is not None:
            receipt.left_path.unlink()
        return pipeline, receipt

    pipeline, receipt = asyncio.run(play())
    (problem,) = pipeline.problems
    assert "Strategy waits has held its lane of worker process 0" in str(problem)
    assert "over an event of S3" in str(problem)
    assert receipt.balanced
    assert receipt.totals["in_flight"] == 0
    assert receipt.left + receipt.totals["processed"] + receipt.totals["invalid"] == 120


def test_what_cannot_be_pickled_is_refused_at_once():
    lock = threading.Lock()

    @md.strategy("depth")
    def locked(book):
        with lock:
            return 1.0

    with pytest.raises(SettingsError, match="locked cannot go to a worker process"):
        md.live(["AAPL.US"], source="demo", strategies=[locked], worker_kind="process")


@pytest.mark.starts_workers
def test_a_function_of_a_notebook_or_script_goes_as_it_is(list_source, batches):
    offset = 5.0

    @md.strategy("depth")
    def local(book):
        return book.bids[0][0] + offset

    pipeline, _ = run(list_source(batches(3)), [local], workers=1, worker_kind="process")
    assert pipeline.signals.snapshot().value.min() == 100_001.0 + offset


def test_a_failure_that_should_stop_the_session_does(list_source, batches):
    async def play():
        pipeline = Pipeline(
            list_source(batches(), ends=False),
            [picky],
            workers=2,
            worker_kind="process",
            on_error="raise",
        )
        pipeline.start()
        with pytest.raises(StrategyError, match="picky failed"):
            await pipeline.wait()
        assert pipeline.receipt.balanced
        assert pipeline.receipt.totals["in_flight"] == 0
        if pipeline.receipt.left_path is not None:
            pipeline.receipt.left_path.unlink()

    asyncio.run(play())


def test_stopping_early_loses_nothing(list_source, batches, until):
    async def play():
        pipeline = Pipeline(
            list_source(batches(60), ends=False), [slow], workers=1, worker_kind="process"
        )
        pipeline.start()
        await until(lambda: pipeline.ledger.totals()["processed"] > 0)
        receipt = await pipeline.stop(0.0)
        assert receipt.balanced
        assert receipt.left + receipt.totals["processed"] + receipt.totals["invalid"] == 360
        if receipt.left_path is not None:
            receipt.left_path.unlink()

    asyncio.run(play())


def test_memory_and_deaths_of_processes_are_shown(exchange_process, until):
    exchange = exchange_process(["AAPL.US"])

    async def play():
        session = md.live(source=exchange, strategies=[who], worker_kind="process", workers=1)
        async with session:
            await until(lambda: len(session.signals()))
            told = session.stats()["workers"]
            assert told["kind"] == "process"
            assert told["deaths"] == 0
            assert told["processes"][0]["memory_bytes"] > 1_000_000
            assert session.signals().value.iloc[0] == told["processes"][0]["pid"]

    asyncio.run(play())


def test_a_diagnosis_recommends_processes_for_heavy_strategies(
    list_source, batches, until, monkeypatch
):
    """Where there are several cores and symbols, and the strategies are what takes the time."""
    monkeypatch.setattr("mdkit.pipeline.explain.cores", lambda: 4)

    async def play():
        pipeline = Pipeline(list_source(batches(2000), ends=False), [busy], workers=1, maxsize=100)
        pipeline.start()
        await until(lambda: diagnose(pipeline) == "consumer_bound")
        told = diagnose(pipeline)
        sentence = explain(pipeline)
        receipt = await pipeline.stop(0.0)
        if receipt.left_path is not None:
            receipt.left_path.unlink()
        return told, sentence

    told, sentence = asyncio.run(play())
    assert told.advice == (
        'more worker processes would help: worker_kind="process" with workers=4 would use 3 more '
        "cores"
    )
    assert told.advice in repr(told)
    assert told.advice in sentence
