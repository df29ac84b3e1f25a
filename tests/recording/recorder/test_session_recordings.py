"""Recordings that begin and end while a session runs hold what its strategies saw."""

import asyncio

import pytest

import mdkit as md
from mdkit.errors import RecordingError, SessionError
from mdkit.recording.file.recording_file import RecordingFile
from mdkit.recording.reading.unseen import Unseen


@md.strategy("depth")
class Level:
    """Says the best bid, once `gate` is open."""

    gate = None

    async def __call__(self, book):
        if Level.gate is not None:
            await Level.gate.wait()
        return book.bids[0][0]


@pytest.fixture
def fed(list_source, depth_message):
    """`fed()` is a source, and what makes it deliver so many more messages of symbol A."""

    def make():
        source, sent = list_source([], ends=False), []
        orders = asyncio.Queue()

        async def run(sink):
            while (count := await orders.get()) is not None:
                stamps = range(len(sent) + 1, len(sent) + count + 1)
                batch = [(depth_message("A", n), 1_700_000_000_000_000_000 + n) for n in stamps]
                sent.extend(batch)
                await sink.deliver(batch)

        source.run = run
        source.stop = lambda: orders.put_nowait(None)
        return source, orders.put_nowait

    return make


def losses_of(path):
    return Unseen(RecordingFile(path).markers()).counts


def pending(session):
    counts = session.stats()["messages"]
    return counts["queued"] + counts["in_flight"]


def values(session):
    return session.signals().value.tolist()


def replayed(path):
    session = md.live(source=md.replay(path, None), strategies=[Level])
    Level.gate = None
    session.run_blocking(60)
    return values(session)


@pytest.mark.parametrize("overflow", ["block", "drop_oldest", "conflate"])
def test_a_recording_ends_when_what_it_holds_was_handled(fed, tmp_path, until, overflow):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"

    async def play():
        Level.gate = asyncio.Event()
        source, send = fed()
        options = {"maxsize": 20, "overflow": overflow, "workers": 1}
        session = md.live(source=source, strategies=[Level], record=first, **options).start()
        send(1)
        await until(lambda: session.stats()["messages"]["in_flight"])
        send(14)
        recorder = session.pipeline.recorder
        await until(lambda: recorder.messages == 15)
        session.stop_recording()
        other = session.record(second)  # in the same cell
        send(10)
        await until(lambda: other.messages == 10)
        assert not recorder.closed
        Level.gate.set()
        await until(lambda: recorder.closed and not pending(session))
        await session.stop()
        return values(session)

    live = asyncio.run(play())
    lost = losses_of(first)
    assert "left" not in lost
    assert bool(lost) == (overflow != "block")
    assert md.recording_info(first).complete
    last = 100_000.0 + 15
    assert replayed(first) == [value for value in live if value <= last]
    assert replayed(second) == [value for value in live if value > last]
    assert live


@pytest.mark.parametrize("stopped_before", [False, True])
def test_what_is_cancelled_while_a_strategy_awaits_was_not_seen(
    fed, tmp_path, until, stopped_before
):
    path = tmp_path / "a.jsonl"

    async def play():
        Level.gate = asyncio.Event()
        source, send = fed()
        session = md.live(source=source, strategies=[Level], record=path).start()
        send(3)
        await until(lambda: session.stats()["messages"]["in_flight"] == 3)
        if stopped_before:
            session.stop_recording()
        await session.stop(timeout=0.05)
        return session

    session = asyncio.run(play())
    assert session.signals().empty
    assert losses_of(path) == {"left": 3}
    assert replayed(path) == []


def test_two_recordings_at_once_are_refused_from_the_first_moment(fed, tmp_path, until):
    async def play():
        Level.gate = None
        source, send = fed()
        session = md.live(source=source, record=tmp_path / "a.jsonl").start()
        with pytest.raises(SessionError, match=r"about to be recorded, into .*a\.jsonl"):
            session.record(tmp_path / "b.jsonl")
        send(1)
        await until(lambda: session.stats()["messages"]["processed"])
        with pytest.raises(SessionError, match=r"recorded already, into .*a\.jsonl"):
            session.record(tmp_path / "b.jsonl")
        await session.stop()

    asyncio.run(play())
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_closing_the_recorder_ends_the_recording_alone(fed, tmp_path, until):
    async def play():
        source, send = fed()
        session = md.live(source=source, strategies=[md.strategies.pressure]).start()
        await until(lambda: session.pipeline.source.connected)
        recorder = session.record(tmp_path / "a.jsonl")
        send(5)
        await until(lambda: recorder.messages == 5)
        recorder.close()
        again = session.record(tmp_path / "b.jsonl")
        send(5)
        await until(lambda: again.messages == 5)
        again.close()
        send(5)
        await until(lambda: session.stats()["messages"]["processed"] == 15)
        return await session.stop()

    assert asyncio.run(play()).balanced
    assert len(list(md.read_recording(tmp_path / "b.jsonl"))) == 5


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_a_recording_that_cannot_begin_is_told_by_the_next_call(fed, tmp_path, until, runner):
    (tmp_path / "file").write_text("")

    async def play():
        source, _ = fed()
        path = tmp_path / "file" / "a.jsonl"
        session = md.live(source=source, record=path, runner=runner).start()
        await until(lambda: not session.running)
        assert session.state == "failed"
        with pytest.raises(RecordingError, match="could not be written"):
            session.frame("depth")
        assert "could not be written" in session.explain()

    asyncio.run(play())
