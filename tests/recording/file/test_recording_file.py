"""Recordings as files: what is written is read, and what is damaged is told."""

from __future__ import annotations

import gzip
import random
import re
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.errors import RecordingError
from mdkit.events import Gap
from mdkit.recording import format as mark
from mdkit.recording.file import recording_file as tape
from mdkit.recording.file.recording_file import Damage, RecordingFile
from mdkit.recording.file.writer import RecordingWriter
from mdkit.recording.reading.files import find_files
from mdkit.recording.reading.reader import read_recording

T0 = 1_700_000_000_000_000_000
SUFFIXES = ["", ".gz", ".zst"]
PIECE = 2048
"""Bytes of a compressed file that are read together, and lost together."""


def message(n):
    return b'{"cmd":"depth","data":{"symbol":"A","n":%d}}' % n, T0 + n * 1_000_000


def needs(suffix):
    if suffix == ".zst":
        pytest.importorskip("zstandard", reason="zstandard is not installed")


def write(path, messages, *, flush_every=None, finish=True):
    """Write messages as a recording; return `(bytes on the disk, messages)` at each flush."""
    writer = RecordingWriter(path, mark.Header(id="r1", source="test", symbols=("A",)), True)
    writer.open(T0)
    flushes = [(writer.part_bytes, 0)]
    for n, (raw, stamp) in enumerate(messages, 1):
        writer.write([b"%d\t%b\n" % (stamp, raw)], 1)
        if flush_every and n % flush_every == 0:
            writer.flush()
            flushes.append((writer.part_bytes, n))
    writer.flush()
    flushes.append((writer.part_bytes, len(messages)))
    if finish:
        writer.finish()
    else:
        writer.give_up()
    return flushes


def messages_of(path):
    return [item for item in RecordingFile(path) if isinstance(item, tuple)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_messages_and_markers_come_back_in_order(tmp_path, suffix):
    needs(suffix)
    path = tmp_path / f"a.jsonl{suffix}"
    gap = Gap("A", "depth", "closed", 1, 2, lost=3)
    markers = [
        mark.Base("A", "depth", 7, 6),
        mark.Connected(T0),
        mark.Missed.of(gap),
        mark.Refused("A", "depth", 1, 2),
        mark.Dropped("A", "depth", 3, 1),
        mark.Conflated(lines=(4, (6, 9)), parts=((10, 2),)),
        mark.Left("A", "depth", 5, 1),
        mark.Disconnected(T0, "gone"),
        mark.Lost(5, "slow"),
    ]
    header = mark.Header(id="r1", source="test", symbols=("A", "B"))
    writer = RecordingWriter(path, header, False)
    writer.open(T0)
    for n, marker in enumerate(markers):
        raw, stamp = message(n)
        writer.write([b"%d\t%b\n" % (stamp, raw), mark.encode_marker(marker) + b"\n"], 1)
    writer.finish()
    file = RecordingFile(path)
    items = list(file)
    assert items[0] == mark.Header(at=T0, id="r1", source="test", symbols=("A", "B"), line=1)
    assert items[1:-1:2] == [message(n) for n in range(len(markers))]
    assert items[2:-1:2] == markers
    assert items[6].gap() == gap
    assert items[-1] == mark.End(len(markers)) == file.end
    assert list(file.markers()) == [item for item in items if isinstance(item, mark.Marker)]
    assert file.faults == ["5 messages could not be written when it was made"]


def test_files_made_by_hand_are_read(tmp_path):
    path = tmp_path / "hand.jsonl"
    lines = [
        b'{"mdkit":"recording"}',
        b"",
        b"# a note",
        b'{"mdkit":"of tomorrow","x":1}',
        b"%d\t{}" % T0,
        b'  {"cmd":"depth"}\r',
        b"%d\t" % (T0 + 1),
        b"%d\tnot json\r" % (T0 + 2),
        b'%d\t{"last":1}' % (T0 + 3),
    ]
    path.write_bytes(b"\n".join(lines))
    expected = [
        (b"{}", T0),
        (b'{"cmd":"depth"}', 0),
        (b"", T0 + 1),
        (b"not json", T0 + 2),
        (b'{"last":1}', T0 + 3),
    ]
    file = RecordingFile(path)
    items = list(file)
    assert file.faults == []
    assert [item for item in items if isinstance(item, tuple)] == expected
    packed = tmp_path / "hand.gz"
    packed.write_bytes(
        gzip.compress(path.read_bytes()[:30]) + gzip.compress(path.read_bytes()[30:])
    )
    assert messages_of(packed) == expected


def test_damaged_lines_are_passed_over_counted_and_named(tmp_path):
    path = tmp_path / "a.jsonl"
    good = [b"%d\t{}" % (T0 + n) for n in range(5)]
    bad = [b"12x\t{}", b"9" * 25 + b"\t{}", b'{"mdkit":"gap","symbol":1}', b'{"mdkit":"end"']
    path.write_bytes(b"\n".join([*good[:2], *bad, *good[2:], b""]))
    file = RecordingFile(path)
    assert list(file) == [(b"{}", T0 + n) for n in range(5)]
    (told,) = file.faults
    assert "4 lines were damaged" in told
    assert "line 3 is not a market message ('12x" in told


def test_damage_stands_in_the_place_of_the_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    good = [b"%d\t{}" % (T0 + n) for n in range(4)]
    connected = mark.encode_marker(mark.Connected(T0))
    lines = [b"x", *good[:2], b"x", b"", b"x", good[2], b"x", connected, good[3], b"x", b"[x"]
    path.write_bytes(b"\n".join(lines))
    read = [(b"{}", T0 + n) for n in range(4)]
    assert list(RecordingFile(path).runs()) == [
        Damage(1),
        read[:2],
        Damage(2),
        [read[2]],
        Damage(1),
        mark.Connected(T0),
        [read[3]],
        Damage(1),
    ]
    assert list(RecordingFile(path)) == [*read[:3], mark.Connected(T0), read[3]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path, pack):
    path = tmp_path / "a.jsonl"
    header = mark.Header(id="r1", symbols=("A",))
    path.write_bytes(pack(b"\xef\xbb\xbf" + mark.encode_marker(header) + b"\n%d\t{}\n" % T0))
    file = RecordingFile(path)
    assert file.read_header() == header
    assert list(file.markers()) == [header]
    assert list(file) == [header, (b"{}", T0)]
    assert file.damaged == 0


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"hello",
        b"\x00\xff" * 400,
        b"time,bid,ask\n" * 1000,
        b"PAR2" + bytes(range(1, 256)) * 10,
        gzip.compress(b"# nothing\nhello\nworld\n", mtime=0),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, content):
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"other\.jsonl is not a recording: line \d is not"):
        list(RecordingFile(path))


