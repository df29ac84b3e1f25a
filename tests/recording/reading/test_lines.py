"""Format 2: what strategies did not see stands by line numbers, whatever happens to the file."""

import asyncio
import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdkit as md
from mdkit.errors import RecordingError, RecordingWarning, TransientError
from mdkit.events import DROPPED, Gap
from mdkit.pipeline.pipeline import Pipeline
from mdkit.queue.channel import LINE
from mdkit.recording import format as mark
from mdkit.recording.file.lines import MessageRun
from mdkit.recording.file.recording_file import RecordingFile
from mdkit.recording.reading.unseen import NOT_RECORDED
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.replay.replay import Replay
from mdkit.sources.feed import Feed
from mdkit.strategies.contract import as_strategy
from mdkit.venues.normalized.codec import NORMALIZED
from tests.recording.remembering import Everything
from tests.recording.test_same_answers import SECOND, Rough, signals_of

SYMBOLS = ("A", "B", "C")


@md.strategy("depth", "trade", "ticker")
class Log:
    """Says of each event what it is, and nothing of what was before."""

    def __call__(self, event):
        price = event.bids[0][0] if event.kind == "depth" else event.received_ns % 1e9
        return float(price)


@md.strategy("depth")
def top(book):
    return book.bids[0][0]


def told(pipeline):
    """Every signal, in order for each symbol."""
    return signals_of(pipeline)


async def played(source, strategies=(Log,), **options):
    pipeline = Pipeline(source, [as_strategy(s) for s in strategies], frame_rows=100_000, **options)
    pipeline.start()
    assert (await pipeline.wait()).balanced
    return pipeline


def replayed(paths, strategies=(Log,)):
    return asyncio.run(played(Replay(paths, None), strategies))


# -- markers ------------------------------------------------------------------------------------

places = st.builds(lambda line, part: line * LINE + part, st.integers(1, 60), st.integers(0, 3))


@given(st.lists(places))
def test_markers_are_of_the_places_that_they_were_made_of(wanted):
    made = list(mark.Dropped.at(wanted))
    again = [mark.read_marker(mark.encode_marker(marker)) for marker in made]
    assert again == made
    alone = {place for place in wanted if place % LINE == 0}
    spans = [span for marker in made for span in marker.spans]
    for place in range(LINE, 70 * LINE, LINE):
        assert any(first <= place < end for first, end in spans) == (place in alone)
    parts = {place for place in wanted if place % LINE}
    assert {first for first, end in spans if end - first == 1} == parts
    assert sum(marker.messages for marker in made) == len(set(wanted))


def test_numbers_are_many_in_a_file_and_few_in_a_line():
    made = list(mark.Left.at(range(LINE, 5001 * LINE, 2 * LINE)))
    assert len(made) == 3
    assert max(len(mark.encode_marker(marker)) for marker in made) < 10_000


@pytest.mark.parametrize(
    "text",
    [
        b'{"mdkit":"dropped","lines":[0]}',
        b'{"mdkit":"dropped","lines":[[5,4]]}',
        b'{"mdkit":"dropped","lines":[-3]}',
        b'{"mdkit":"left","parts":[[4,0]]}',
        b'{"mdkit":"left","parts":[[0,1]]}',
        b'{"mdkit":"left","symbol":"A","channel":"depth","first":0,"count":1}',
    ],
)
def test_numbers_that_cannot_be_are_damage(text):
    with pytest.raises(ValueError, match="numbered from"):
        mark.read_marker(text)


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"mdkit":"recording","version":3,"id":"x"}\n')
    with pytest.raises(RecordingError, match=r"of format 3, and .* reads formats 1 to 2: update"):
        md.read_recording(path)


# -- what was lost live is lost again -------------------------------------------------------------


