"""Recordings of venues' frames that somebody has written by hand."""

import pytest

import mdkit as md
from mdkit.errors import RecordingWarning

HEADER = '{"mdkit":"recording","version":1,"id":"aa","symbols":["X/USD"],"venue":"normalized"}\n'
END = '{"mdkit":"end","messages":%d}\n'
FRAME = '1700000000000000000\t{"channel":"heartbeat"}\n'


def feed(**changed):
    import json

    begins = {"mdkit": "feed", "name": "a", "venue": "kraken", "natives": {"X/USD": "X/USD"}}
    begins |= {"levels": 10, "depth": 10, **changed}
    return json.dumps(begins, separators=(",", ":")) + '\n{"mdkit":"frames","feed":"a"}\n'


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"venue": "nowhere"}, "no venue"),
        ({"levels": 0}, "is none"),
        ({"levels": -5}, "is none"),
        (
            {
                "state": {
                    "builders": {
                        "X/USD": {
                            "state": "in step",
                            "since_ns": 1,
                            "book": {
                                "symbol": "",
                                "bids": [[1.0, 1.0]],
                                "asks": [],
                                "bid_texts": [],
                            },
                        }
                    }
                }
            },
            "cannot be used",
        ),
    ],
)
def test_what_cannot_be_is_told_and_ends_nothing(tmp_path, changed, told):
    path = tmp_path / "odd.jsonl"
    path.write_text(HEADER + feed(**changed) + FRAME * 3 + END % 3)
    with pytest.warns(RecordingWarning, match=told):
        assert list(md.read_recording(path)) == []


def test_frames_of_a_connection_that_nobody_began_are_left_out(tmp_path):
    path = tmp_path / "odd.jsonl"
    path.write_text(HEADER + '{"mdkit":"frames","feed":"b"}\n' + FRAME + END % 1)
    with pytest.warns(RecordingWarning, match="of a connection"):
        assert list(md.read_recording(path)) == []