@pytest.mark.parametrize("content", [b"\x00\xff" * 400, b"PAR2" + bytes(range(1, 256)) * 10])
def test_bytes_that_are_no_text_are_not_repeated(tmp_path, content):
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="bytes that are no text") as caught:
        list(RecordingFile(path))
    assert str(caught.value).isprintable()
    assert "\ufffd" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PAR1", "a Parquet file"),
        (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n{}\n", "a picture"),
        (b"GIF89a", "a picture"),
        (b"%PDF-1.7\n", "a PDF document"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, start, kind):
    path = tmp_path / "other.jsonl"
    path.write_bytes(start + bytes(range(256)))
    for read in (lambda: list(RecordingFile(path)), lambda: read_recording(path)):
        with pytest.raises(RecordingError, match=f"is not a recording: it is {kind}") as caught:
            read()
        assert str(caught.value).isprintable()


def test_a_tilde_is_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "a.jsonl").write_bytes(b"%d\t{}\n" % T0)
    assert list(RecordingFile("~/a.jsonl")) == [(b"{}", T0)]
    assert find_files("~/a.jsonl") == find_files("~/*.jsonl") == [tmp_path / "a.jsonl"]


@pytest.mark.outer
def test_a_file_without_lines_is_refused_without_reading_it_all(tmp_path):
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(bytes(64 << 20), 1))
    with pytest.raises(RecordingError, match="line 1 does not end"):
        list(RecordingFile(path))


