"""Recordings played: in order, in time, and with what the strategies saw."""

from __future__ import annotations

import asyncio
import selectors
import threading
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdkit as md
from mdkit.errors import RecordingError, SessionError, SettingsError, StrategyError
from mdkit.events import Gap
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording import format as mark
from mdkit.recording.file import recording_file as tape
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.replay.replay import replay
from mdkit.strategies import pressure
from mdkit.strategies.contract import as_strategy
from mdkit.venues.tickdb import TickdbRouter as Router

T0 = 1_700_000_000_000_000_000
MS = 1_000_000


class LeapingSelector(selectors.DefaultSelector):
    """Waits in no time: what would be waited is added to `now`."""

    def __init__(self):
        super().__init__()
        self.now = 100.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock leaps to the next thing that is due."""

    def __init__(self):
        self.leaps = LeapingSelector()
        super().__init__(self.leaps)

    def time(self):
        return self.leaps.now

    async def shutdown_default_executor(self, timeout=None):
        """Wait for threads without a limit: on this clock any limit is over at once."""
        await super().shutdown_default_executor()


@pytest.fixture
def leap():
    """`leap(coroutine)` runs it in a loop whose clock leaps."""

    def run(work):
        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            return runner.run(work)

    return run


class Sink:
    """Notes what it gets and when, by the loop's clock; `hold` is awaited with each batch."""

    def __init__(self, hold=None):
        self.began = None
        self.items, self.times, self.batches, self.problems = [], [], [], []
        self.beginnings = []
        self.hold = hold
        self.on_batch = lambda: None
        self.expected = None

    async def deliver(self, batch):
        if self.hold is not None:
            await self.hold(self)
        now = asyncio.get_running_loop().time()
        self.began = now if self.began is None else self.began
        self.batches.append(len(batch))
        self.items += batch
        self.times += [now - self.began] * len(batch)
        self.on_batch()
        return []

    def gap(self, gap):
        self.items.append(gap)

    def expect(self, symbols):
        self.expected = symbols

    async def begin_anew(self):
        self.beginnings.append(len(self.items))

    def problem(self, error):
        self.problems.append(str(error))


def depth(symbol, n):
    return b'{"cmd":"depth","data":{"symbol":"%b","n":%d}}' % (symbol.encode(), n)


def write(path, items):
    """Write messages `(raw, received_ns)` and markers as they are."""
    lines = [mark.encode_marker(mark.Header(id=path.name, symbols=("A", "B")))]
    lines += [
        b"%d\t%b" % (item[1], item[0]) if isinstance(item, tuple) else mark.encode_marker(item)
        for item in items
    ]
    end = mark.End(sum(isinstance(item, tuple) for item in items))
    path.write_bytes(b"\n".join([*lines, mark.encode_marker(end), b""]))
    return path


@pytest.fixture
def ticking(tmp_path):
    """1,000 messages, 10 ms apart but for a pause of a minute in the middle."""
    stamps = [T0 + n * 10 * MS + (60_000 * MS if n >= 500 else 0) for n in range(1000)]
    return write(tmp_path / "ticking.jsonl", [(depth("A", n), t) for n, t in enumerate(stamps)])


def messages_of(path):
    return [item for item in tape.RecordingFile(path) if isinstance(item, tuple)]


@pytest.mark.parametrize("speed", [1.0, 20.0, 0.5, 1e6])
def test_messages_come_when_they_are_due_and_never_before(leap, ticking, speed):
    sink = Sink()
    leap(replay(ticking, speed).run(sink))
    sent = messages_of(ticking)
    assert sink.items == sent
    assert not sink.problems
    for at, (_, stamp) in zip(sink.times, sent, strict=True):
        late = at - (stamp - T0) / 1e9 / speed
        assert -1e-6 < late < 0.002  # the system's own timers are as coarse as 1 ms


def test_by_the_real_clock_it_is_in_order_and_never_early(tmp_path):
    path = write(tmp_path / "a.jsonl", [(depth("A", n), T0 + n * MS) for n in range(300)])
    sink = Sink()

    async def main():
        sink.began = asyncio.get_running_loop().time()
        await replay(path).run(sink)

    asyncio.run(main())
    assert sink.items == messages_of(path)
    assert all(at >= n / 1000 - 1e-6 for n, at in enumerate(sink.times))


