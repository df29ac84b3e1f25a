"""Recordings read: events, frames, figures, and Parquet for other tools."""

from __future__ import annotations

import gzip
import itertools
import random

import pandas as pd
import pyarrow.parquet as pq
import pytest

import mdkit as md
from mdkit.errors import RecordingError, RecordingWarning, SettingsError
from mdkit.events import Bar, Depth, Gap, Ticker, Trade
from mdkit.frames import Frames
from mdkit.recording import format as mark
from mdkit.recording.file.recording_file import RecordingFile
from mdkit.recording.reading.files import find_files
from mdkit.recording.reading.info import recording_info
from mdkit.recording.reading.reader import read_recording
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.tables.parquet import to_parquet
from mdkit.venues.tickdb import encode, via_rest

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
GAP = Gap("A", "depth", "closed", T0 + 5 * MS, T0 + 6 * MS, lost=2)


def book(symbol, n, levels=3, at=0):
    chance = random.Random(n)
    bids = tuple((100.0 - i - chance.random(), 1.0 + chance.random()) for i in range(levels))
    asks = tuple((101.0 + i + chance.random(), 1.0 + chance.random()) for i in range(levels))
    return Depth(symbol, bids, asks, T0 + n * MS, at or T0 + n * MS)


def trade(symbol, n):
    return Trade(symbol, 100.0 + n, 2.0, "buy", str(n), T0 + n * MS, T0 + n * MS)


EVENTS = [
    *(book(symbol, n) for n in range(5) for symbol in "AB"),
    GAP,
    book("A", 6, levels=1),
    trade("A", 7),
    trade("B", 8),
    Ticker("A", 101.0, bid=100.0, exchange_ns=T0 + 9 * MS, received_ns=T0 + 9 * MS),
    book("A", 10, levels=12),
]


def line(event):
    if isinstance(event, Gap):
        return mark.encode_marker(mark.Missed.of(event))
    return b"%d\t%b" % (
        event.received_ns,
        encode(event if not isinstance(event, Trade) else [event]),
    )


def write(path, events, *, more=()):
    header = mark.encode_marker(mark.Header(id=str(path), source="test", symbols=("A", "B")))
    path.write_bytes(b"\n".join([header, *map(line, events), *more, b""]))
    return path


@pytest.fixture
def recording(tmp_path):
    end = mark.encode_marker(mark.End(sum(not isinstance(event, Gap) for event in EVENTS)))
    return write(tmp_path / "a.jsonl", EVENTS, more=[end])


def test_events_and_gaps_come_in_place_and_again(recording):
    read = read_recording(recording)
    assert list(read) == EVENTS
    assert list(read) == EVENTS
    assert read.symbols == ("A", "B")
    assert repr(read) == f"<Recording {recording}>"


def test_messages_that_cannot_be_used_are_counted(tmp_path):
    more = [b"1\tnonsense", b'2\t{"cmd":"pong","code":0}', b'3\t{"cmd":"depth","data":{}}']
    path = write(tmp_path / "a.jsonl", EVENTS, more=[*more, mark.encode_marker(mark.End(0))])
    read = read_recording(path)
    assert list(read) == EVENTS
    assert read.invalid == 2


def test_lists_about_several_symbols_are_several_events(tmp_path):
    raw = (
        b'{"cmd":"ticker","data":[{"symbol":"A","last_price":"1"},{"symbol":"B","last_price":"2"}]}'
    )
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"5\t" + raw)
    assert [(e.symbol, e.last, e.received_ns) for e in read_recording(path)] == [
        ("A", 1.0, 5),
        ("B", 2.0, 5),
    ]
    assert recording_info(path).counts == {("A", "ticker"): 1, ("B", "ticker"): 1}


def test_trades_that_rest_filled_in_are_told_once(tmp_path):
    path = tmp_path / "a.jsonl"
    first, second, third = (trade("A", n) for n in range(3))
    filled = via_rest(encode([first, second]))
    lines = [line(first), b"%d\t%b" % (T0 + 5, filled), line(second), line(third)]
    path.write_bytes(b"\n".join(lines))
    read = read_recording(path)
    assert [event.id for event in read] == ["0", "1", "2"]
    frame = read.frame("trade", "A")
    assert list(frame.id) == ["0", "1", "2"]
    assert list(frame.source) == ["live", "rest", "live"]
    assert recording_info(path).counts == {("A", "trade"): 3, ("A", "trade:rest"): 1}


