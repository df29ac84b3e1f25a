"""Files of format 1, which other releases have written: sessions that lost messages, and kraken."""

import asyncio
import json
from pathlib import Path

import pytest

import mdkit as md
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.file.recording_file import RecordingFile
from mdkit.recording.replay.replay import Replay
from mdkit.strategies.contract import as_strategy
from tests.recording.remembering import Everything
from tests.recording.test_same_answers import signals_of

FOLDER = Path(__file__).parent / "format1"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
SAMPLE = Path(__file__).parents[3] / "data" / "sample.jsonl.gz"


@pytest.mark.parametrize("name", EXPECTED)
def test_strategies_say_again_what_they_said_live(name):
    async def play():
        strategies = [as_strategy(md.strategies.pressure), as_strategy(Everything)]
        replay = Replay(FOLDER / f"{name}.jsonl.gz", None)
        pipeline = Pipeline(replay, strategies, frame_rows=100_000)
        pipeline.start()
        await pipeline.wait()
        assert not pipeline.problems
        return signals_of(pipeline)

    signals = asyncio.run(play())
    told = {f"{symbol} {strategy}": rows for (symbol, strategy), rows in signals.items()}
    expected = EXPECTED[name]
    assert told == {key: [tuple(row) for row in rows] for key, rows in expected["signals"].items()}
    info = md.recording_info(FOLDER / f"{name}.jsonl.gz")
    assert info.unseen == expected["unseen"]
    assert info.complete


@pytest.mark.parametrize("name", [*EXPECTED, "sample"])
def test_they_are_of_format_1(name):
    path = SAMPLE if name == "sample" else FOLDER / f"{name}.jsonl.gz"
    assert RecordingFile(path).read_header().version == 1


def test_what_was_recorded_and_lost_nothing_is_seen_whole():
    everything = list(md.read_recording(SAMPLE))
    assert list(md.read_recording(SAMPLE, as_seen=True)) == everything
    assert md.recording_info(SAMPLE).messages == 1859
