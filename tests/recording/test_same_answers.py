"""A recording gives the answers of the session that made it: live, replayed, backtested."""

import asyncio
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdkit as md
from mdkit.backtesting.verify import parity
from mdkit.backtesting.verify.reference import python_traces
from mdkit.events import Gap
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.reading.reader import read_recording
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.replay.events import steps
from mdkit.recording.replay.replay import Replay
from mdkit.strategies.contract import as_strategy
from tests.channels.naive_reader import naive_steps
from tests.recording.remembering import Bars, Everything

pytestmark = pytest.mark.outer

SYMBOLS = ("A", "B", "C")
SECOND = 1_000_000_000


def book(symbol, number):
    bid = 100 + number % 50
    return (
        f'{{"cmd":"depth","data":{{"symbol":"{symbol}","bids":[["{bid}","1"]],'
        f'"asks":[["{bid + 1}","2"]],"timestamp":{1_700_000_000_000 + number * 1000}}}}}'
    ).encode()


def deal(symbol, number):
    return (
        f'{{"cmd":"trade","data":{{"symbol":"{symbol}","trades":[{{"price":"{100 + number % 7}",'
        f'"quantity":"1","id":"{number}","timestamp":{1_700_000_000_000 + number * 1000}}}]}}}}'
    ).encode()


class Rough:
    """A source that is as unkind as can be, the same way for a seed."""

    name = "rough"
    symbols = SYMBOLS
    connected = True
    stale_for = 0.0

    def __init__(self, seed, batches):
        self._random = np.random.default_rng(seed)
        self._batches = batches

    def clock_ns(self):
        return 1

    def stop(self):
        self._batches = 0

    async def run(self, sink):
        number = 0
        while self._batches > 0:
            self._batches -= 1
            batch = []
            for _ in range(int(self._random.integers(1, 30))):
                number += 1
                symbol = SYMBOLS[self._random.integers(3)]
                kind = self._random.integers(20)
                raw = book(symbol, number) if kind < 12 else deal(symbol, number)
                if kind == 15:  # of the minute before
                    raw = deal(symbol, number - 60)
                if kind == 16 and number % 3 == 0:
                    raw = re.sub(rb'"timestamp":\d+', b'"timestamp":0', raw)
                if kind == 19:
                    raw = raw[: len(raw) // 2]
                if kind == 17:  # one of its trades is unusable
                    bad = b'"trades":[{"price":"0","quantity":"1"},'
                    raw = raw.replace(b'"trades":[', bad)
                if kind == 18:
                    raw = raw.replace(b'{"cmd"', b'{"via":"rest","cmd"')
                batch.append((raw, number * SECOND))
            await sink.deliver(batch)
            if self._random.integers(4) == 0:
                symbol = SYMBOLS[self._random.integers(3)]
                channel = ("depth", "trade")[self._random.integers(2)]
                lost = (None, 0, 5)[self._random.integers(3)]
                now = number * SECOND
                sink.gap(Gap(symbol, channel, "a test", now, now + 7, lost))
            if self._random.integers(3):
                await asyncio.sleep(0)


def signals_of(pipeline):
    """Every signal by symbol, in order."""
    frame = pipeline.signals.snapshot()
    found = {}
    for row in frame.itertuples():
        found.setdefault((row.symbol, row.strategy), []).append((row.Index.value, row.value))
    return found


async def played(source, strategies, **options):
    pipeline = Pipeline(source, strategies, frame_rows=100_000, **options)
    pipeline.start()
    receipt = await pipeline.wait()
    assert receipt.balanced
    return pipeline


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    batches=st.integers(1, 25),
    policy=st.sampled_from(["block", "drop_oldest", "drop_newest", "conflate", "spill"]),
    maxsize=st.integers(1, 30),
    bars=st.sampled_from([None, "1m"]),
)
def test_live_replayed_and_told_step_by_step_are_the_same(
    tmp_path_factory, seed, batches, policy, maxsize, bars
):
    path = tmp_path_factory.mktemp("same") / "a.jsonl.gz"
    strategies = [as_strategy(Everything), *([as_strategy(Bars)] if bars else [])]

    async def play():
        live = await played(
            Rough(seed, batches),
            strategies,
            maxsize=maxsize,
            overflow=policy,
            workers=2,
            recorder=Recorder(path),
            interval=bars,
        )
        again = [
            await played(Replay(path, None), strategies, workers=workers, interval=bars)
            for workers in (1, 3)
        ]
        return live, again

    live, again = asyncio.run(play())
    expected = signals_of(live)
    for replayed in again:
        assert signals_of(replayed) == expected
        assert replayed.ledger.totals()["processed"] == live.ledger.totals()["processed"]
        rows = [(g.symbol, g.channel, g.reason, g.from_ns, g.to_ns, g.lost) for g in live.gaps]
        told = [(g.symbol, g.channel, g.reason, g.from_ns, g.to_ns, g.lost) for g in replayed.gaps]
        assert sorted(map(repr, told)) == sorted(map(repr, rows))
        for symbol in SYMBOLS:
            for channel in ("depth", "trade"):
                one, two = (p.frames.frame(channel, symbol) for p in (live, replayed))
                assert one.equals(two)
    plain = {}
    calls = {}
    read = list(steps(read_recording(path, as_seen=True), bars))
    assert read == naive_steps(read_recording(path, as_seen=True), bars)
    for step in read:
        kind = step.channel.partition(":")[0] if isinstance(step, Gap) else step.kind
        for strategy in strategies:
            if kind in strategy.kinds:
                key = (step.symbol, strategy.name)
                call = calls.setdefault(key, None) or strategy.instance()
                calls[key] = call
                if isinstance(step, Gap):
                    call.on_gap(step)
                else:
                    plain.setdefault(key, []).append(call(step))
    assert plain == {key: [value for _, value in said] for key, said in expected.items()}
    for strategy in strategies:
        if any(name == strategy.name for _, name in expected):
            with pytest.MonkeyPatch.context() as patch:
                if seed % 8:  # the other process, which takes a second, runs for some
                    patch.setattr(parity, "traces_elsewhere", python_traces)
                verified = md.verify(strategy, path, bars=bars)
            assert verified, verified
            assert verified.engines[:3] == ("python", "replay", "replay with 4 workers")


