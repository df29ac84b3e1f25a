"""`md.explore`: a recording under a hand that plays, pauses, jumps and changes the speed."""

import asyncio
from collections import Counter

import pytest

import mdkit as md
from mdkit.errors import RecordingError, SettingsError
from mdkit.recording.reading.info import _bursts

pytestmark = pytest.mark.outer


def test_it_plays_pauses_and_jumps(tmp_path, until):
    path = tmp_path / "feed.jsonl.gz"
    md.live(
        source=md.Simulated(["A"], rate=400, seed=2, count=800), record=path, name="to explore"
    ).run_blocking()

    async def main():
        explorer = md.explore(path, strategies=[md.strategies.pressure], speed=4)
        session, board = explorer.session, explorer.dashboard
        await until(lambda: len(session.frame("depth", "A")) > 50)
        explorer.pause()
        await until(lambda: explorer._replay.paused)
        held = session.pipeline.source.clock_ns()
        begin = explorer.info.start_ns
        explorer.seek(begin + 10**9)
        explorer.play(speed=2)
        await until(lambda: session.pipeline.beginnings > 0 and len(session.frame("depth", "A")))
        assert session.frame("depth", "A").index[0].value >= begin + 10**9, "frames begin anew"
        await until(lambda: board.collector.last_ms * 1e6 > begin + 10**9)
        shown = board.collector.ring("books").rows
        assert (shown[1:, 0] >= shown[:-1, 0]).all()
        assert shown[0, 0] * 1e6 >= begin + 10**9 - 1000, "nothing of before the jump"
        signals = len(session.signals())
        explorer.jump("signal")
        await until(lambda: explorer._replay.paused)
        assert len(session.signals()) > 0 or signals
        assert explorer._replay.speed == 2, "the speed is what it was"
        with pytest.raises(SettingsError, match="no further gap"):
            explorer.jump("gap")
        with pytest.raises(SettingsError, match="did you mean 'burst'"):
            explorer.jump("bust")
        assert held > begin
        await session.stop()
        return board

    board = asyncio.run(main())
    head = board.player.head()
    assert head["from"] < head["to"]
    assert set(head["marks"]) == {"gap", "burst"}


def test_without_strategies_there_is_no_signal_to_look_for(tmp_path):
    path = tmp_path / "feed.jsonl"
    md.live(
        source=md.Simulated(["A"], rate=400, count=100), record=path, name="no strategies"
    ).run_blocking()

    async def main():
        explorer = md.explore(path)
        with pytest.raises(SettingsError, match="no strategy runs"):
            explorer.jump("signal")
        await explorer.session.stop()

    asyncio.run(main())


def test_bursts_are_seconds_with_three_times_the_usual():
    seconds = Counter(
        {100: 10, 101: 10, 102: 30, 103: 45, 104: 10, 105: 29, 106: 10, 107: 300, 108: 9}
    )
    assert _bursts(seconds) == (102 * 10**9, 107 * 10**9)
    assert _bursts(Counter()) == ()


def test_nothing_to_explore_is_an_error(tmp_path):
    with pytest.raises(RecordingError):
        md.explore(tmp_path / "none.jsonl")