def test_an_absent_file_and_an_absent_library(tmp_path, monkeypatch):
    with pytest.raises(RecordingError, match="There is no recording"):
        list(RecordingFile(tmp_path / "none.gz"))
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd")
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(RecordingError, match="pip install zstandard"):
        list(RecordingFile(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cut_anywhere_it_reads_to_the_last_whole_line(tmp_path, suffix):
    needs(suffix)
    path = tmp_path / f"whole{suffix}"
    sent = [message(n) for n in range(200)]
    flushes = write(path, sent, flush_every=20)
    whole = path.read_bytes()
    cut = tmp_path / f"cut{suffix}"

    @given(st.integers(0, len(whole) - 1))
    def check(offset):
        cut.write_bytes(whole[:offset])
        file = RecordingFile(cut)
        read = [item for item in file if isinstance(item, tuple)]
        assert read == sent[: len(read)]
        assert len(read) >= max((n for size, n in flushes if size <= offset), default=0)
        if suffix == "":
            lines = whole[:offset].split(b"\n")
            ended = sum(line[:1].isdigit() for line in lines[:-1])
            assert len(read) == ended + lines[-1].endswith(b"}}")
        if 0 < offset < len(whole) - 1:  # the last line may lack its end
            told = "; ".join(file.faults)
            assert "cut off" in told or "breaks off" in told or "no end marker" in told

    check()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_large_flush_is_read_whole_though_nothing_follows(tmp_path, suffix):
    needs(suffix)
    path = tmp_path / f"killed{suffix}"
    for count in range(3000, 3010):
        path.unlink(missing_ok=True)
        sent = [message(n) for n in range(count)]
        write(path, sent, finish=False)
        assert messages_of(path) == sent


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_flipped_byte_costs_what_is_behind_it_at_most_and_is_told(tmp_path, suffix):
    needs(suffix)
    path = tmp_path / f"whole{suffix}"
    noise = random.Random(1)
    sent = [(b'{"n":%d}' % noise.getrandbits(200), T0 + n) for n in range(600)]
    flushes = write(path, sent, flush_every=20)
    whole = path.read_bytes()
    assert len(whole) > 5 * PIECE
    bent = tmp_path / f"bent{suffix}"

    @given(st.integers(20, len(whole) - 1), st.integers(1, 255))
    def check(offset, change):
        bent.write_bytes(whole[:offset] + bytes([whole[offset] ^ change]) + whole[offset + 1 :])
        file = RecordingFile(bent)
        try:
            read = [item for item in file if isinstance(item, tuple)]
        except RecordingError:  # no line of it is one of a recording: that, too, is told
            return
        piece = offset // PIECE * PIECE
        intact = max((n for size, n in flushes if size <= piece), default=0)
        assert read[:intact] == sent[:intact]
        told = "; ".join(file.faults)
        if read != sent:
            assert told
        if (at := re.search(r"which shows at byte ([\d,]+) \(", told)) is not None:
            assert piece <= int(at[1].replace(",", "")) <= len(whole)
            assert "nothing from there on can be read" in told
            assert told.isprintable()

    check()


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_text_that_does_not_match_its_checksum_is_told(tmp_path, suffix):
    """Compression may read on over damage, and give another text."""
    needs(suffix)
    path = tmp_path / f"whole{suffix}"
    write(path, [message(n) for n in range(200)])
    whole = path.read_bytes()
    sums = 8 if suffix == ".gz" else 4  # what the stream ends with
    path.write_bytes(whole[:-sums] + bytes([whole[-sums] ^ 1]) + whole[1 - sums :])
    file = RecordingFile(path)
    list(file)
    assert re.search(
        r"shows at byte [\d,]+ \(.*checksum.*what is before may be wrong", file.faults[0]
    )


def test_missing_messages_are_counted_by_the_end_marker(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, [message(n) for n in range(10)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[6:]))
    file = RecordingFile(path)
    assert len(list(file)) > 7
    assert file.faults == ["3 of 10 messages are missing"]


def test_a_killed_recorder_is_told_with_the_last_time(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, [message(n) for n in range(3)], finish=False)
    file = RecordingFile(path)
    assert sum(isinstance(item, tuple) for item in file) == 3
    (told,) = file.faults
    expected = r"no end marker.*about a second of messages after 2023-11-14 22:13:20\.002 UTC"
    assert re.search(expected, told)


_TIMES = st.one_of(st.integers(10**18, 10**19 - 1), st.integers(0, 2**64))
_WHOLE = st.tuples(_TIMES, st.sampled_from([b"{}", b"[1]", b'{"a":\t1}', b"x", b""]))
_LINE = st.one_of(
    _WHOLE.map(lambda pair: b"%d\t%b" % pair),
    st.sampled_from(
        b"|# note|{}|123|0123\t{}|-5\t{}|1_0\t{}|\t{}|7\t{}\r|5\t{\t6\t{|\xd9\xa1\t{}|"
        b'{"mdkit":"connected","at":5}|{"mdkit":"new"}'.split(b"|")
    ),
)


@given(st.lists(_LINE, max_size=12), st.booleans())
def test_many_lines_at_once_are_read_as_one_by_one(lines, ends):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(b"1700000000000000001\t{}\n" + b"\n".join(lines) + b"\n" * ends)
        together, alone = RecordingFile(path), RecordingFile(path)
        found = list(together)
        with mock.patch.object(tape, "_timed_messages", return_value=None):
            assert found == list(alone)
    assert together.messages == alone.messages == sum(isinstance(item, tuple) for item in found)
    assert (together.faults, together.damage) == (alone.faults, alone.damage)


def test_the_real_recording_is_read_whole(market):
    path = market / "depth.jsonl.gz"
    with gzip.open(path) as file:
        expected = [line.rstrip(b"\n").split(b"\t") for line in file]
    read = list(RecordingFile(path))
    assert len(read) == 62_650
    assert read == [(raw, int(stamp)) for stamp, raw in expected]