def test_suffixes_that_the_service_drops_are_put_back(tmp_path):
    path = tmp_path / "a.jsonl"
    header = mark.encode_marker(mark.Header(symbols=("700.HK",)))
    path.write_bytes(header + b"\n" + line(trade("700", 1)))
    assert [event.symbol for event in read_recording(path)] == ["700.HK"]


def test_suffixes_are_those_of_the_symbols_subscribed_to_at_the_time(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        mark.encode_marker(mark.Header(symbols=("AAPL.US",))),
        line(trade("700", 1)),
        mark.encode_marker(mark.Subscribed(T0, ("AAPL.US", "700.HK"))),
        line(trade("700", 2)),
        line(trade("700", 3)),
        mark.encode_marker(mark.Dropped("700.HK", "trade", 1, 1)),
    ]
    path.write_bytes(b"\n".join(lines))
    assert [event.symbol for event in read_recording(path)] == ["700", "700.HK", "700.HK"]
    assert recording_info(path).counts == {("700", "trade"): 1, ("700.HK", "trade"): 2}
    told = [(event.kind, event.symbol) for event in read_recording(path, as_seen=True)]
    assert told == [("trade", "700"), ("gap", "700.HK"), ("trade", "700.HK")]
    # Beside another recording, that one's symbols stay known.
    beside = tmp_path / "b.jsonl"
    header = mark.encode_marker(mark.Header(symbols=("MSFT.US",)))
    beside.write_bytes(header + b"\n" + line(trade("MSFT", 4)))
    assert [event.symbol for event in read_recording([path, beside])][-1] == "MSFT.US"
    # And what one subscribed to stays known when another one changes its own.
    changed = mark.encode_marker(mark.Subscribed(T0 + 3 * MS, ("MSFT.US",)))
    beside.write_bytes(b"\n".join([header, changed, line(trade("700", 4))]))
    assert [event.symbol for event in read_recording([path, beside])][-1] == "700.HK"


def test_what_was_not_seen_is_left_out_when_asked(tmp_path):
    books = [book("A", n) for n in range(6)]
    more = [mark.encode_marker(mark.Dropped("A", "depth", 2, 3)), mark.encode_marker(mark.End(6))]
    path = write(tmp_path / "a.jsonl", books, more=more)
    assert list(read_recording(path)) == books
    hole = Gap("A", "depth", "dropped", T0 + 1 * MS, T0 + 3 * MS, lost=3)
    assert list(read_recording(path, as_seen=True)) == [books[0], hole, *books[4:]]
    info = recording_info(path)
    assert info.unseen == {"dropped": 3}
    assert "not seen     3 dropped" in repr(info)


@pytest.mark.parametrize("channel", ["depth", "trade", "ticker", "bar"])
@pytest.mark.parametrize("symbol", ["A", "B", None])
def test_a_frame_is_that_of_a_session(recording, channel, symbol):
    frames = Frames(1000, 4)
    for event in EVENTS:
        if isinstance(event, Gap):
            frames.table("depth", "A").break_off()
        else:
            frames.extend(event.kind, event.symbol, [event])
    for levels in (None, 1, 4) if channel == "depth" else (None,):
        made = read_recording(recording).frame(channel, symbol, levels=levels)
        expected = frames.frame(channel, symbol, levels=levels)
        pd.testing.assert_frame_equal(made, expected)
    if channel == "depth":
        made = read_recording(recording).frame(channel, symbol, every="1ms")
        expected = frames.frame(channel, symbol, every="1ms")
        pd.testing.assert_frame_equal(made, expected)
        made = read_recording(recording).frame(channel, symbol)
    if channel == "depth" and symbol == "A":
        assert list(made.index[made.gap]) == [pd.Timestamp(T0 + 6 * MS, tz="UTC")]


def test_a_frame_of_a_symbol_that_is_not_there_is_refused_with_those_that_are(recording, tmp_path):
    read = read_recording(recording)
    for table in (read.frame, read.columns):
        with pytest.raises(SettingsError, match=r"no 'AA' in the recording: .*'A'.*There are A, B"):
            table("depth", "AA")
    to_parquet(recording, tmp_path / "parquet")
    with pytest.raises(SettingsError, match=r"there is no 'AA' here: .*There are A, B"):
        md.read_parquet(tmp_path / "parquet").frame("depth", "AA")


