"""Frozen and empty books, times that run backwards, clocks that are apart."""

import asyncio

import pytest

import mdkit as md
from mdkit.events import Depth
from mdkit.stream.quality import Clocks, Watch

SECOND = 1_000_000_000
BOOK = Depth("A", ((99.0, 1.0),), ((101.0, 1.0),))


def looks(*books):
    """Show a book a second; return what was said about which second."""
    watch = Watch("depth")
    said = []
    for second, book in enumerate(books):
        if second * SECOND >= watch.look_ns:
            gap = watch.look(book, second * SECOND)
            if gap is not None:
                said.append((second, gap))
    return watch, said


def test_a_book_that_stands_still_for_a_minute_is_called_frozen_once():
    watch, said = looks(*[BOOK] * 200)
    ((second, gap),) = said
    assert second == 60
    assert (gap.from_ns, gap.to_ns) == (0, 60 * SECOND)
    assert "has not changed for 60 s" in gap.reason
    assert watch.counts == {"backwards": 0, "frozen": 1, "empty": 0}


def test_a_book_that_changes_is_not_frozen():
    moving = [Depth("A", ((99.0, float(n)),), ((101.0, 1.0),)) for n in range(200)]
    assert looks(*moving)[1] == []


def test_a_book_that_freezes_again_is_told_again():
    other = Depth("A", ((98.0, 1.0),), ((101.0, 1.0),))
    assert len(looks(*[BOOK] * 100, *[other] * 100)[1]) == 2


def test_empty_books_are_counted(list_source, depth_message):
    empty = b'{"cmd":"depth","data":{"symbol":"A","bids":[],"asks":[],"timestamp":5}}'

    async def play():
        session = md.live(source=list_source([[depth_message("A", 1), empty, empty]]))
        await session.run()
        return session

    session = asyncio.run(play())
    assert session.stats()["suspicious"]["A depth"]["empty"] == 2
    assert session.frame("depth").mid.isna().tolist() == [False, True, True]


@pytest.mark.parametrize("offset", [-1_270_000_000, 0, 5 * SECOND])
def test_clocks_may_be_apart_either_way(offset):
    clocks = Clocks()
    for delay in (3_000_000, 1_000_000, 2_000_000):
        clocks.add("A", offset + delay)
    row = clocks.frame().loc["A"]
    assert row.offset_ms == pytest.approx((offset + 1_000_000) / 1e6)
    assert row.delay_ms == pytest.approx(1.0)
    assert row.samples == 3


def test_a_session_tells_of_them(list_source, depth_message, until):
    """A frozen book, and one whose time runs backwards, in a running session."""

    @md.strategy("depth")
    class Gaps:
        def start(self):
            self.reasons = []

        def __call__(self, book):
            return float(len(self.reasons))

        def on_gap(self, gap):
            self.reasons.append(gap.reason)

    still = b'{"cmd":"depth","data":{"symbol":"A","bids":[["99","1"]],"asks":[["101","1"]],'
    batches = [[(still + b'"timestamp":%d}}' % (10_000 - n), n * SECOND)] for n in range(1, 80)]

    async def play():
        session = md.live(source=_stamped(list_source, batches), strategies=[Gaps])
        async with session:
            await until(lambda: len(session.frame("depth")) == 79)
        return session

    session = asyncio.run(play())
    gaps = session.gaps()
    assert len(gaps) == 1
    assert gaps.reason[0].startswith("frozen")
    assert session.signals().value.sum() == 79 - 60
    assert session.frame("depth").gap.sum() == 1
    assert session.stats()["suspicious"]["A depth"]["backwards"] == 78
    assert session.clocks().loc["A"].samples >= 1


def _stamped(list_source, batches):
    """A source that delivers messages with the receive times they are given."""
    source = list_source([], ends=False)

    async def run(sink):
        for batch in batches:
            await sink.deliver(batch)
        await source_stopped.wait()

    source_stopped = asyncio.Event()
    source.run = run
    source.stop = source_stopped.set
    return source