def test_a_slow_consumer_delays_and_the_replay_catches_up(leap, ticking):
    async def hold(sink):
        if len(sink.items) == 100:
            await asyncio.sleep(2)

    sink = Sink(hold)
    leap(replay(ticking).run(sink))
    assert sink.items == messages_of(ticking)
    assert max(sink.batches) == 200  # what came due in the two seconds comes at once
    assert sink.times[301] == pytest.approx(3.01, abs=0.002)
    assert sink.times[-1] == pytest.approx(69.99, abs=0.002)


def test_the_present_does_not_run_ahead_of_a_slow_consumer(leap, ticking):
    source = replay(ticking, 50)
    ahead = []

    async def hold(sink):
        for _ in range(5 * (len(sink.items) == 100)):
            await asyncio.sleep(0.01)  # half a second of the recording
            ahead.append(source.clock_ns() - T0)

    sink = Sink(hold)
    leap(source.run(sink))
    assert sink.items == messages_of(ticking)
    assert len(ahead) == 5
    assert max(ahead) <= 1010 * MS, "the next message is due then, and has not been passed on"


def test_as_fast_as_taken_means_in_batches_held_up_by_the_consumer(leap, ticking):
    async def hold(sink):
        await asyncio.sleep(1)

    sink = Sink(hold)
    leap(replay(ticking, None).run(sink))
    assert sink.items == messages_of(ticking)
    assert sum(sink.batches) == 1000
    assert len(sink.batches) <= 5  # so it is not one by one
    assert max(sink.batches) == 256
    assert sink.times[-1] == pytest.approx(len(sink.batches) - 1)


def test_through_a_pipeline_nothing_is_lost(ticking):
    async def main():
        pipeline = Pipeline(replay(ticking, None), [as_strategy(pressure)], maxsize=10)
        pipeline.start()
        return await pipeline.wait()

    receipt = asyncio.run(main())
    assert receipt.totals["received"] == 1000
    assert receipt.totals["dropped"] == 0
    assert receipt.balanced


def test_pause_stops_the_recordings_time(leap, ticking, until):
    source = replay(ticking)

    async def main():
        sink = Sink()
        running = asyncio.ensure_future(source.run(sink))
        await until(lambda: sink.items)
        await asyncio.sleep(1.005)
        source.pause()
        await asyncio.sleep(0.1)
        seen, at = len(sink.items), source.clock_ns()
        assert source.paused
        assert "paused" in repr(source)
        await asyncio.sleep(100)
        assert (len(sink.items), source.clock_ns()) == (seen, at)
        source.resume()
        await running
        return sink, seen

    sink, seen = leap(main())
    assert seen == 101
    assert sink.items == messages_of(ticking)
    assert sink.times[seen] == pytest.approx(1.01 + 100.1, abs=0.005)


def test_paused_before_the_start_it_waits(leap, ticking):
    source = replay(ticking)
    source.pause()

    async def main():
        sink = Sink()
        running = asyncio.ensure_future(source.run(sink))
        await asyncio.sleep(5)
        assert not sink.items
        source.resume()
        await running
        return sink

    assert leap(main()).times[499] == pytest.approx(4.99, abs=0.002)


