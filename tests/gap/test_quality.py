"""Frozen and empty books, times that run backwards, clocks that are apart."""

import asyncio

import pytest

import mdkit as md
from mdkit.events import Depth
from mdkit.gap.clocks import Clocks
from mdkit.gap.quality import BookQuality

SECOND = 1_000_000_000
BOOK = Depth("A", ((99.0, 1.0),), ((101.0, 1.0),))


OTHER = Depth("A", ((98.0, 1.0),), ((101.0, 1.0),))
EMPTY = Depth("A", (), ())


def looks(*books, apart=1):
    """Show a book every `apart` seconds, None for a message that cannot be used.

    Returns the watch and what it said: at which second, of which stretch, what was lost.
    """
    watch = BookQuality("A", "depth")
    said = []
    for second, book in zip(range(0, apart * len(books), apart), books, strict=True):
        now = second * SECOND
        if book is None:
            watch.note_unusable(now)
        elif now >= watch.look_ns or book is EMPTY:
            said += [(second, *told(gap)) for gap in watch.look(book, now)]
    return watch, said


@md.strategy("trade")
class ToldOfTrades:
    """How many gaps it was told of before each trade."""

    def start(self):
        self.gaps = 0

    def __call__(self, trade):
        return float(self.gaps)

    def on_gap(self, gap):
        self.gaps += 1


def told(gap):
    return gap.reason.partition(":")[0], gap.from_ns // SECOND, gap.to_ns // SECOND, gap.lost


def test_a_book_that_stands_still_is_called_frozen_after_a_minute_and_for_as_long_as_it_is():
    watch, said = looks(*[BOOK] * 200, *[OTHER] * 10)
    assert said == [(60, "frozen", 0, 60, None), (200, "frozen", 60, 200, None)]
    assert watch.counts == {"backwards": 0, "frozen": 1, "empty": 0}
    assert watch.end() == []
    watch, said = looks(*[BOOK] * 100)
    (gap,) = watch.end()
    assert told(gap) == ("frozen", 60, 95, None)
    assert gap.reason == "frozen: the book has not changed for 35 s"
    assert watch.end() == []


def test_a_book_that_changes_is_not_frozen():
    moving = [Depth("A", ((99.0, float(n)),), ((101.0, 1.0),)) for n in range(200)]
    assert looks(*moving)[1] == []


def test_a_silent_feed_is_not_a_frozen_book():
    assert looks(*[BOOK] * 10, apart=70)[1] == []
    watch, _ = looks(*[BOOK] * 50)
    watch.forget()  # something was missed
    assert watch.look(BOOK, 60 * SECOND) == []


def test_a_book_that_freezes_again_is_told_again():
    said = looks(*[BOOK] * 100, *[OTHER] * 100)[1]
    assert [(second, first) for second, _, first, _, _ in said] == [(60, 0), (100, 60), (160, 100)]


def test_empty_books_and_unusable_messages_are_told():
    watch, said = looks(BOOK, EMPTY, EMPTY, OTHER, None, None, BOOK, BOOK, None)
    assert said == [
        (1, "the book is empty", 1, 1, None),
        (3, "the book was empty", 1, 3, None),
        (6, "unusable messages", 4, 5, 2),
    ]
    assert watch.counts == {"backwards": 0, "frozen": 0, "empty": 2}
    assert [told(gap) for gap in watch.end()] == [("unusable messages", 8, 8, 1)]


@pytest.mark.outer
@pytest.mark.parametrize("kind", ["task", "process"])
def test_crossed_and_empty_books_are_holes_to_everybody(kind, list_source, depth_message, tmp_path):
    empty = b'{"cmd":"depth","data":{"symbol":"A","bids":[],"asks":[],"timestamp":5}}'
    crossed = (
        b'{"cmd":"depth","data":{"symbol":"A","bids":[["99","1"]],"asks":[["98","1"]],'
        b'"timestamp":5}}'
    )
    good = [depth_message("A", n) for n in range(5)]
    batch = [good[0], crossed, crossed, good[1], empty, empty, good[2], good[3], crossed]
    path = tmp_path / "a.jsonl"

    async def play():
        session = md.live(
            source=list_source([batch]), strategies=[Told], record=path, worker_kind=kind
        )
        await session.run()
        return session

    session = asyncio.run(play())
    assert session.signals().value.tolist() == [0, 1, 2, 2, 3, 3]
    gaps = session.gaps()
    assert list(gaps.reason) == [
        "unusable messages",
        "the book is empty",
        "the book was empty",
        "unusable messages",
    ]
    assert gaps.lost.dropna().tolist() == [2, 1]
    assert session.frame("depth").gap.tolist() == [False, True, True, False, True, False]
    assert session.stats()["suspicious"]["A depth"]["empty"] == 2
    assert md.verify(Told, path)


