"""The ledger's equation can fail, and says so."""

import pytest

from mdkit.queue.ledger import COLUMNS, Counts, Ledger


def test_every_column_weighs_in_the_equation():
    for name in COLUMNS:
        book = Ledger()
        counts = book.counts("A", "depth")
        assert not book.imbalance()
        setattr(counts, name, 3)
        assert book.imbalance() == [counts]
        assert counts.imbalance() == (3 if name == "received" else -3)
        assert book.totals()[name] == 3
        assert f"{name}=3" in repr(counts)


def test_counts_are_made_once_and_listed_by_symbol_and_channel():
    book = Ledger()
    assert book.counts("B", "trade") is book.counts("B", "trade")
    book.counts("A", "depth").received = 2
    frame = book.frame()
    assert list(frame.index) == [("A", "depth"), ("B", "trade")]
    assert frame.index.names == ["symbol", "channel"]
    assert list(frame.columns) == list(COLUMNS)
    assert frame.loc[("A", "depth"), "received"] == 2
    assert set(map(str, frame.dtypes)) == {"int64"}


def test_an_empty_ledger_is_an_empty_frame():
    frame = Ledger().frame()
    assert len(frame) == 0
    assert list(frame.columns) == list(COLUMNS)


def test_nothing_is_counted_twice():
    book = Ledger()
    book.add(Counts("A", "depth"))
    with pytest.raises(ValueError, match="counted already"):
        book.add(Counts("A", "depth"))
