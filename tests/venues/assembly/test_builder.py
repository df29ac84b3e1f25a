"""One symbol's book: snapshots, updates kept meanwhile, faults, and going on elsewhere.

Numbers in the names are those of failure stories that other libraries' users have told.
"""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdkit.errors import InvalidMessage
from mdkit.venues.assembly.builder import BookBuilder
from mdkit.venues.assembly.parsed import BestQuote, BookUpdate
from mdkit.venues.assembly.rules import (
    Chain,
    ConnectionCounter,
    PreviousRanges,
    SequenceRanges,
    WholeBooks,
)
from mdkit.venues.assembly.told import BuilderState, Built, Stretch


def snapshot(last=10, bids=((99.0, 1.0),), asks=((101.0, 1.0),), *, via_rest=False, previous=0):
    return BookUpdate("X", bids, asks, True, via_rest, last=last, previous=previous)


def update(first, last, bids=(), asks=(), previous=0):
    return BookUpdate("X", bids, asks, first=first, last=last, previous=previous)


def in_band(rule=WholeBooks, **options):
    return BookBuilder(rule(), 10, **options)


def by_rest(rule=SequenceRanges):
    return BookBuilder(rule(), 10, by_rest=True)


def test_story_1_a_snapshot_replaces_and_leaves_nothing():
    book = in_band()
    book.feed(snapshot(bids=((99.0, 1.0), (98.0, 2.0))), 1)
    book.feed(update(11, 11, bids=((97.0, 3.0),)), 2)
    (built,) = book.feed(snapshot(bids=((96.0, 1.0),), asks=((97.5, 1.0),)), 3)
    assert built == Built(((96.0, 1.0),), ((97.5, 1.0),), 0)
    assert len(book.book.bids) == 1


def test_story_2_nothing_is_published_before_the_first_proven_book():
    book = by_rest()
    for n in range(11, 15):
        assert book.feed(update(n, n, bids=((90.0 + n, 1.0),)), n) == []
    assert book.wants_snapshot
    assert book.state == "waiting"
    (built,) = book.feed(snapshot(12, bids=((50.0, 1.0),), asks=((200.0, 1.0),), via_rest=True), 15)
    assert built.bids == ((104.0, 1.0), (103.0, 1.0), (50.0, 1.0))
    assert book.state == "in step"


def test_a_snapshot_that_no_update_has_followed_is_not_published():
    book = by_rest()
    book.feed(update(9, 10), 1)
    assert book.feed(snapshot(10, via_rest=True), 2) == []
    assert book.state == "waiting"
    assert not book.wants_snapshot
    assert [type(told) for told in book.feed(update(11, 11), 3)] == [Built]


def test_story_3_updates_survive_a_snapshot_that_is_too_old():
    book = by_rest()
    for n in (20, 21, 22):
        book.feed(update(n, n, asks=((100.0 + n, 1.0),)), n)
    assert book.feed(snapshot(5, via_rest=True), 23) == []
    assert book.wants_snapshot
    assert "too old" in book.reason
    (built,) = book.feed(snapshot(20, asks=((101.0, 1.0), (200.0, 1.0)), via_rest=True), 24)
    assert [price for price, _ in built.asks] == [101.0, 121.0, 122.0, 200.0]


@pytest.mark.parametrize(
    ("rule", "first", "is_right"),
    [
        (SequenceRanges, update(11, 12), True),
        (SequenceRanges, update(9, 12), True),
        (SequenceRanges, update(12, 13), False),
        (PreviousRanges, update(9, 12, previous=3), True),
        (PreviousRanges, update(10, 10, previous=3), True),
        (PreviousRanges, update(11, 12, previous=10), False),
    ],
)
def test_story_4_the_first_update_straddles_the_snapshot(rule, first, is_right):
    book = BookBuilder(rule(), 10, by_rest=True)
    book.feed(first, 1)
    book.feed(snapshot(10, via_rest=True), 2)
    assert (book.state == "in step") is is_right


def test_a_lost_update_takes_the_book_out_of_step_until_the_next_snapshot():
    book = by_rest()
    book.feed(update(11, 11), 1)
    book.feed(snapshot(10, via_rest=True), 2)
    assert book.feed(update(13, 13), 5) == []
    assert book.state == "out of step"
    assert book.wants_snapshot
    assert book.reason == "sequence: expected U=12, got U=13"
    stretch, built = book.feed(snapshot(12, bids=((98.0, 1.0),), via_rest=True), 9)
    assert stretch == Stretch("sequence: expected U=12, got U=13", 2, 9)
    assert built.bids == ((98.0, 1.0),)
    assert book.resyncs == 1


def out_of_step():
    """Return a book that was in step up to 11, and has lost 12."""
    book = by_rest()
    book.feed(update(10, 10), 1)
    book.feed(snapshot(10, via_rest=True), 2)
    book.feed(update(11, 11), 3)
    book.feed(update(13, 13), 4)
    assert (book.state, book.wants_snapshot, book.since_ns) == ("out of step", True, 4)
    return book