def test_trades_that_cannot_be_used_are_missing_from_their_bar(list_source):
    def trade(second, size="1"):
        text = b'{"cmd":"trade","data":{"symbol":"A","id":"%d","price":"1","quantity":"%b",'
        text += b'"side":"buy","timestamp":%d}}'
        return text % (second, size.encode(), 60_000_000 + second * 1000)

    batch = [trade(s, "x" if s == 70 else "1") for s in range(0, 240, 10)]

    async def play():
        session = md.live(source=list_source([batch]), bars="1m", channels=["trade"])
        await session.run()
        return session

    bars = asyncio.run(play()).frame("bar", "A")
    assert bars.partial.tolist() == [True, True, False, True]


@md.strategy("depth")
class Told:
    """Says how many gaps it was told of so far."""

    def start(self):
        self.gaps = 0

    def __call__(self, book):
        return float(self.gaps)

    def on_gap(self, gap):
        self.gaps += 1


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


def test_a_clock_that_was_set_right_again_is_believed():
    clocks = Clocks()
    for difference in [-5 * SECOND] * 10 + [2_000_000, 3_000_000] * 500:
        clocks.add("A", difference)
    assert clocks.frame().loc["A"].offset_ms == pytest.approx(2.0)


def test_times_run_backwards_only_where_they_do(list_source):
    message = b'{"cmd":"depth","data":{"symbol":"A","bids":[["99","1"]],"asks":[],"timestamp":%d}}'
    batch = [message % at for at in (10, 3_600_000, 11, 12, 0, 13, 5)]

    async def play():
        session = md.live(source=list_source([batch]))
        await session.run()
        return session

    assert asyncio.run(play()).stats()["suspicious"]["A depth"]["backwards"] == 2


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
    assert gaps.reason.str.startswith("frozen").tolist() == [True, True]
    assert gaps.seconds.tolist() == [60, 15]  # the second up to the last look
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


@pytest.mark.outer
@pytest.mark.parametrize("kind", ["task", "process"])
def test_one_bad_trade_of_many_costs_one_trade_counted_and_told(kind, list_source, tmp_path):
    def message(*prices):
        trades = ",".join(
            f'{{"id":"{p}","price":"{p}","quantity":"1","timestamp":1700000000000}}' for p in prices
        )
        return f'{{"cmd":"trade","data":{{"symbol":"A","trades":[{trades}]}}}}'.encode()

    batch = [message(1, 2), message(*range(3, 50), 0, *range(50, 100)), message(0), message(100)]
    path = tmp_path / "a.jsonl"

    async def play():
        session = md.live(
            source=list_source([batch]), channels=["trade"], strategies=[ToldOfTrades],
            record=path, worker_kind=kind,
        )  # fmt: skip
        await session.run()
        return session

    session = asyncio.run(play())
    assert session.frame("trade").price.tolist() == list(range(1, 101))
    assert session.ledger()["processed"].tolist() == [3]
    assert session.ledger()["invalid"].tolist() == [1]
    gaps = session.gaps()
    assert list(gaps.reason) == ["unusable trades", "unusable messages"]
    assert gaps.lost.tolist() == [1, 1]
    assert session.signals().value.tolist() == [0, 0, *[1] * 97, 2]
    assert session.frame("trade").gap.tolist().count(True) == 2
    assert session.invalid()["reason"].str.contains("trade 48 of 98").tolist() == [True, False]
    assert sum(session.stats()["invalid_reasons"].values()) == 2
    assert md.verify(ToldOfTrades, path)