def test_a_symbol_that_was_subscribed_to_or_came_unasked_has_a_frame(tmp_path):
    header = mark.encode_marker(mark.Header(id="x", source="test", symbols=("A", "silent")))
    path = tmp_path / "a.jsonl"
    lines = [header, line(book("A", 1)), line(book("C", 2)), mark.encode_marker(mark.End(2)), b""]
    path.write_bytes(b"\n".join(lines))
    read = read_recording(path)
    assert [len(read.frame("depth", symbol)) for symbol in ("A", "C", "silent")] == [1, 1, 0]
    assert len(read.frame("trade", "C")) == 0


@pytest.mark.parametrize("venue", ["tickdb", "normalized"])
def test_a_symbol_subscribed_to_later_has_a_frame_though_it_was_silent(tmp_path, venue):
    header = mark.Header(id="x", source="test", symbols=("A",), venue=venue)
    markers = [header, mark.Subscribed(T0, ("A", "B")), mark.End(0)]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(mark.encode_marker(marker) + b"\n" for marker in markers))
    read = read_recording(path)
    assert len(read.frame("depth", "B")) == 0
    with pytest.raises(SettingsError, match="there is no 'C' in the recording"):
        read.frame("depth", "C")


def test_the_figures_of_a_symbol_stand_together(recording):
    rows = [row.split() for row in repr(recording_info(recording)).splitlines()]
    told = [row[0] for row in rows if row[0] in ("A", "B")]
    assert told == ["A", "A", "A", "B", "B"]


def test_gaps_are_a_table_as_a_session_gives_it(recording):
    (row,) = read_recording(recording).gaps().itertuples(index=False)
    assert tuple(row)[:3] == ("A", "depth", "closed")
    assert row[3:5] == (pd.Timestamp(T0 + 5 * MS, tz="UTC"), pd.Timestamp(T0 + 6 * MS, tz="UTC"))
    assert row.seconds == pytest.approx(0.001)
    assert row.lost == 2


def test_a_frame_of_no_channel_is_refused(recording):
    with pytest.raises(SettingsError, match="no frame of 'dept'"):
        read_recording(recording).frame("dept")


def test_it_is_data_for_a_backtest(tmp_path):
    books = [book("A", n, levels=6) for n in range(200)]
    path = write(tmp_path / "a.jsonl", books, more=[mark.encode_marker(mark.End(200))])
    got = md.backtest(md.strategies.pressure, read_recording(path))
    expected = md.backtest(md.strategies.pressure, books)
    pd.testing.assert_frame_equal(got.equity, expected.equity)


def test_a_damaged_recording_is_read_and_warned_of(tmp_path):
    path = write(tmp_path / "a.jsonl", EVENTS)
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes())[:-4])
    for read in (lambda r: list(r), lambda r: r.frame("depth")):
        with pytest.warns(RecordingWarning, match=r"a\.jsonl\.gz: its compression breaks off"):
            read(read_recording(packed))
    assert not recording_info(packed).complete


# -- holes of the recording itself -------------------------------------------------------------


def compose(path, items, *, part=0, end=None):
    """Write events, markers and lines as they are into a part of a recording of A and B."""
    header = mark.Header(id="r1", part=part, symbols=("A", "B"))
    lines = [
        item
        if isinstance(item, bytes)
        else mark.encode_marker(item)
        if isinstance(item, mark.Marker)
        else line(item)
        for item in (header, *items, *([] if end is None else [end]))
    ]
    path.write_bytes(b"\n".join([*lines, b""]))
    return path


def hole(symbol, begin, end, lost=None, channel="depth"):
    return Gap(symbol, channel, "not recorded", T0 + begin * MS, T0 + end * MS, lost)


BOOKS = [book("AB"[n % 2], n) for n in range(12)]