class Lists(Rough):
    """Messages about several symbols among others about one."""

    async def run(self, sink):
        number = 0
        while self._batches > 0:
            self._batches -= 1
            batch = []
            for _ in range(int(self._random.integers(1, 9))):
                number += 1
                some = self._random.choice(SYMBOLS, int(self._random.integers(1, 4)), replace=False)
                entries = [
                    {"symbol": symbol, "last_price": str(number), "timestamp": number * 1000}
                    for symbol in some
                ]
                raw = json.dumps({"cmd": "ticker", "data": entries}).encode()
                batch.append((raw, number * SECOND))
            await sink.deliver(batch)
            if self._random.integers(3):
                await asyncio.sleep(0)


POLICIES = ["block", "drop_oldest", "drop_newest", "conflate", "spill"]


@pytest.mark.outer
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), policy=st.sampled_from(POLICIES), maxsize=st.integers(1, 12))
def test_of_a_message_about_several_symbols_some_may_be_lost(
    tmp_path_factory, seed, policy, maxsize
):
    path = tmp_path_factory.mktemp("lists") / "a.jsonl"
    options = {"overflow": policy, "maxsize": maxsize, "recorder": Recorder(path)}
    live = asyncio.run(played(Lists(seed, 12), **options))
    again = replayed(path)
    assert told(again) == told(live)
    assert again.ledger.totals()["processed"] == live.ledger.totals()["processed"]


class Framed:
    """Frames of kraken, as a connection takes them."""

    codec = NORMALIZED
    name = "kraken"
    symbols = ("BTC/USD",)
    connected = True
    stale_for = 0.0

    def __init__(self, frames, size):
        self.frames = frames
        self.size = size
        self.feed = Feed("kraken 1", "kraken", {"BTC/USD": "BTC/USD"}, 10, 25)
        self.assembler = self.feed.assembler()

    def feeds(self):
        return [(self.feed, self.assembler)]

    def clock_ns(self):
        return 1

    def stop(self):
        self.frames = []

    async def run(self, sink):
        sink.feed_opened(self.feed)
        for at in range(0, len(self.frames), self.size):
            batch = self.frames[at : at + self.size]
            first = sink.record_frames(self.feed, batch)
            messages, where = [], []
            for number, (raw, received_ns) in enumerate(batch):
                place = first + number * LINE
                for output in self.assembler.take(raw, received_ns):
                    if isinstance(output, bytes):
                        place += 1
                        messages.append((output, received_ns))
                        where.append(place if first else 0)
            if messages:
                await sink.queue(messages, where)
            if at % 3:
                await asyncio.sleep(0)


@pytest.fixture(scope="module")
def kraken(market):
    text = gzip.decompress((market / "venues" / "kraken_v2_btcusd.jsonl.gz").read_bytes())
    timed = [line.partition(b"\t") for line in text.splitlines() if line[:1].isdigit()]
    return [(raw, int(stamp)) for stamp, _, raw in timed[:300]]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [1, 13])
def test_of_frames_books_may_be_lost_that_later_ones_are_made_of(kraken, tmp_path, policy, size):
    path = tmp_path / "a.jsonl.gz"
    strategies = (Log, Everything)
    options = {"overflow": policy, "maxsize": 3, "recorder": Recorder(path)}
    live = asyncio.run(played(Framed(kraken, size), strategies, **options))
    again = replayed(path, strategies)
    assert told(again) == told(live)
    lost = live.ledger.totals()
    unseen = md.recording_info(path).unseen
    assert sum(unseen.values()) == lost["dropped"] + lost["conflated"]
    assert bool(unseen) == (policy not in ("block", "spill") and size > 1)


def test_what_is_delivered_at_once_is_queued_in_the_order_in_which_it_is_recorded(tmp_path):
    """As when REST fills in trades while the socket's batch waits for room."""

    class Two(Rough):
        async def run(self, sink):
            self._batches, other = 8, Rough(2, 8)
            await asyncio.gather(super().run(sink), other.run(sink))

    path = tmp_path / "a.jsonl"
    options = {"maxsize": 3, "recorder": Recorder(path)}
    live = asyncio.run(played(Two(1, 8), (Log, Everything), **options))
    assert told(replayed(path, (Log, Everything))) == told(live)