def test_a_second_loss_before_the_book_is_in_step_again_wants_another_snapshot():
    book = out_of_step()
    assert book.feed(snapshot(13, via_rest=True), 5) == []
    assert not book.wants_snapshot
    assert book.feed(update(15, 15), 6) == []
    assert (book.state, book.wants_snapshot, book.since_ns) == ("out of step", True, 4)
    told = book.feed(snapshot(14, bids=((98.0, 1.0),), via_rest=True), 7)
    assert [type(each) for each in told] == [Stretch, Built]
    assert book.state == "in step"


def test_a_snapshot_that_the_venues_best_prices_refute_is_not_published_later():
    book = out_of_step()
    book.feed(snapshot(13, bids=((98.0, 1.0),), via_rest=True), 5)
    book.compare(BestQuote("X", 14, (99.0, 1.0), (101.0, 1.0)), 6)
    assert book.feed(update(14, 14), 7) == []
    assert book.wants_snapshot
    assert book.feed(update(15, 15), 8) == []
    assert book.state == "out of step"


def test_an_old_update_is_passed_over():
    book = by_rest()
    book.feed(update(11, 11), 1)
    book.feed(snapshot(10, via_rest=True), 2)
    assert book.feed(update(10, 11, bids=((1.0, 1.0),)), 3) == []
    assert (book.state, book.old) == ("in step", 1)


def test_a_stretch_that_nothing_ends_is_told_at_the_end():
    book = by_rest()
    book.feed(update(11, 11), 1)
    book.feed(snapshot(10, via_rest=True), 2)
    book.feed(update(20, 20), 5)
    assert book.end(8) == Stretch(book.reason, 2, 8)
    assert by_rest().end(8) is None


def test_story_15_chains_have_two_exceptions():
    book = in_band(Chain)
    book.feed(snapshot(100, previous=-1), 1)
    book.feed(update(0, 108, previous=100, bids=((99.5, 1.0),)), 2)
    assert book.feed(update(0, 108, previous=108), 3) == []  # nothing changed for a minute
    assert book.feed(update(0, 7, previous=108, bids=((99.6, 1.0),)), 4)  # numbers began anew
    assert book.state == "in step"
    assert book.feed(update(0, 9, previous=8), 5) == []
    assert book.reason == "sequence: expected prevSeqId=7, got prevSeqId=8"
    assert book.state == "out of step"


def test_story_22_levels_come_in_any_order_and_unknown_ones_are_removed():
    book = in_band()
    levels = ((97.0, 1.0), (99.0, 2.0), (98.0, 3.0))
    (built,) = book.feed(snapshot(bids=levels), 1)
    assert [price for price, _ in built.bids] == [99.0, 98.0, 97.0]
    assert book.feed(update(11, 11, bids=((42.0, 0.0),)), 2) == []
    assert book.book.bids.unknown_removed == 1
    assert book.state == "in step"


def test_story_23_a_book_that_stays_crossed_is_a_fault_and_story_27_for_a_moment_it_may_be():
    book = in_band()
    book.feed(snapshot(), 1)
    assert book.feed(update(11, 11, bids=((102.0, 1.0),)), 2) == []
    (built,) = book.feed(update(12, 12, bids=((102.0, 0.0),), asks=((101.5, 1.0),)), 3)
    assert built.asks[0] == (101.0, 1.0)
    book.feed(update(13, 13, bids=((103.0, 1.0),)), 4)
    assert book.feed(update(14, 14, bids=((90.0, 1.0),)), 5) == []
    assert book.state == "out of step"
    assert book.reason == "crossed: bid 103 and ask 101"


def test_story_24_a_second_snapshot_sets_the_book_anew():
    book = in_band(ConnectionCounter)
    book.feed(snapshot(), 1)
    (built,) = book.feed(snapshot(bids=((95.0, 4.0),)), 2)
    assert built.bids == ((95.0, 4.0),)


@pytest.mark.parametrize("quote_comes_first", [True, False])
def test_the_venues_own_best_prices_prove_the_book_or_refute_it(quote_comes_first):
    for size, state in ((1.0, "in step"), (1.5, "out of step")):
        book = by_rest()
        book.feed(update(11, 11), 1)
        book.feed(snapshot(10, via_rest=True), 2)
        quote = BestQuote("X", 12, (99.0, size), (101.0, 1.0))
        if quote_comes_first:
            book.compare(quote, 3)
        book.feed(update(12, 12, bids=((90.0, 1.0),)), 4)
        if not quote_comes_first:
            book.compare(quote, 5)
        assert book.state == state
        assert book.quotes_compared == (state == "in step")
        if state == "out of step":
            assert "best prices: the venue has 1.5 at 99" in book.reason


