"""Workers: order, retries, dead letters, and whatever a strategy may do wrong."""

import asyncio
import math
import random
from collections import defaultdict

import pytest

import mdkit as md
from mdkit.errors import StrategyError, TransientError
from mdkit.events import Depth, Trade
from mdkit.pipeline.pipeline import Pipeline
from mdkit.strategies.contract import as_strategy
from mdkit.venues.tickdb import encode, via_rest


@pytest.fixture
def run(list_source):
    """Run strategies over batches of raw messages to the end; return the pipeline."""

    def go(batches, *strategies, sleeps=None, callback=None, **options):
        async def main():
            made = [as_strategy(strategy) for strategy in strategies]
            pipeline = Pipeline(list_source(batches), made, **options)
            if sleeps is not None:

                async def sleep(seconds):
                    sleeps.append(seconds)

                pipeline.lanes.calls.sleep = sleep
            if callback:
                pipeline.on_signal(callback)
            pipeline.start()
            await pipeline.finished.wait()
            if pipeline.receipt.left_path:
                pipeline.receipt.left_path.unlink()
            assert not pipeline.ledger.imbalance()
            return pipeline

        return asyncio.run(main())

    return go


@pytest.fixture
def batches(depth_message):
    """`batches(n)` interleaves n messages of each of five symbols."""

    def make(count, symbols="ABCDE"):
        return [[depth_message(symbol, n) for symbol in symbols] for n in range(count)]

    return make


def _number(book):
    return int(book.bids[0][0]) - 100_000


@pytest.mark.parametrize("seed", range(5))
def test_order_holds_within_a_symbol_with_random_awaits_retries_and_four_workers(
    run, batches, seed
):
    dice = random.Random(seed)
    seen = defaultdict(list)
    failed = set()

    @md.strategy("depth")
    async def wanders(book):
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)
        key = (book.symbol, _number(book))
        if dice.random() < 0.1 and key not in failed:
            failed.add(key)
            raise TransientError("again")
        seen[book.symbol].append(_number(book))
        return float(_number(book))

    pipeline = run(batches(60), wanders, workers=4, maxsize=23, sleeps=[])
    assert failed
    assert dict(seen) == {symbol: list(range(60)) for symbol in "ABCDE"}
    signals = pipeline.signals.snapshot()
    for symbol in "ABCDE":
        assert signals[signals["symbol"] == symbol]["value"].tolist() == [
            float(n) for n in range(60)
        ]
        frame = pipeline.frames.frame("depth", symbol)
        assert frame["bid"].tolist() == [100_000.0 + n for n in range(60)]
    assert pipeline.receipt.totals["processed"] == 300
    assert pipeline.lanes.outcome.retries == len(failed)


def test_a_transient_error_is_tried_again_after_10_20_40_ms(run, batches):
    calls, sleeps = [], []

    @md.strategy("depth")
    def recovers(book):
        calls.append(1)
        if len(calls) < 4:
            raise TransientError("busy")
        return 7.0

    pipeline = run(batches(1, "A"), recovers, sleeps=sleeps)
    assert sleeps == [0.01, 0.02, 0.04]
    assert pipeline.receipt.totals["processed"] == 1
    assert pipeline.signals.snapshot()["value"].tolist() == [7.0]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_end_in_a_dead_letter_and_the_lane_goes_on(run, batches, retries):
    @md.strategy("depth")
    def never(book):
        if _number(book) == 1:
            raise TransientError("busy")
        return 1.0

    sleeps = []
    pipeline = run(batches(3, "A"), never, sleeps=sleeps, max_retries=retries)
    (letter,) = pipeline.lanes.outcome.dead_letters
    assert letter.attempts == 1 + retries
    assert len(sleeps) == retries
    assert pipeline.receipt.totals["processed"] == 2
    assert pipeline.receipt.totals["dead_lettered"] == 1