def test_a_message_that_was_cancelled_while_it_was_tried_again_was_not_seen(tmp_path, until):
    tried = asyncio.Event()

    @md.strategy("depth")
    def busy(book):
        tried.set()
        raise TransientError("later")

    class Once(Rough):
        async def run(self, sink):
            await super().run(sink)
            await asyncio.Event().wait()

    async def play():
        path = tmp_path / "a.jsonl"
        pipeline = Pipeline(
            Once(3, 1), [as_strategy(busy)], max_retries=60, recorder=Recorder(path)
        )
        pipeline.start()
        await tried.wait()
        await pipeline.stop(timeout=0.01)
        return pipeline.ledger.totals(), md.recording_info(path).unseen

    totals, unseen = asyncio.run(play())
    assert totals["dead_lettered"] == 1
    assert unseen == {"left": totals["queued"] + 1}


# -- a recording of a part of a session --------------------------------------------------------


@pytest.mark.outer
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    policy=st.sampled_from(POLICIES),
    maxsize=st.integers(1, 12),
    marks=st.lists(st.integers(0, 24), max_size=5),
)
def test_recordings_that_begin_and_end_anywhere_hold_what_was_seen_of_them(
    tmp_path_factory, seed, policy, maxsize, marks
):
    folder = tmp_path_factory.mktemp("some")

    class Marked(Rough):
        """At some of its batches the recording ends, and the next one begins."""

        async def run(self, sink):
            count = 0
            deliver = sink.deliver

            class Counting:
                gap = sink.gap

                async def deliver(self, batch):
                    nonlocal count
                    if count in marks:
                        pipeline.recordings.end()
                        if count % 2 == 0:
                            pipeline.record(Recorder(folder / f"{count}.jsonl"))
                    count += 1
                    await deliver(batch)

            await super().run(Counting())

    async def play():
        nonlocal pipeline
        strategies = [as_strategy(top)]  # trades that had come before would be told apart
        source = Marked(seed, 25)
        pipeline = Pipeline(
            source, strategies, frame_rows=100_000, overflow=policy, maxsize=maxsize
        )
        pipeline.start()
        await pipeline.wait()

    pipeline = None
    asyncio.run(play())
    live = {(symbol, *row) for (symbol, _), rows in told(pipeline).items() for row in rows}
    for path in folder.iterdir():
        runs = [run for run in RecordingFile(path).runs() if isinstance(run, MessageRun)]
        held = {stamp for run in runs for _, stamp in run}  # each has its own
        again = {(s, *row) for (s, _), rows in told(replayed(path, (top,))).items() for row in rows}
        assert again == {row for row in live if row[1] in held}


def test_a_recording_may_begin_while_messages_wait_to_be_queued(tmp_path, until):
    """Those were not recorded, and count neither as unseen nor as absent."""
    path = tmp_path / "a.jsonl"

    class Gated(Rough):
        async def run(self, sink):
            numbers = iter(range(1, 1000))

            def batch(count):
                return [(book(next(numbers)), 0) for _ in range(count)]

            await sink.deliver(batch(2))
            await sink.deliver(batch(30))
            await sink.deliver(batch(10))

    def book(number):
        return b'{"cmd":"depth","data":{"symbol":"A","bids":[["%d","1"]],"asks":[]}}' % number

    @md.strategy("depth")
    async def slow(event):
        await gate.wait()
        return event.bids[0][0]

    async def play():
        nonlocal gate
        gate = asyncio.Event()
        recorder = Recorder(path, rotate_bytes=1)
        pipeline = Pipeline(Gated(1, 1), [as_strategy(slow)], maxsize=4)
        pipeline.start()
        await until(lambda: pipeline.buffer.statistics().waiting_producers)
        pipeline.record(recorder)
        gate.set()
        await pipeline.wait()

    gate = None
    asyncio.run(play())
    items = list(md.read_recording(path, as_seen=True))
    assert [event.bids[0][0] for event in items] == list(range(33, 43))