def test_a_session_through_three_disconnects_replays_to_the_same_signals(
    exchange_process, tmp_path, until
):
    """The real thing: a socket, faults, REST, a recording, and a replay at another speed."""
    exchange = exchange_process(["AAPL.US", "MSFT.US"], speed=20, scenario="steady")
    path = tmp_path / "morning.jsonl.gz"
    strategies = [md.strategies.pressure, Everything, Bars]
    quick = md.Settings(reconnect_base_delay=0.05)

    async def live():
        session = md.live(
            channels=["depth", "trade"],
            source=exchange,
            strategies=strategies,
            bars="1m",
            warmup=3,
            record=path,
            rows=200_000,
            settings=quick,
        )
        async with session:
            for number in range(1, 4):
                seen = len(session.frame("trade"))
                await until(lambda seen=seen: len(session.frame("trade")) > seen + 200)
                exchange.inject("disconnect")
                await until(lambda number=number: len(session.gaps()) >= 4 * number)
            seen = len(session.frame("trade"))
            await until(lambda: len(session.frame("trade")) > seen + 200)
        return session

    async def replay():
        source = md.replay(path, speed=50)
        session = md.live(source=source, strategies=strategies, bars="1m", rows=200_000)
        await session.run()
        return session

    one, two = asyncio.run(live()), asyncio.run(replay())
    assert signals_of(one.pipeline) == signals_of(two.pipeline)
    # A minute without any trade may be a gap of its bars, too.
    assert one.gaps().reason.str.startswith("closed by the server").sum() == 12
    assert two.gaps().equals(one.gaps())
    for channel in ("depth", "trade", "bar"):
        for symbol in ("AAPL.US", "MSFT.US"):
            assert two.frame(channel, symbol).equals(one.frame(channel, symbol))
    assert one.frame("depth", "AAPL.US").gap.sum() == 3
    info = md.recording_info(path)
    assert info.complete
    assert len(info.gaps) == 12
    for session in (one, two):
        shades = [len(axes.patches) for axes in session.plot().axes]
        assert [count for count in shades if count] == [3, 3], "in queue depth and pressure"


@pytest.mark.parametrize("strategy", [md.strategies.pressure, Everything])
def test_a_backtest_over_the_file_says_the_same(market, strategy):
    path = market / "depth.jsonl.gz"

    async def replay():
        session = md.live(source=md.replay(path, speed=None), strategies=[strategy], rows=100_000)
        await session.run()
        return session

    session = asyncio.run(replay())
    said = session.signals()
    assert md.verify(strategy, path)
    if strategy is md.strategies.pressure:
        result = md.backtest(strategy, md.read_recording(path), latency_ms=50)
        for symbol in session.symbols:
            mine = said[said.symbol == symbol].value.to_numpy()
            theirs = result.signals[symbol].dropna().to_numpy()
            assert np.array_equal(mine, theirs)