def test_any_other_exception_is_a_dead_letter_with_its_traceback(run, batches):
    @md.strategy("depth")
    def fails(book):
        raise ValueError(f"bad {book.symbol}")

    sleeps = []
    pipeline = run(batches(1, "AB"), fails, sleeps=sleeps)
    assert sleeps == []
    letters = {letter.symbol: letter for letter in pipeline.lanes.outcome.dead_letters}
    letter = letters["A"]
    assert letter.error == "ValueError: bad A"
    assert (letter.strategy, letter.channel, letter.attempts) == ("fails", "depth", 1)
    assert 'raise ValueError(f"bad {book.symbol}")' in letter.traceback
    assert b'"symbol":"A"' in letter.raw


def test_dead_letters_are_bounded_and_all_counted(run, batches):
    @md.strategy("depth")
    def fails(book):
        raise ValueError("no")

    pipeline = run(batches(240), fails)
    assert len(pipeline.lanes.outcome.dead_letters) == 1000
    assert pipeline.receipt.totals["dead_lettered"] == 1200


@pytest.mark.parametrize("is_async", [False, True])
def test_on_error_raise_stops_the_pipeline_with_the_strategys_error(run, batches, is_async):
    @md.strategy("depth")
    def fails(book):
        if _number(book) == 3:
            raise ValueError("broken here")

    @md.strategy("depth")
    async def fails_later(book):
        await asyncio.sleep(0)
        if _number(book) == 3:
            raise ValueError("broken here")

    pipeline = run(batches(50), fails_later if is_async else fails, on_error="raise")
    assert isinstance(pipeline.failure, StrategyError)
    assert "broken here" in str(pipeline.failure)
    assert isinstance(pipeline.failure.__cause__, ValueError)
    with pytest.raises(StrategyError, match="broken here"):
        asyncio.run(pipeline.wait())


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "returned nan"),
        ("up", "returned a str"),
        (True, "returned a bool"),
        ([1.0], "returned a list"),
        (10**400, "too large"),
        (1j, "returned a complex"),
    ],
)
def test_a_result_that_is_no_signal_is_a_dead_letter(run, batches, value, told):
    @md.strategy("depth")
    def odd(book):
        return value

    pipeline = run(batches(2, "A"), odd)
    assert pipeline.receipt.totals["dead_lettered"] == 2
    assert told in pipeline.lanes.outcome.dead_letters[0].error
    assert pipeline.receipt.signals == 0


def test_numbers_of_any_real_type_are_signals(run, batches):
    import numpy as np

    values = iter([1, np.float64(2.5), float("inf"), np.int32(-3), None])

    @md.strategy("depth")
    def says(book):
        return next(values)

    pipeline = run(batches(5, "A"), says)
    assert pipeline.signals.snapshot()["value"].tolist() == [1.0, 2.5, float("inf"), -3.0]