@pytest.mark.filterwarnings("ignore::mdkit.errors.RecordingWarning")
@pytest.mark.parametrize("as_seen", [False, True])
def test_what_could_not_be_written_is_a_hole_of_what_lacks_it(tmp_path, as_seen):
    bases = [mark.Base("A", "depth", 5, 5), mark.Base("B", "depth", 3, 3)]
    items = [*BOOKS[:6], mark.Lost(2, "slow"), *bases, *BOOKS[6:], mark.End(12, 2)]
    path = compose(tmp_path / "a.jsonl", items)
    read = read_recording(path, as_seen=as_seen)
    expected = [*BOOKS[:6], hole("A", 4, 6, lost=2), *BOOKS[6:]]
    assert list(read) == expected
    assert list(read) == expected  # and again, now that the hole is known of
    assert list(read.frame("depth", "A").gap) == [False, False, False, True, False, False]
    assert not read.frame("depth", "B").gap.any()
    assert recording_info(path).gaps == (expected[6],)
    gaps = pq.read_table(to_parquet(read, tmp_path / "out")["gap"]).to_pylist()
    assert [(gap["symbol"], gap["lost"]) for gap in gaps] == [("A", 2)]


@pytest.mark.filterwarnings("ignore::mdkit.errors.RecordingWarning")
@pytest.mark.parametrize("as_seen", [False, True])
@pytest.mark.parametrize("torn", [[mark.Lost(2, "slow")], [b"\x00garb", b"age"]])
def test_what_nobody_counted_may_be_missing_of_everything(tmp_path, as_seen, torn):
    ticker = Ticker("A", 101.0, exchange_ns=T0 + 20 * MS, received_ns=T0 + 20 * MS)
    path = compose(tmp_path / "a.jsonl", [*BOOKS[:6], *torn, *BOOKS[6:], ticker, mark.End(13)])
    holes = [hole("A", 4, 6), hole("B", 5, 7)]
    expected = [*BOOKS[:6], holes[0], BOOKS[6], holes[1], *BOOKS[7:], ticker]
    read = read_recording(path, as_seen=as_seen)
    assert list(read) == expected
    assert read.frame("depth").gap.sum() == 2
    assert recording_info(path).gaps == tuple(holes)


def test_absent_parts_are_holes(tmp_path):
    compose(tmp_path / "a.jsonl", BOOKS[:4], end=mark.End(4, continued=True))
    told = [mark.Base("A", "depth", 4, 4), *BOOKS[8:]]  # of B it does not say
    compose(tmp_path / "a.2.jsonl", told, part=2, end=mark.End(4))
    expected = [*BOOKS[:4], hole("A", 2, 8, lost=2), BOOKS[8], hole("B", 3, 9), *BOOKS[9:]]
    for as_seen in (False, True):
        with pytest.warns(RecordingWarning, match="between its parts 0 and 2"):
            assert list(read_recording(tmp_path / "a.jsonl", as_seen=as_seen)) == expected


def test_a_part_that_was_cut_leaves_a_hole_and_a_whole_one_does_not(tmp_path):
    compose(tmp_path / "a.1.jsonl", BOOKS[6:], part=1, end=mark.End(6))
    first = compose(tmp_path / "a.jsonl", BOOKS[:6], end=mark.End(6, continued=True))
    assert list(read_recording(first)) == BOOKS
    first.write_bytes(first.read_bytes()[:-90])
    with pytest.warns(RecordingWarning, match="cut off|no end marker"):
        read = list(read_recording(first))
    assert [event for event in read if isinstance(event, Gap)] == [hole("A", 4, 6), hole("B", 3, 7)]


def test_lines_that_were_damaged_are_one_hole_although_later_counts_know_them(tmp_path):
    compose(
        tmp_path / "a.jsonl", [*BOOKS[:4], b"x", b"x", *BOOKS[6:8]], end=mark.End(8, continued=True)
    )
    bases = [mark.Base(symbol, "depth", 4, 4) for symbol in "AB"]
    compose(tmp_path / "a.1.jsonl", [*bases, *BOOKS[8:]], part=1, end=mark.End(4))
    with pytest.warns(RecordingWarning, match="2 lines were damaged"):
        read = list(read_recording(tmp_path / "a.jsonl"))
    assert [event for event in read if isinstance(event, Gap)] == [hole("A", 2, 6), hole("B", 3, 7)]