# -- the files ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lossy(tmp_path_factory):
    """Files of two sessions that lost many messages."""
    folder = tmp_path_factory.mktemp("lossy")
    paths = [folder / f"{seed}.jsonl" for seed in (1, 2)]
    for seed, path in enumerate(paths, 1):
        options = {"overflow": "drop_oldest", "maxsize": 9, "recorder": Recorder(path)}
        live = asyncio.run(played(Rough(seed, 15), **options))
        assert told(replayed(path)) == told(live)
    return paths


def events(path):
    return [item for item in md.read_recording(path, as_seen=True) if not isinstance(item, Gap)]


def test_damaged_lines_shift_nothing(lossy, tmp_path):
    lines = lossy[0].read_bytes().split(b"\n")
    unseen = {
        line
        for marker in RecordingFile(lossy[0]).markers()
        if isinstance(marker, mark.UnseenMarker)
        for first, end in marker.spans
        for line in range(first // LINE, end // LINE)
    }
    broken = np.random.default_rng(3).choice(len(lines) - 2, 40, replace=False) + 1
    broken = {int(at) for at in broken if lines[at][:1].isdigit()}
    assert {at + 1 in unseen for at in broken} == {True, False}
    seen = [at for at in sorted(broken) if at + 1 not in unseen]
    gone = {int(lines[at].partition(b"\t")[0]) for at in seen}
    for at in broken:
        lines[at] = b"x" * len(lines[at])
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    with pytest.warns(RecordingWarning, match=f"{len(broken)} lines were damaged") as warned:
        left = events(path)
    assert "count" not in str(warned[0].message)
    assert left == [event for event in events(lossy[0]) if event.received_ns not in gone]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_a_file_reads_to_its_last_whole_line_and_says_what_is_missing(tmp_path, suffix, share):
    path = tmp_path / f"a.jsonl{suffix}"
    recorder = Recorder(path)
    asyncio.run(played(Rough(4, 30), recorder=recorder))
    whole = list(md.read_recording(path))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.warns(RecordingWarning, match="no end marker"):
        half = list(md.read_recording(path, as_seen=True))
    assert half == whole[: len(half)]
    assert suffix or len(half) > (share - 0.1) * len(whole)


def test_recordings_put_together_in_one_file_stay_apart(lossy, tmp_path):
    together = tmp_path / "both.jsonl"
    together.write_bytes(b"".join(path.read_bytes() for path in lossy))
    assert events(together) == events(lossy[0]) + events(lossy[1])
    assert list(md.read_recording(together))  # the same without a look at the markers
    found = [item for item in md.read_recording(together, as_seen=True) if isinstance(item, Gap)]
    assert sum(gap.reason == NOT_RECORDED for gap in found) >= 2
    assert sum(gap.lost for gap in found if gap.reason == DROPPED) == sum(
        sum(md.recording_info(path).unseen.values()) for path in lossy
    )


def test_parts_may_be_put_together_and_one_may_be_missing(tmp_path, wait_until):
    recorder = Recorder(tmp_path / "a.jsonl.gz", rotate_bytes=1)
    source = Rough(7, 12)
    run = source.run

    async def slowly(sink):
        class Waiting:
            gap = sink.gap

            async def deliver(self, batch):
                await sink.deliver(batch)
                await asyncio.to_thread(wait_until, lambda: not recorder.waiting_bytes)

        await run(Waiting())

    source.run = slowly
    options = {"overflow": "drop_oldest", "maxsize": 6, "recorder": recorder}
    live = asyncio.run(played(source, (Log, Everything), **options))
    paths = list(recorder.paths)
    assert len(paths) > 4
    assert told(replayed(paths[0], (Log, Everything))) == told(live)
    together = tmp_path / "all.jsonl.gz"
    together.write_bytes(b"".join(path.read_bytes() for path in paths))
    assert told(replayed(together, (Log, Everything))) == told(live)
    stamps = {item[1] for item in RecordingFile(paths[2]) if isinstance(item, tuple)}
    whole = events(paths)
    paths[2].unlink()
    with pytest.warns(RecordingWarning, match="between its parts 1 and 3 something is missing"):
        left = events(paths[0])
    assert left == [event for event in whole if event.received_ns not in stamps]
