"""Columns of recordings and their copies; Parquet read back as a recording."""

import os
import stat
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mdkit as md
from mdkit.recording.reading import columns as module


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "market.jsonl.gz"
    source = md.Simulated(rate=400.0, count=600, speed=0)
    session = md.live(
        ["AAPL.US", "MSFT.US"], source=source, channels=["depth", "trade", "ticker"], record=path
    )
    session.run_blocking()
    return path


def reads(monkeypatch):
    """Count how often messages are read."""
    counted = []
    frame = md.read_recording.__globals__["Recording"].frame

    def counting(self, *args, **options):
        counted.append(args)
        return frame(self, *args, **options)

    monkeypatch.setattr(md.read_recording.__globals__["Recording"], "frame", counting)
    return counted


@pytest.mark.parametrize("channel", ["depth", "trade", "ticker"])
@pytest.mark.parametrize("cache", [True, False])
def test_columns_are_those_of_the_frame_the_first_time_and_later(recording, channel, cache):
    read = md.read_recording(recording)
    more = {"levels": 10} if channel == "depth" else {}
    frame = read.frame(channel, "AAPL.US", **more)
    for _ in range(2):
        columns = read.columns(channel, "AAPL.US", cache=cache)
        assert list(columns) == ["received", *frame.columns]
        assert columns.rows == len(frame) > 0
        np.testing.assert_array_equal(
            columns["received"], frame.index.tz_localize(None).as_unit("ns")
        )
        for name in frame:
            values = frame[name]
            if values.dtype.kind == "M":
                values = values.dt.tz_localize(None).dt.as_unit("ns")
                assert columns[name].dtype == "M8[ns]"
            assert comparable(pd.Series(columns[name])) == comparable(values)
    assert recording.with_name("market.jsonl.gz.columns").is_dir() is cache


def comparable(values):
    return ["-" if pd.isna(value) else value for value in values.astype(object)]


def test_the_second_reading_decodes_nothing_until_the_recording_changes(recording, monkeypatch):
    counted = reads(monkeypatch)
    first = md.read_recording(recording).columns("depth", "AAPL.US")
    again = md.read_recording(recording).columns("depth", "AAPL.US", levels=2)
    assert len(counted) == 1
    assert "bid_3" in first
    assert "bid_2" in again
    assert "bid_3" not in again
    md.read_recording(recording).columns("depth", "MSFT.US")
    md.read_recording(recording, as_seen=True).columns("depth", "AAPL.US")
    assert len(counted) == 3
    (copy, *_) = sorted(recording.with_name("market.jsonl.gz.columns").iterdir())
    copy.write_bytes(copy.read_bytes()[:100])  # damaged
    for _ in range(2):
        for symbol, seen in (("AAPL.US", False), ("MSFT.US", False), ("AAPL.US", True)):
            md.read_recording(recording, as_seen=seen).columns("depth", symbol)
    assert len(counted) == 4
    os.utime(recording, ns=(1, 1))  # the same as it was
    assert md.read_recording(recording).columns("depth", "AAPL.US").rows == first.rows
    assert len(counted) == 4


def plain(path, count):
    """Write books of A, of which the prices say how many there are."""
    book = '{"cmd":"depth","data":{"symbol":"A","bids":[["%d","1"]],"asks":[["%d","1"]]}}'
    stamps = range(1_700_000_000_000_000_000, 1_700_000_000_000_000_000 + count)
    lines = [f"{stamp}\t{book % (count, count + 1)}\n" for stamp in stamps]
    path.write_text("".join(lines))
    return path


def test_another_file_of_the_same_size_and_time_is_not_taken_for_the_one_before(tmp_path):
    path = plain(tmp_path / "a.jsonl", 5000)
    stamp = path.stat().st_mtime_ns
    assert md.read_recording(path).columns("depth", "A")["bid"][2500] == 5000
    text = path.read_text().splitlines(keepends=True)
    text[2500] = text[2500].replace('"5000"', '"4999"')
    path.write_text("".join(text))
    os.utime(path, ns=(stamp, stamp))
    assert md.read_recording(path).columns("depth", "A")["bid"][2500] == 4999


def test_what_is_appended_while_it_is_read_is_not_kept(tmp_path, monkeypatch):
    path = plain(tmp_path / "a.jsonl", 10)
    recording = md.read_recording(path)
    frame = type(recording).frame

    def growing(self, *args, **options):
        found = frame(self, *args, **options)
        plain(path, 20)
        return found

    monkeypatch.setattr(type(recording), "frame", growing)
    assert recording.columns("depth", "A").rows == 10
    assert not path.with_name("a.jsonl.columns").exists()
    monkeypatch.undo()
    assert recording.columns("depth", "A").rows == 20


def test_what_another_mdkit_made_is_made_anew(recording, monkeypatch):
    md.read_recording(recording).columns("depth", "AAPL.US")
    monkeypatch.setattr(module, "__version__", "99")
    counted = reads(monkeypatch)
    for _ in range(2):
        md.read_recording(recording).columns("depth", "AAPL.US")
    assert len(counted) == 1