def test_damage_among_counted_drops_is_told_to_shift_them(tmp_path):
    items = [*BOOKS[:4], b"x", *BOOKS[4:], mark.Dropped("A", "depth", 5, 1), mark.End(13)]
    path = compose(tmp_path / "a.jsonl", items)
    with pytest.warns(RecordingWarning) as warned:
        list(read_recording(path, as_seen=True))
    assert any("not exactly what no strategy saw" in str(each.message) for each in warned)
    with pytest.warns(RecordingWarning) as warned:
        list(read_recording(path))
    assert not any("no strategy saw" in str(each.message) for each in warned)


def test_answers_are_counted_whatever_else_there_is(tmp_path):
    answer = b'5\t{"cmd":"pong","code":0}'
    path = compose(tmp_path / "a.jsonl", [BOOKS[0], answer, b"x", BOOKS[2], answer, mark.End(5)])
    assert recording_info(path).answers == 2


def test_whoever_reads_items_may_have_the_faults_warned_of(tmp_path):
    read = read_recording(compose(tmp_path / "a.jsonl", BOOKS))
    assert len(list(read.items(read.router()))) == 12
    with pytest.warns(RecordingWarning, match="no end marker"):
        read.warn()


# -- several files -----------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path, wait_until):
    """A recording in three parts; returns their paths."""
    recorder = Recorder(tmp_path / "day.jsonl", rotate_bytes=200)
    recorder.start("test", ["A"])
    for n in range(3):
        recorder.write([(encode(book("A", n)), T0 + n * MS)])
        wait_until(lambda: recorder.waiting_bytes == 0)
    recorder.close()
    assert len(recorder.paths) == 3
    return recorder.paths


def test_parts_are_put_in_order(parts, tmp_path):
    whole = [book("A", n) for n in range(3)]
    for order in itertools.permutations(parts):
        assert list(read_recording(order)) == whole
    assert list(read_recording(str(tmp_path / "*.jsonl"))) == whole
    assert list(read_recording(parts[0])) == whole  # the first stands for all beside it
    assert recording_info(parts[0]).paths == parts


def test_later_parts_say_what_was_subscribed_to_by_then(tmp_path, wait_until):
    recorder = Recorder(tmp_path / "a.jsonl", rotate_bytes=1)
    recorder.start("test", ["A"])
    for n, symbol in enumerate("AB"):
        recorder.write([(encode(book(symbol, n)), T0 + n * MS)])
        recorder.mark(mark.Subscribed(T0, ("A", "B")))
        wait_until(lambda: recorder.waiting_bytes == 0)
    recorder.close()
    told = [RecordingFile(path).read_header().symbols for path in recorder.paths]
    assert (told[0], told[-1]) == (("A",), ("A", "B"))


def test_absent_parts_are_told(parts):
    with pytest.warns(RecordingWarning, match="begins with part 1"):
        assert list(read_recording(parts[1:])) == [book("A", 1), book("A", 2)]
    parts[1].unlink()
    with pytest.warns(RecordingWarning, match="between its parts 0 and 2"):
        list(read_recording(parts[0]))
    parts[2].unlink()
    with pytest.warns(RecordingWarning, match="goes on after"):
        list(read_recording(parts[0]))


def test_recordings_are_merged_by_time(tmp_path):
    end = mark.encode_marker(mark.End(3))
    paths = [
        write(tmp_path / f"{s}.jsonl", [book(s, 10 * n + at) for n in range(3)], more=[end])
        for at, s in enumerate("BA")
    ]
    expected = [book(s, 10 * n + at) for n in range(3) for at, s in enumerate("BA")]
    assert list(read_recording(paths)) == expected
    assert list(read_recording(str(tmp_path / "?.jsonl"))) == expected


def told_gaps(*stretches):
    """Return the gaps of recordings of these events, each one of its own, in any order."""

    def read(folder):
        paths = []
        for n, events in enumerate(stretches):
            end = mark.encode_marker(mark.End(len(events)))
            paths.append(write(folder / f"{n}.jsonl", events, more=[end]))
        found = [list(read_recording(order)) for order in (paths, paths[::-1])]
        assert sorted(map(repr, found[0])) == sorted(map(repr, found[1]))
        return [event for event in found[0] if isinstance(event, Gap)]

    return read