def test_one_failing_strategy_costs_the_others_nothing(run, batches):
    @md.strategy("depth")
    def fails(book):
        raise ValueError("no")

    @md.strategy("depth")
    def works(book):
        return float(_number(book))

    pipeline = run(batches(4, "A"), fails, works)
    assert pipeline.signals.snapshot()["value"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert pipeline.receipt.totals["dead_lettered"] == 4
    assert len(pipeline.frames.frame("depth", "A")) == 4


def test_invalid_messages_are_counted_with_reason_and_sample(run, depth_message):
    good = depth_message("A", 1)
    broken = [
        good[:-5],
        good.replace(b"1.5", b"-1"),
        good.replace(b"1.5", b"NaN"),
        b"\xff\x00",
        b"",
        b'{"cmd":"news","data":{}}',
        b"[" * 5000,
        good[:-2] + b',"x":"' + b"x" * (2 << 20) + b'"}}',
        b"x" * (10 << 20),
    ]
    pipeline = run([[good, *broken, good]])
    totals = pipeline.receipt.totals
    assert totals["received"] == 11
    assert totals["invalid"] == 9
    assert totals["processed"] == 2
    kept = pipeline.lanes.outcome.invalid
    assert all(invalid.reason for invalid in kept)
    assert all(len(invalid.sample) <= 512 for invalid in kept)
    assert sum(pipeline.lanes.outcome.invalid_reasons.values()) == 9
    told = " ".join(pipeline.lanes.outcome.invalid_reasons)
    for part in ("news", "larger than", "malformed"):
        assert part in told


def test_a_callback_that_raises_is_noted_and_costs_nothing(run, batches):
    heard = []

    @md.strategy("depth")
    def says(book):
        return float(_number(book))

    def callback(signal):
        heard.append(signal.value)
        raise KeyError("callback")

    pipeline = run(batches(3, "A"), says, callback=callback)
    assert heard == [0.0, 1.0, 2.0]
    assert pipeline.receipt.totals["processed"] == 3
    assert "KeyError" in pipeline.lanes.outcome.callback_errors[0]


def test_a_session_strategy_sees_all_symbols_in_the_order_received(run, batches):
    seen = []

    @md.strategy("depth", per="session")
    class Everything:
        async def __call__(self, book):
            await asyncio.sleep(0)
            seen.append((_number(book), book.symbol))

    run(batches(20), Everything, workers=4)
    assert seen == [(n, symbol) for n in range(20) for symbol in "ABCDE"]


def test_each_symbol_has_an_instance_of_its_own(run, batches):
    @md.strategy("depth")
    class Counts:
        def start(self):
            self.n = 0

        def __call__(self, book):
            self.n += 1
            return float(self.n)

    pipeline = run(batches(5), Counts)
    assert sorted(pipeline.signals.snapshot()["value"]) == sorted([1.0, 2, 3, 4, 5] * 5)


def test_cancellation_while_a_strategy_awaits_leaves_a_balanced_ledger(list_source, batches, until):
    async def main():
        begun = []

        @md.strategy("depth")
        async def hangs(book):
            begun.append(book.symbol)
            await asyncio.Event().wait()

        pipeline = Pipeline(list_source(batches(10), ends=False), [hangs], workers=2)
        pipeline.start()
        await until(lambda: len(begun) == 2 and pipeline.ledger.totals()["received"] == 50)
        assert not pipeline.ledger.imbalance()
        receipt = await pipeline.stop(0)
        assert receipt.balanced
        assert not receipt.drained
        assert receipt.totals["in_flight"] == 0
        assert receipt.totals["dead_lettered"] == 2
        assert receipt.totals["queued"] == 48
        assert {x.error for x in pipeline.lanes.outcome.dead_letters} == {
            "stopped while a strategy awaited"
        }
        _, *lines = receipt.left_path.read_bytes().splitlines()  # the first says what it is
        receipt.left_path.unlink()
        assert len(lines) == receipt.left == 48

    asyncio.run(main())


@pytest.mark.parametrize("workers", [1, 4])
def test_a_strategy_whose_own_await_was_cancelled_does_not_silence_a_worker(run, batches, workers):
    """A CancelledError that nobody asked this worker for is a failure like any other."""

    @md.strategy("depth")
    async def awaits_something_cancelled(book):
        if _number(book) < 2:
            gone = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone

    pipeline = run([*batches(20), []], awaits_something_cancelled, workers=workers, maxsize=1000)
    assert pipeline.receipt.totals["received"] == 100
    assert pipeline.receipt.totals["dead_lettered"] == 10
    assert pipeline.receipt.totals["processed"] == 90


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "not looked at"])
@pytest.mark.parametrize("kind", ["depth", "trade"])
def test_rows_by_rest_stand_where_they_came_among_live_ones(list_source, watched, kind):
    """One batch holds both; the table that both go to may be given events, or undecoded bytes."""

    def message(number):
        event = (
            Depth("A", ((100.0 + number, 1.0),), ((200.0, 1.0),), number * 1_000_000)
            if kind == "depth"
            else Trade("A", 100.0 + number, 1.0, "buy", str(number), number * 1_000_000)
        )
        return via_rest(encode(event)) if number in (2, 5) else encode(event)

    async def main():
        pipeline = Pipeline(list_source([[message(number) for number in range(8)]]))
        if watched:
            pipeline.frames.table(kind, "A").watched_until = math.inf
        pipeline.start()
        await pipeline.wait()
        return pipeline.frames.frame(kind, "A")

    rows = asyncio.run(main())
    prices = rows["bid" if kind == "depth" else "price"]
    assert prices.tolist() == [100.0 + number for number in range(8)]
    assert rows.index.is_monotonic_increasing
    assert [n for n, source in enumerate(rows["source"]) if source == "rest"] == [2, 5]