@pytest.mark.parametrize(
    "when",
    [
        T0 + 2_000 * MS,
        datetime.fromtimestamp(T0 // 10**9 + 2, UTC),
        pd.Timestamp(T0 + 2_000 * MS, tz="UTC").tz_convert("Asia/Tokyo"),
        "2023-11-14 22:13:22",
    ],
)
def test_seek_takes_any_time_forwards_and_backwards(leap, ticking, until, when):
    source = replay(ticking)

    async def main():
        sink = Sink()
        running = asyncio.ensure_future(source.run(sink))
        await until(lambda: sink.items)
        await asyncio.sleep(0.105)
        source.seek(when)
        await asyncio.sleep(0.105)
        source.seek(T0)
        await asyncio.sleep(0.055)
        source.seek(T0 - 10**18)
        await asyncio.sleep(0.055)
        assert T0 <= source.clock_ns() < T0 + 60 * MS
        source.seek(T0 + 65_000 * MS)
        await running
        return sink

    sink = leap(main())
    sent = messages_of(ticking)
    assert sink.items == sent[:11] + sent[200:211] + sent[:6] + sent[:6] + sent[500:]


def test_seek_within_silence_waits_for_the_next_message(leap, ticking):
    source = replay(ticking, 10, start=T0 + 35_000 * MS)

    async def main():
        sink = Sink()
        began = asyncio.get_running_loop().time()
        await source.run(sink)
        return sink, sink.began - began

    sink, waited = leap(main())
    assert sink.items == messages_of(ticking)[500:]
    assert waited == pytest.approx(3, abs=0.002)


def test_seek_behind_the_end_ends_the_round(leap, ticking):
    source = replay(ticking, loop=2)
    sink = Sink()
    sink.on_batch = lambda: source.seek("2030") if source.lap == 1 else None
    leap(source.run(sink))
    assert len(sink.items) == 1 + 1000
    assert source.lap == 2


def test_seek_while_paused_and_from_another_thread(ticking, wait_until):
    source = replay(ticking)
    sink = Sink()
    thread = threading.Thread(target=lambda: asyncio.run(source.run(sink)))
    thread.start()
    wait_until(lambda: sink.items)
    source.pause()
    wait_until(lambda: source.paused)
    source.seek(T0 + 69_900 * MS)
    wait_until(lambda: source.clock_ns() == T0 + 69_900 * MS)
    seen = len(sink.items)
    source.resume()
    thread.join()
    assert sink.items[seen:] == messages_of(ticking)[990:]


def test_what_is_no_time_is_refused(ticking):
    for wrong in ("yesterdayish", 1.5, None, True, pd.NaT):
        with pytest.raises(SettingsError, match="is not a time"):
            replay(ticking).seek(wrong)
    with pytest.raises(SettingsError, match="start="):
        replay(ticking, start="never")


def test_rounds_follow_each_other(leap, ticking):
    sink = Sink()
    source = replay(ticking, 100, loop=3)
    leap(source.run(sink))
    assert sink.items == 3 * messages_of(ticking)
    assert sink.times[1000] == pytest.approx(0.6999, abs=0.003)
    assert sink.times[-1] == pytest.approx(3 * 0.6999, abs=0.005)


def test_an_endless_loop_ends_when_stopped(leap, ticking):
    source = replay(ticking, None, loop=True)
    sink = Sink()
    sink.on_batch = lambda: source.stop() if len(sink.items) > 5000 else None
    leap(source.run(sink))
    assert 5000 < len(sink.items) < 6000


def test_an_empty_recording_ends_at_once_even_in_a_loop(leap, tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text("# nothing\n")
    leap(replay(path, loop=True).run(Sink()))


def test_stop_before_and_during_the_run(leap, ticking):
    source = replay(ticking)
    source.stop()
    sink = Sink()
    leap(source.run(sink))
    assert not sink.items
    source = replay(ticking)
    sink.on_batch = lambda: source.stop()
    leap(source.run(sink))
    assert len(sink.items) == 1
    with pytest.raises(SessionError, match="has been played"):
        leap(source.run(sink))
    with pytest.raises(SessionError, match="is over"):
        source.seek(T0)


def test_speed_may_change_under_way(leap, ticking):
    source = replay(ticking, 1)
    sink = Sink()
    sink.on_batch = lambda: source.set_speed(None) if len(sink.items) == 100 else None
    leap(source.run(sink))
    assert sink.items == messages_of(ticking)
    assert sink.times[-1] == pytest.approx(0.99, abs=0.002)
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(SettingsError, match="speed="):
            source.set_speed(wrong)
        with pytest.raises(SettingsError, match="speed="):
            replay(ticking, wrong)


def test_event_time_is_the_recordings(leap, ticking):
    source = replay(ticking, 10)
    clocks = []
    sink = Sink()
    sink.on_batch = lambda: clocks.append(source.clock_ns() - sink.items[-1][1])
    assert (source.clock_ns(), source.connected) == (0, False)
    leap(source.run(sink))
    assert all(0 <= behind < 20 * MS for behind in clocks)
    assert source.clock_ns() == messages_of(ticking)[-1][1]


def test_gaps_and_connections_are_played_in_place(leap, tmp_path):
    gap = Gap("A", "depth", "closed", T0 + 1, T0 + 2, lost=4)
    path = write(
        tmp_path / "a.jsonl",
        [
            mark.Connected(T0),
            (depth("A", 1), T0 + 1),
            mark.Disconnected(T0 + 1, "closed"),
            (depth("B", 1), T0 + 1),
            mark.Connected(T0 + 2),
            mark.Missed.of(gap),
            (depth("A", 2), T0 + 3),
        ],
    )
    for as_seen in (True, False):
        source = replay(path, None, as_seen=as_seen)
        sink = Sink()
        leap(source.run(sink))
        expected = [(depth("A", 1), T0 + 1), (depth("B", 1), T0 + 1), gap]
        assert sink.items == [*expected, (depth("A", 2), T0 + 3)]
        assert (source.connects, source.disconnects, source.connected) == (2, 1, False)
        assert source.symbols == ("A", "B")


def test_some_symbols_alone(leap, tmp_path):
    several = b'{"cmd":"ticker","data":[{"symbol":"A","last_price":"1"},{"symbol":"B","n":1}]}'
    half = b'{"cmd":"ticker","data":{"symbol":"B","n":1}}'
    gaps = [mark.Missed(symbol, "depth", "closed", 1, 2) for symbol in "AB"]
    items = [(depth(symbol, n), T0) for n in range(3) for symbol in "AB"]
    path = write(tmp_path / "a.jsonl", [*items, (several, T0), *gaps])
    source = replay(path, None, symbols="B")
    sink = Sink()
    leap(source.run(sink))
    assert sink.items == [*items[1::2], (half, T0), gaps[1].gap()]
    assert source.symbols == ("B",)


def test_symbols_that_were_not_recorded_are_refused(ticking):
    with pytest.raises(SettingsError, match=r"ticking\.jsonl has no NOPE; it has A, B"):
        replay(ticking, symbols=["A", "NOPE"])
    with pytest.raises(SettingsError, match="symbols is empty"):
        replay(ticking, symbols=[])


def test_what_was_asked_for_and_gives_nothing_is_told(leap, ticking, tmp_path):
    def problems(path, **options):
        sink = Sink()
        leap(replay(path, None, **options).run(sink))
        return sink.problems

    (told,) = problems(ticking, start="2030-01-01")
    assert "ends at 2023-11-14 22:14:29.990 UTC, before 2030-01-01 00:00:00.000 UTC" in told
    (told,) = problems(ticking, symbols="B")
    assert "played no message about B" in told
    unnamed = tmp_path / "unnamed.jsonl"
    unnamed.write_bytes(b"%d\t%b\n" % (T0, depth("A", 1)))
    (told,) = problems(unnamed, symbols="NOPE")
    assert "played no message about NOPE" in told
    assert not problems(ticking, symbols="A", start=T0 + 60_000 * MS)


def test_symbols_subscribed_to_while_recording_may_be_asked_for(leap, tmp_path):
    items = [depth("A", 1), depth("C", 2)]
    change = mark.Subscribed(T0, ("A", "C"))
    path = write(tmp_path / "a.jsonl", [(items[0], T0), change, (items[1], T0 + 1), (b"x", T0 + 2)])
    source = replay(path, None)
    with pytest.raises(SettingsError, match="has no D; it has A, B, C"):
        source.only(["D"])
    source.only(["C"])
    sink = Sink()
    leap(source.run(sink))
    assert sink.items == [(items[1], T0 + 1)]
    sink = Sink()
    leap(replay(path, 1.0, start=T0 + 1).run(sink))
    assert sink.expected == ("A", "C")


def test_what_is_heard_again_is_routed_as_at_first(leap, tmp_path):
    change = mark.Subscribed(T0 + 1, ("C",))
    items = [(depth("A", 1), T0), change, (depth("C", 2), T0 + 1)]
    expected = []

    class Noting(Sink):
        async def deliver(self, batch):
            expected.append(self.expected)
            return await super().deliver(batch)

    source = replay(write(tmp_path / "a.jsonl", items), None, loop=2)
    leap(source.run(Noting()))
    assert expected == [None, ("C",), ("A", "B"), ("C",)]
    # And where a seek went backwards.
    source = replay(write(tmp_path / "b.jsonl", items), None)
    expected.clear()
    sink = Noting()
    sink.on_batch = lambda: len(expected) == 2 and source.seek(T0)
    leap(source.run(sink))
    assert expected == [None, ("C",), ("A", "B"), ("C",)]


def trade(n, stamp_ns):
    return (
        b'{"cmd":"trade","data":{"symbol":"A","id":"%d","price":"%d","quantity":"1","side":"buy",'
        b'"timestamp":%d}}' % (n, 100 + n, stamp_ns // MS),
        stamp_ns,
    )


MINUTE = 60_000 * MS
NOON = T0 - T0 % MINUTE


def trades_of(folder, minutes):
    """Write a recording of a trade every five seconds, from `NOON` on; return its path."""
    return write(folder / "a.jsonl", [trade(n, NOON + n * 5_000 * MS) for n in range(12 * minutes)])


def test_a_jump_and_a_further_round_have_the_sink_begin_anew(leap, tmp_path):
    items = [(depth("A", n), T0 + n * 1000 * MS) for n in range(10)]
    path = write(tmp_path / "a.jsonl", items)
    source, sink = replay(path, 1.0, start=T0 + 1000 * MS, loop=2), Sink()

    def steer():
        if len(sink.items) == 2:
            source.seek(T0 + 7000 * MS)
        elif len(sink.items) == 4:
            source.seek(T0 + 5000 * MS)

    sink.on_batch = steer
    leap(source.run(sink))
    played = [1, 2, 7, 8, 5, 6, 7, 8, 9, *range(10)]
    assert sink.items == [items[n] for n in played]
    assert sink.beginnings == [2, 4, 9]  # not at the start, before which nothing came


class Seen:
    """Says how many trades, or bars, this instance has seen."""

    def start(self):
        self.count = self.gaps = 0

    def __call__(self, event):
        self.count += 1
        return self.count + 1000.0 * self.gaps

    def on_gap(self, gap):
        self.gaps += 1


SeenTrades = md.strategy("trade")(type("SeenTrades", (Seen,), {}))
SeenTogether = md.strategy("trade", per="session")(type("SeenTogether", (Seen,), {}))
SeenBars = md.strategy("bar")(type("SeenBars", (Seen,), {}))
STRATEGIES = [SeenTrades, SeenTogether, SeenBars]


def said_by(session):
    signals = session.signals()
    return {name: list(rows.value) for name, rows in signals.groupby("strategy")}


def state_of(session):
    """What a session shows of the market."""
    bars, trades = session.frame("bar", "A"), session.frame("trade", "A")
    return (
        said_by(session), bars.to_csv(), trades.to_csv(), session.gaps().to_csv(),
        list(session.signals().index),
    )  # fmt: skip


@pytest.mark.outer
@pytest.mark.parametrize("worker_kind", ["task", "process"])
@pytest.mark.parametrize("minute", [2, 8])
def test_after_a_seek_a_session_is_as_one_that_began_there(
    tmp_path, monkeypatch, worker_kind, minute
):
    """Strategies, frames, bars, signals and gaps know of nothing that came before."""
    monkeypatch.setattr("mdkit.recording.replay.replay._BATCH", 12)
    path = trades_of(tmp_path, minutes=12)
    goal = NOON + minute * MINUTE + 30_000 * MS

    def play(source, seeks):
        session = md.live(
            source=source, strategies=STRATEGIES, bars="1m", channels=["trade"],
            worker_kind=worker_kind, workers=2,
        )  # fmt: skip
        deliver, batches = session.pipeline.deliver, []

        async def seeking(batch):
            batches.append(batch)
            answers = await deliver(batch)
            if seeks and len(batches) == 5:
                source.seek(goal)
            return answers

        session.pipeline.deliver = seeking
        return session, session.run_blocking(60)

    fresh, _ = play(replay(path, None, start=goal), seeks=False)
    session, receipt = play(replay(path, None), seeks=True)
    assert state_of(session) == state_of(fresh)
    assert said_by(session)["SeenTrades"][0] == said_by(session)["SeenTogether"][0] == 1
    assert receipt.balanced
    rest = 12 * 12 - minute * 12 - 6
    assert receipt.totals["processed"] == 60 + rest, "the ledger goes on"
    assert receipt.signals > len(session.signals())
    assert len(session.frame("trade", "A")) == rest


@pytest.mark.outer
@pytest.mark.parametrize("worker_kind", ["task", "process"])
def test_every_round_is_as_the_first(tmp_path, worker_kind):
    path = trades_of(tmp_path, minutes=6)

    def play(**more):
        source = replay(path, None, **more)
        session = md.live(
            source=source, strategies=STRATEGIES, bars="1m", channels=["trade"],
            worker_kind=worker_kind, workers=1,
        )  # fmt: skip
        receipt = session.run_blocking(60)
        assert receipt.balanced
        assert receipt.totals["processed"] == 72 * more.get("loop", 1)
        return session

    assert state_of(play(loop=3)) == state_of(play())


def seeking(source, strategy, batch_number, goal):
    """Return a session whose replay is told to seek when so many batches were delivered."""
    session = md.live(source=source, strategies=[strategy], channels=["trade"])
    deliver, batches = session.pipeline.deliver, []

    async def counted(batch):
        answers = await deliver(batch)
        batches.append(batch)
        if len(batches) == batch_number:
            source.seek(goal)
        return answers

    session.pipeline.deliver = counted
    return session.start(), batches


def test_what_is_queued_at_a_seek_is_handled_before_it(tmp_path, until, monkeypatch):
    monkeypatch.setattr("mdkit.recording.replay.replay._BATCH", 12)
    path, seen, gate = trades_of(tmp_path, minutes=6), [], asyncio.Event()

    @md.strategy("trade")
    async def gated(trade):
        await gate.wait()
        seen.append(int(trade.id))

    async def play():
        session, batches = seeking(replay(path, None), gated, 3, NOON + 5 * MINUTE)
        await until(lambda: len(batches) == 3)
        assert session.pipeline.ledger.waits
        gate.set()
        return session, await session.run()

    session, receipt = asyncio.run(play())
    assert seen == [*range(36), *range(60, 72)]
    assert len(session.frame("trade", "A")) == 12
    assert receipt.balanced
    assert receipt.totals["processed"] == 48


@pytest.mark.parametrize("on_error", ["dead_letter", "raise"])
def test_a_seek_that_waits_for_a_strategy_does_not_hold_up_the_end(
    tmp_path, until, monkeypatch, on_error
):
    monkeypatch.setattr("mdkit.recording.replay.replay._BATCH", 12)
    path, gate = trades_of(tmp_path, minutes=6), asyncio.Event()

    @md.strategy("trade")
    async def stuck(trade):
        await gate.wait()
        raise ValueError("no")

    async def play():
        session, batches = seeking(replay(path, None), stuck, 3, NOON + 5 * MINUTE)
        session.pipeline.lanes.on_error = on_error
        await until(lambda: len(batches) == 3)
        if on_error == "raise":
            gate.set()
            with pytest.raises(StrategyError, match="stuck failed"):
                await session.run()
            return session.receipt
        return await session.stop(timeout=0)

    receipt = asyncio.run(play())
    assert receipt.balanced
    receipt.left_path.unlink()


def test_a_recording_ends_where_a_replay_jumps_and_that_is_said(tmp_path):
    path, copy = trades_of(tmp_path, minutes=6), tmp_path / "copy.jsonl"
    session = md.live(source=replay(path, None, loop=2), channels=["trade"], record=copy)
    session.run_blocking(60)
    assert messages_of(copy) == messages_of(path)
    assert md.recording_info(copy).complete
    (problem,) = session.pipeline.problems
    assert f"The recording {copy} ends where the replay jumped" in str(problem)
    assert "to another file" in str(problem)


def test_parts_of_messages_about_several_symbols_may_be_unseen(leap, tmp_path):
    several = b'{"cmd":"ticker","data":[{"symbol":"A","last_price":"1"},{"symbol":"B","n":1}]}'
    first = b'{"cmd":"ticker","data":{"symbol":"A","last_price":"1"}}'
    items = [(several, T0), (several, T0 + 1), mark.Dropped("B", "ticker", 1, 1)]
    sink = Sink()
    leap(replay(write(tmp_path / "a.jsonl", items), None).run(sink))
    told = Gap("B", "ticker", "dropped", T0, T0, lost=1)
    assert sink.items == [(first, T0), told, (several, T0 + 1)]


def test_several_recordings_merge_by_time(leap, tmp_path):
    paths = [
        write(
            tmp_path / f"{symbol}.jsonl", [(depth(symbol, n), T0 + 10 * n + at) for n in range(5)]
        )
        for at, symbol in enumerate("BA")
    ]
    sink = Sink()
    leap(replay(paths, None).run(sink))
    expected = [(depth(s, n), T0 + 10 * n + at) for n in range(5) for at, s in enumerate("BA")]
    assert sink.items == expected


def test_between_recordings_there_is_a_gap_and_no_invented_bar(tmp_path):
    paths = []
    for n in range(2):
        begin = T0 + n * 3_600 * 10**9
        stamps = [begin + second * 10**9 for second in range(0, 200, 5)]
        items = [trade(i + 100 * n, stamp) for i, stamp in enumerate(stamps)]
        paths.append(write(tmp_path / f"{n}.jsonl", items))
    session = md.live(source=md.replay(paths, None), bars="1m")
    session.run_blocking()
    bars = session.frame("bar", "A")
    assert len(bars) > 60
    assert bars.partial[bars.volume == 0].all()
    (gap,) = session.gaps().query("channel == 'trade'").itertuples()
    assert gap.reason == "not recorded"
    assert session.frame("trade", "A").gap.sum() == 1


def test_faults_are_told_to_the_session(leap, ticking):
    ticking.write_bytes(ticking.read_bytes()[:-200])
    sink = Sink()
    leap(replay(ticking, None).run(sink))
    assert len(sink.problems) == 1
    assert "cut off" in sink.problems[0]


def test_arguments_that_cannot_work(ticking, tmp_path):
    for wrong in (0, -1, False):
        with pytest.raises(SettingsError, match="loop="):
            replay(ticking, loop=wrong)
    with pytest.raises(RecordingError, match="no recording"):
        replay(tmp_path / "none.jsonl")
    (tmp_path / "text.jsonl").write_text("hello\n")
    with pytest.raises(RecordingError, match="not a recording"):
        replay(tmp_path / "text.jsonl")


def test_messages_that_were_not_recorded_make_a_gap(leap, tmp_path):
    path = tmp_path / "a.jsonl"
    recorder = Recorder(path)
    recorder.start(symbols=["A"])
    recorder.write([(depth("A", n), T0 + n) for n in range(3)])
    recorder.mark(mark.Lost(5, "slow"))
    recorder.mark(mark.Base("A", "depth", 8, 8))
    recorder.write([(depth("A", n), T0 + n) for n in range(8, 10)])
    recorder.mark(mark.Dropped("A", "depth", 10, 1))
    recorder.close()
    sink = Sink()
    leap(replay(path, None).run(sink))
    hole = Gap("A", "depth", "not recorded", T0 + 2, T0 + 8, lost=5)
    drop = Gap("A", "depth", "dropped", T0 + 9, T0 + 9, lost=1)
    messages = [(depth("A", n), T0 + n) for n in (0, 1, 2, 8)]
    assert sink.items == [*messages[:3], hole, messages[3], drop]
    assert "5 messages could not be written" in sink.problems[0]


# -- as seen, against a plain model ------------------------------------------------------------

FATES = ["seen", "refused", "dropped", "conflated", "left"]
MARKERS = {
    "refused": mark.Refused,
    "dropped": mark.Dropped,
    "conflated": mark.Conflated,
    "left": mark.Left,
}
happenings = st.lists(
    st.tuples(
        st.sampled_from("AB"),
        st.sampled_from([*FATES, *FATES[:3], "gap"]),
        st.integers(0, 9),
        st.booleans(),
    ),
    max_size=60,
)


def recorded(story):
    """Return the lines of a recording in which this happened; each loss is told a while later."""
    lines, told = [], []
    arrivals = dict.fromkeys("AB", 0)
    admitted = dict.fromkeys("AB", 0)
    for n, (symbol, fate, delay, _) in enumerate(story):
        if fate == "gap":
            lines.append(mark.Missed(symbol, "depth", "closed", T0 + n, T0 + n))
            continue
        lines.append((depth(symbol, n), T0 + n))
        arrivals[symbol] += 1
        admitted[symbol] += fate != "refused"
        if fate != "seen":
            number = arrivals[symbol] if fate == "refused" else admitted[symbol]
            told.append((len(lines) + delay, MARKERS[fate](symbol, "depth", number, 1)))
    for place, marker in sorted(told, key=lambda pair: pair[0], reverse=True):
        lines.insert(place, marker)
    return lines


def seen(story):
    """Return what a strategy saw, told plainly."""
    out = []
    drops = {"A": [], "B": []}

    def tell(symbol):
        if drops[symbol]:
            first, *_, last = drops[symbol] * 2
            out.append(Gap(symbol, "depth", "dropped", first, last, lost=len(drops[symbol])))
            drops[symbol].clear()

    for n, (symbol, fate, _, _) in enumerate(story):
        if fate in ("refused", "dropped"):
            drops[symbol].append(T0 + n)
        elif fate == "seen":
            tell(symbol)
            out.append((depth(symbol, n), T0 + n))
        elif fate == "gap":
            tell(symbol)
            out.append(Gap(symbol, "depth", "closed", T0 + n, T0 + n))
    rest = [symbol for symbol, gaps in drops.items() if gaps]
    for symbol in rest:
        tell(symbol)
    return out, rest


@given(happenings)
def test_as_seen_is_what_was_seen(tmp_path_factory, story):
    lines = recorded(story)
    folder = tmp_path_factory.mktemp("tapes")
    path = write(folder / "a.jsonl", lines)

    def play(**options):
        sink = Sink()
        asyncio.run(replay(path, None, **options).run(sink))
        assert not sink.problems
        return sink.items

    expected, rest = seen(story)
    played = play()
    cut = len(expected) - len(rest)
    assert played[:cut] == expected[:cut]
    assert sorted(map(repr, played[cut:])) == sorted(map(repr, expected[cut:]))
    everything = [line.gap() if isinstance(line, mark.Missed) else line for line in lines]
    assert play(as_seen=False) == [item for item in everything if isinstance(item, tuple | Gap)]


@given(happenings)
def test_as_seen_is_the_same_over_parts(tmp_path_factory, story):
    """Whatever part a message or its marker is in, and with the counts told anew in each."""
    lines = recorded(story)
    folder = tmp_path_factory.mktemp("tapes")
    paths = []
    counts = {"A": [0, 0], "B": [0, 0]}
    late = {symbol: [] for symbol in "AB"}
    for line in lines:
        if isinstance(line, mark.Refused):
            late[line.symbol].append(line.first)
    part = []
    router = Router(["A", "B"])

    def finish(more):
        bases = [mark.Base(s, "depth", *begun[s]) for s in "AB" if begun[s][0]]
        header = mark.Header(id="one", part=len(paths), symbols=("A", "B"))
        end = mark.End(sum(isinstance(x, tuple) for x in part), continued=more)
        text = b"".join(
            (b"%d\t%b" % (x[1], x[0]) if isinstance(x, tuple) else mark.encode_marker(x)) + b"\n"
            for x in (header, *bases, *part, end)
        )
        paths.append(folder / f"{len(paths)}.jsonl")
        paths[-1].write_bytes(text)

    begun = {symbol: list(count) for symbol, count in counts.items()}
    for n, line in enumerate(lines):
        part.append(line)
        if isinstance(line, tuple):
            symbol = router.route(line[0]).symbol
            counts[symbol][0] += 1
            counts[symbol][1] += counts[symbol][0] not in late[symbol]
        if n % 7 == 6:
            finish(True)
            part.clear()
            begun = {symbol: list(count) for symbol, count in counts.items()}
    finish(False)
    whole, split = Sink(), Sink()
    asyncio.run(replay(write(folder / "a.jsonl", lines), None).run(whole))
    asyncio.run(replay(paths[::-1], None).run(split))
    assert split.items == whole.items
    assert not split.problems


@pytest.mark.outer
def test_the_real_recording_plays_through_a_pipeline(market):
    async def main():
        pipeline = Pipeline(replay(market / "depth.jsonl.gz", None), [as_strategy(pressure)])
        pipeline.start()
        return await pipeline.wait()

    receipt = asyncio.run(main())
    assert receipt.totals["processed"] == 62_650
    assert receipt.balanced


def test_a_session_over_a_replay_may_name_its_symbols(tmp_path):
    sample = Path(__file__).resolve().parents[3] / "data" / "sample.jsonl.gz"

    async def play():
        session = md.live(["MSFT.US"], source=md.replay(sample, speed=None))
        await session.run()
        return session

    assert asyncio.run(play()).symbols == ("MSFT.US",)
    with pytest.raises(SettingsError, match=r"has no NVDA.US; it has AAPL.US, MSFT.US"):
        md.live(["NVDA.US"], source=md.replay(sample))


@pytest.mark.outer
def test_what_was_subscribed_to_while_recording_replays_by_name(tmp_path, exchange_process, until):
    exchange = exchange_process(["AAPL.US", "MSFT.US"], scenario="busy")
    path = tmp_path / "a.jsonl"

    def of(session, symbol):
        return session.ledger()["processed"].get((symbol, "depth"), 0)

    async def record():
        session = md.live(["AAPL.US"], channels=["depth"], source=exchange, record=path).start()
        await until(lambda: of(session, "AAPL.US") > 5)
        session.subscribe("depth", "MSFT.US")
        await until(lambda: of(session, "MSFT.US") > 5)
        await session.stop()
        return of(session, "MSFT.US")

    async def play():
        session = md.live(["MSFT.US"], source=md.replay(path, speed=None))
        await session.run()
        return of(session, "MSFT.US"), session.symbols

    recorded = asyncio.run(record())
    assert asyncio.run(play()) == (recorded, ("MSFT.US",))