def test_what_lies_between_recordings_is_a_hole(tmp_path):
    first, second = BOOKS[:4], [BOOKS[8], BOOKS[10], trade("A", 11)]
    third = [trade("A", 15), book("A", 16), book("B", 17)]
    assert told_gaps(first, second)(tmp_path) == [hole("A", 2, 8)]
    assert told_gaps(first, second, third)(tmp_path) == [
        hole("A", 2, 8),
        hole("A", 11, 15, channel="trade"),
        hole("A", 10, 16),
        hole("B", 3, 17),
    ]
    frame = read_recording([tmp_path / f"{n}.jsonl" for n in range(3)]).frame("depth", "A")
    assert list(frame.gap) == [False, False, True, False, True]
    assert recording_info(str(tmp_path / "*.jsonl")).gaps[0] == hole("A", 2, 8)


def test_recordings_that_overlap_or_have_nothing_in_common_leave_no_hole(tmp_path):
    assert not told_gaps(BOOKS[:8], BOOKS[4:])(tmp_path)
    assert not told_gaps(BOOKS[::2], BOOKS[1::2])(tmp_path)
    assert not told_gaps(BOOKS[:4:2], BOOKS[5::2])(tmp_path)
    assert not told_gaps(BOOKS[:4], [trade("A", 20)])(tmp_path)
    # A third one that was recording all the while heard nothing either.
    assert told_gaps(BOOKS[:3], BOOKS[10:], [book("A", 0), book("A", 14)])(tmp_path) == [
        hole("B", 1, 11)
    ]


def test_lists_about_several_symbols_may_come_after_a_hole(tmp_path):
    raw = (
        b'{"cmd":"ticker","data":[{"symbol":"A","last_price":"1"},{"symbol":"B","last_price":"2"}]}'
    )
    paths = [tmp_path / name for name in "ab"]
    for n, path in enumerate(paths):
        path.write_bytes(b"%d\t%b" % (T0 + n * MS, raw))
    gaps = [event for event in read_recording(paths) if isinstance(event, Gap)]
    assert gaps == [hole(symbol, 0, 1, channel="ticker") for symbol in "AB"]


def test_paths_that_name_nothing(tmp_path):
    with pytest.raises(RecordingError, match="No recording matches"):
        read_recording(str(tmp_path / "*.gz"))
    with pytest.raises(RecordingError, match="empty list"):
        read_recording([])
    with pytest.raises(RecordingError, match="is a folder"):
        read_recording(tmp_path)
    with pytest.raises(RecordingError, match="check the path"):
        recording_info(tmp_path / "none.jsonl")


def test_names_with_brackets_and_numbers(tmp_path):
    for name in ("a[1].jsonl", "b.10.jsonl", "b.9.jsonl"):
        (tmp_path / name).write_text("")
    assert find_files(tmp_path / "a[1].jsonl") == [tmp_path / "a[1].jsonl"]
    found = find_files([str(tmp_path / "b.*"), tmp_path / "b.9.jsonl"])
    assert [path.name for path in found] == ["b.9.jsonl", "b.10.jsonl"]


# -- figures -----------------------------------------------------------------------------------


def test_info_tells_what_there_is(recording):
    info = recording_info(recording)
    assert (info.messages, info.symbols, info.channels) == (
        15,
        ("A", "B"),
        ("depth", "trade", "ticker"),
    )
    assert info.counts["A", "depth"] == 7
    assert (info.start_ns, info.end_ns) == (T0, T0 + 10 * MS)
    assert info.seconds == 0.01
    assert (info.busiest_ns, info.busiest_count) == (T0, 15)
    assert info.gaps == (GAP,)
    assert info.complete
    assert info.sources == ("test",)
    assert info.file_bytes == info.text_bytes == recording.stat().st_size
    frame = info.frame()
    assert frame.loc[("A", "depth"), "messages"] == 7
    assert frame.loc[("A", "depth"), "rate"] == pytest.approx(700)
    for text in (repr(info), info._repr_html_()):
        for told in ("a.jsonl", "15, 1,500.0 a second", "2023-11-14 22:13:20.000 UTC", "700.0/s"):
            assert told in text