def test_a_copy_with_a_wrong_byte_anywhere_is_made_anew(recording, monkeypatch):
    first = md.read_recording(recording).columns("trade", "AAPL.US")
    (copy,) = recording.with_name("market.jsonl.gz.columns").iterdir()
    whole = copy.read_bytes()
    for at in np.random.default_rng(1).integers(0, len(whole), 25):
        copy.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        again = md.read_recording(recording).columns("trade", "AAPL.US")
        for name in first:
            np.testing.assert_array_equal(again[name], first[name])


@pytest.mark.outer
def test_several_may_make_the_same_copy_at_once(recording):
    expected = md.read_recording(recording).columns("depth", "AAPL.US", cache=False)
    code = (
        "import sys, mdkit as md; columns = md.read_recording(sys.argv[1]).columns;"
        "print(columns('depth', 'AAPL.US')['bid'].sum().hex())"
    )
    command = [sys.executable, "-c", code, str(recording)]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate()[0].strip() for process in several} == {
        expected["bid"].sum().hex()
    }
    (copy,) = recording.with_name("market.jsonl.gz.columns").iterdir()
    assert copy.suffix == ".parquet"


@pytest.mark.outer
def test_a_copy_is_read_without_pandas(recording):
    md.read_recording(recording).columns("depth", "AAPL.US")
    code = (
        "import sys, mdkit as md; md.read_recording(sys.argv[1]).columns('depth', 'AAPL.US');"
        "print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(recording)]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip() == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="file modes of POSIX")
def test_copies_are_private_and_a_folder_that_takes_none_costs_nothing(recording, monkeypatch):
    read = md.read_recording(recording)
    read.columns("trade", "AAPL.US")
    (copy,) = recording.with_name("market.jsonl.gz.columns").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600

    def refuses(*_):
        raise PermissionError

    monkeypatch.setattr(module, "_write", refuses)
    assert read.columns("depth", "AAPL.US").rows
    monkeypatch.undo()
    copy.unlink()
    copy.parent.rmdir()
    copy.parent.write_text("a file where the folder should be")
    assert read.columns("depth", "AAPL.US").rows


def test_columns_and_findings_go_to_whatever_reads_arrow(recording):
    columns = md.read_recording(recording).columns("depth", "AAPL.US")
    table = pa.table(columns)
    assert table.column_names == list(columns)
    assert table["bid"].to_numpy().tolist() == columns["bid"].tolist()
    assert str(table["received"].type) == "timestamp[ns, tz=UTC]"
    found = md.next_move(md.read_recording(recording).frame("depth", "AAPL.US"))
    assert pa.table(found)["p_up"].to_pylist() == found.table["p_up"].tolist()


@pytest.mark.parametrize("levels", [0, 11, "2"])
def test_levels_that_cannot_be_are_refused(recording, levels):
    with pytest.raises(md.MdkitError, match="from 1 to 10"):
        md.read_recording(recording).columns("depth", "AAPL.US", levels=levels)


def test_parquet_comes_back_as_the_events_that_were_written(recording, tmp_path):
    md.to_parquet(recording, tmp_path / "out")
    back = md.read_parquet(tmp_path / "out")
    assert back.symbols == ("AAPL.US", "MSFT.US")
    plain = list(md.read_recording(recording))
    for kind in ("depth", "trade", "ticker"):
        assert [e for e in back if e.kind == kind] == [e for e in plain if e.kind == kind]
        found = back.frame(kind, "AAPL.US")
        wanted = md.read_recording(recording).frame(kind, "AAPL.US")
        pd.testing.assert_frame_equal(
            pd.DataFrame(found), pd.DataFrame(wanted), check_categorical=False, check_freq=False
        )
        assert len(back.frame(kind)) == sum(event.kind == kind for event in plain)
    times = [event.received_ns for event in back]
    assert times == sorted(times)
    one = [event for event in back if event.symbol == "AAPL.US"]
    result = md.backtest(md.strategies.pressure, one, trade=False)
    other = md.backtest(
        md.strategies.pressure, [e for e in plain if e.symbol == "AAPL.US"], trade=False
    )
    assert result.signals.dropna().to_numpy().tolist() == other.signals.dropna().to_numpy().tolist()


def test_gaps_come_back_before_what_follows_them(tmp_path):
    books = [md.Depth("A", ((1.0, 1.0),), ((2.0, n),), 0, 10 + n) for n in range(1, 5)]
    gap = md.Gap("A", "depth", "connection lost", 12, 13, None)
    events = [*books[:2], gap, *books[2:]]
    md.to_parquet(events, tmp_path)
    back = md.read_parquet(tmp_path)
    assert list(back) == events
    assert back.frame("depth", "A")["gap"].tolist() == [False, False, True, False]


def test_what_is_no_such_folder_is_refused_in_words(tmp_path):
    with pytest.raises(md.MdkitError, match=r"holds none of depth\.parquet"):
        md.read_parquet(tmp_path)
    (tmp_path / "depth.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(md.MdkitError, match="cannot be read"):
        md.read_parquet(tmp_path)
    pd.DataFrame({"symbol": ["A"]}).to_parquet(tmp_path / "depth.parquet")
    with pytest.raises(md.MdkitError, match="lacks the column"):
        list(md.read_parquet(tmp_path))