def test_story_5_levels_beyond_the_snapshot_are_not_published():
    book = BookBuilder(SequenceRanges(), 3, by_rest=True)
    bids = [(99.0 - n, 1.0) for n in range(3)]
    asks = [(101.0 + n, 1.0) for n in range(3)]
    book.feed(update(11, 11), 1)
    book.feed(snapshot(10, bids, asks, via_rest=True), 2)
    # The best two go, and one far beyond the snapshot's last level changes.
    gone = ((99.0, 0.0), (98.0, 0.0), (50.0, 7.0))
    (built,) = book.feed(update(12, 12, bids=gone), 3)
    assert built.bids == ((97.0, 1.0),)
    assert book.sure_levels == 1


def test_a_deeper_snapshot_is_taken_before_the_sure_levels_run_out():
    book = BookBuilder(SequenceRanges(), 2, by_rest=True)
    bids = [(99.0 - n, 1.0) for n in range(3)]
    asks = [(101.0 + n, 1.0) for n in range(3)]
    book.feed(update(11, 11), 1)
    book.feed(snapshot(10, bids, asks, via_rest=True), 2)
    number = 12
    while not book.wants_snapshot:
        book.feed(update(number, number, bids=((10.0 + number, 1.0),)), number)
        number += 1
        assert number < 500
    assert book.state == "in step"
    book.feed(update(number, number, asks=((100.5, 1.0),)), number)
    deep = [(99.0 - n, 1.0) for n in range(40)]
    told = book.feed(snapshot(number - 1, deep, asks, via_rest=True), number + 1)
    assert book.state == "in step"
    assert not book.wants_snapshot
    assert not any(isinstance(each, Stretch) for each in told)
    assert book.sure_levels == 4
    assert book.book.asks.best(1) == ((100.5, 1.0),)
    book.feed(update(number + 1, number + 1), number + 2)
    assert book.state == "in step"


prices = st.integers(1, 40).map(float)
changes = st.lists(st.tuples(prices, st.sampled_from([0.0, 1.0, 2.0])), max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["update", "lost", "rest"]), changes), max_size=40)


@settings(deadline=None)
@given(steps=steps, cut=st.integers(0, 40))
def test_books_are_those_of_the_venue_or_are_not_in_step(steps, cut):
    """Against a naive venue; and a builder that goes on from a saved one does the same."""
    true, number, is_behind = {}, 10, False
    book, other = by_rest(), None
    for at, (kind, levels) in enumerate(steps):
        if at == cut:
            saved = msgspec.json.decode(msgspec.json.encode(book.save()), type=BuilderState)
            other = by_rest()
            other.restore(saved)
        if kind == "rest":
            whole = list(true.items())
            item = snapshot(number, whole, [(1000.0, 1.0)], via_rest=True)
            is_behind = is_behind and book.state == "in step"  # where no snapshot is wanted
        else:
            for price, size in levels:
                true[price] = size
                if not size:
                    del true[price]
            number += 1
            item = update(number, number, bids=levels)
            is_behind = kind == "lost"  # which only the next update can show
            if is_behind:
                continue
        told = book.feed(item, at + 1)
        if other is not None:
            assert other.feed(item, at + 1) == told
        if book.state == "in step":
            assert is_behind or list(book.book.bids.best(100)) == sorted(true.items(), reverse=True)
        else:
            assert not any(isinstance(each, Built) for each in told)


@settings(deadline=None)
@given(kinds=st.lists(st.sampled_from(["update", "lost", "asked"]), max_size=30))
def test_once_nothing_is_lost_any_more_a_book_that_is_given_what_it_wants_is_in_step(kinds):
    number, book = 10, by_rest()
    for at, kind in enumerate([*kinds, *("update", "asked") * 3]):
        if kind != "asked":
            number += 1
        if kind == "update":
            book.feed(update(number, number), at + 1)
        elif kind == "asked" and book.wants_snapshot:
            book.feed(snapshot(number, via_rest=True), at + 1)
    assert book.state == "in step"


def test_a_saved_book_that_cannot_be_is_refused():
    whole = snapshot()
    whole.bid_texts = []
    with pytest.raises(InvalidMessage, match="too few texts"):
        in_band().restore(BuilderState("in step", 1, book=whole))


def test_what_is_kept_for_a_snapshot_is_bounded(monkeypatch):
    monkeypatch.setattr("mdkit.venues.assembly.builder._MOST_LEVELS", 10)
    book = by_rest()
    for n in range(11, 40):
        book.feed(update(n, n, bids=((1.0, 1.0), (2.0, 1.0))), n)
    assert len(book.save().kept) == 5
    book.feed(snapshot(34, via_rest=True), 50)
    assert book.state == "in step"


def test_a_book_that_grows_without_end_is_a_fault(monkeypatch):
    monkeypatch.setattr("mdkit.venues.assembly.builder._MOST_LEVELS", 10)
    book = in_band(ConnectionCounter)
    book.feed(snapshot(), 1)
    for n in range(12):
        book.feed(update(n, n, bids=((1.0 + n, 1.0),)), 2)
    assert book.state == "out of step"
    assert book.reason == "too many levels: 11"
    assert len(book.book.bids) == 0