def test_info_of_a_recording_that_went_wrong(tmp_path):
    markers = [
        mark.Connected(T0),
        mark.Disconnected(T0 + 1, "<closed>"),
        mark.Connected(T0 + 2),
        mark.Refused("A", "depth", 1, 4),
        mark.Lost(7, "slow"),
    ]
    path = write(tmp_path / "a.jsonl", [book("A", 1)], more=map(mark.encode_marker, markers))
    info = recording_info(path)
    assert (info.connects, info.disconnects, info.lost) == (2, 1, 7)
    assert info.unseen == {"refused": 4}
    assert not info.complete
    assert len(info.faults) == 1
    assert "no end marker" in info.faults[0]
    assert "7 messages could not be written" in repr(info)


def test_info_of_nothing(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text("# nothing yet\n")
    info = recording_info(path)
    assert (info.messages, info.seconds, len(info.frame())) == (0, 0.0, 0)
    assert "messages     0" in repr(info)


# -- Parquet -----------------------------------------------------------------------------------


def test_parquet_holds_the_events_channel_by_channel(recording, tmp_path):
    bar = Bar("A", 1.0, 2.0, 0.5, 1.5, 10.0, T0)
    out = tmp_path / "out"
    files = to_parquet([*read_recording(recording), bar], out, levels=5)
    assert sorted(files) == ["bar", "depth", "gap", "ticker", "trade"]
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in files.values())
    tables = {kind: pq.read_table(path).to_pylist() for kind, path in files.items()}
    books = [event for event in EVENTS if isinstance(event, Depth)]
    assert len(tables["depth"]) == len(books)
    for row, event in zip(tables["depth"], books, strict=True):
        assert row["symbol"] == event.symbol
        assert row["received"] == pd.Timestamp(event.received_ns, tz="UTC")
        for side, levels in (("bid", event.bids), ("ask", event.asks)):
            told = [(row[f"{side}_price_{i}"], row[f"{side}_size_{i}"]) for i in range(1, 6)]
            assert told == [*levels[:5], *[(None, None)] * (5 - len(levels))]
    assert [(row["symbol"], row["price"], row["id"]) for row in tables["trade"]] == [
        ("A", 107.0, "7"),
        ("B", 108.0, "8"),
    ]
    assert tables["ticker"][0]["bid"] == 100.0
    assert tables["ticker"][0]["ask"] is None
    assert tables["bar"][0]["close"] == 1.5
    assert (tables["gap"][0]["lost"], tables["gap"][0]["reason"]) == (2, "closed")


def test_parquet_takes_the_recording_by_its_path(recording, tmp_path):
    named = [recording, str(recording), [recording], str(recording.with_name("*.jsonl"))]
    given = [pq.read_table(to_parquet(name, tmp_path / "out")["depth"]) for name in named]
    read = pq.read_table(to_parquet(read_recording(recording), tmp_path / "out")["depth"])
    assert all(table.equals(read) for table in given)
    with pytest.raises(RecordingError, match="There is no recording"):
        to_parquet(tmp_path / "none.jsonl", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_parquet_that_fails_leaves_what_was_there(tmp_path):
    to_parquet([book("A", 1)], tmp_path)
    before = (tmp_path / "depth.parquet").read_bytes()

    def broken():
        yield book("A", 2)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        to_parquet(broken(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["depth.parquet"]
    assert (tmp_path / "depth.parquet").read_bytes() == before
    with pytest.raises(SettingsError, match="levels"):
        to_parquet([], tmp_path, levels=0)


def test_parquet_is_written_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("mdkit.recording.tables.parquet._BATCH", 10)
    books = [book("A", n) for n in range(35)]
    files = to_parquet(iter(books), tmp_path)
    assert pq.read_metadata(files["depth"]).num_row_groups == 4
    assert pq.read_table(files["depth"]).num_rows == 35


# -- real ones ---------------------------------------------------------------------------------


@pytest.mark.outer
def test_the_real_recordings(market, tmp_path):
    info = recording_info(str(market / "*.jsonl.gz"))
    assert info.messages == 62_650 + 39_381
    assert info.complete
    read = read_recording(market / "depth.jsonl.gz")
    books = list(read)
    assert len(books) == 62_650
    assert not read.invalid
    frame = read.frame("depth")
    assert len(frame) == 62_650
    for symbol, own in frame.groupby("symbol"):
        assert list(own.bid) == [book.bids[0][0] for book in books if book.symbol == symbol]
    merged = [event.received_ns for event in read_recording(str(market / "*.jsonl.gz"))]
    assert merged == sorted(merged)
    assert len(merged) == info.messages
