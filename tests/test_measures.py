from datetime import timedelta
from math import copysign, inf, isnan, nan

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit import measures
from mdkit.errors import SettingsError
from mdkit.events import Depth
from mdkit.frames import book_frame
from mdkit.frames.events import DepthFrame, TradeFrame

prices = st.floats(0.01, 1e6)
sizes = st.one_of(st.just(0.0), st.floats(0.0, 1e9))
sides = st.lists(st.tuples(prices, sizes), max_size=12).map(tuple)
books = st.builds(Depth, st.just("A"), sides, sides)

BOOK = Depth("A", ((99.0, 3.0), (98.0, 5.0)), ((101.0, 1.0), (102.0, 1.0)))
ALL = (
    measures.pressure_ratio,
    measures.imbalance,
    measures.spread,
    measures.mid,
    measures.microprice,
)


def test_measures_of_a_known_book():
    assert measures.pressure_ratio(BOOK) == 4.0
    assert measures.pressure_ratio(BOOK, levels=1) == 3.0
    assert measures.imbalance(BOOK) == 0.6
    assert measures.spread(BOOK) == 2.0
    assert measures.mid(BOOK) == 100.0
    # Three times more bid than asked: three quarters of the way up to the ask.
    assert measures.microprice(BOOK) == 100.5


@pytest.mark.parametrize("measure", ALL)
@given(book=books)
def test_a_dict_gives_the_same_bits_as_the_event(measure, book):
    one, other = measure(book), measure(book.as_dict())
    assert one == other or (isnan(one) and isnan(other))


@given(book=books, levels=st.integers(1, 15))
def test_pressure_and_imbalance_are_what_a_plain_recomputation_gives(book, levels):
    bid, ask = 0.0, 0.0
    for level in range(levels):
        bid = bid + (book.bids[level][1] if level < len(book.bids) else 0.0)
        ask = ask + (book.asks[level][1] if level < len(book.asks) else 0.0)
    ratio = measures.pressure_ratio(book, levels)
    imbalance = measures.imbalance(book, levels)
    if bid == ask == 0:
        assert isnan(ratio)
        assert isnan(imbalance)
        return
    assert ratio == (inf if ask == 0 else bid / ask)
    assert imbalance == (bid - ask) / (bid + ask)
    assert -1 <= imbalance <= 1
    if ratio != 1:
        assert copysign(1, imbalance) == copysign(1, ratio - 1) or imbalance == 0


@given(
    bid=prices,
    width=st.floats(0.0, 100.0),
    bid_size=st.floats(0.001, 1e6),
    ask_size=st.floats(0.001, 1e6),
)
def test_the_microprice_lies_between_bid_and_ask(bid, width, bid_size, ask_size):
    ask = bid + width
    book = Depth("A", ((bid, bid_size),), ((ask, ask_size),))
    assert bid * (1 - 1e-12) <= measures.microprice(book) <= ask * (1 + 1e-12)


def test_spreads_and_mids_of_decimal_prices_are_decimals():
    spreads, mids = set(), []
    for cents in range(15_000, 16_000):
        book = Depth("A", ((cents / 100, 1.0),), (((cents + 1) / 100, 1.0),))
        spreads.add(measures.spread(book))
        mids.append(measures.mid(book))
    assert spreads == {0.01}
    assert mids == [float(f"{cents / 100:.2f}5") for cents in range(15_000, 16_000)]


def test_a_side_without_orders():
    bids_only, asks_only, empty = (
        Depth("A", BOOK.bids, ()),
        Depth("A", (), BOOK.asks),
        Depth("A", (), ()),
    )
    assert measures.pressure_ratio(bids_only) == inf
    assert measures.pressure_ratio(asks_only) == 0.0
    assert measures.imbalance(bids_only) == 1.0
    assert measures.imbalance(asks_only) == -1.0
    assert all(isnan(measure(empty)) for measure in ALL)
    for measure in (measures.spread, measures.mid, measures.microprice):
        assert isnan(measure(bids_only))
        assert isnan(measure(asks_only))


@pytest.mark.parametrize("levels", [0, -1, 2.5, "5", None])
@pytest.mark.parametrize("measure", [measures.pressure_ratio, measures.imbalance])
def test_bad_levels_are_named(measure, levels):
    with pytest.raises(SettingsError, match=f"levels is {levels!r}"):
        measure(BOOK, levels)


def gappy(values, gaps, step="1s"):
    index = pd.date_range("2026-01-05", periods=len(values), freq=step, tz="UTC")
    return pd.DataFrame({"mid": values, "gap": [i in gaps for i in range(len(values))]}, index)


@given(
    st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=40),
    st.sets(st.integers(0, 39)),
    st.integers(1, 5),
)
def test_rolling_measures_never_reach_across_a_gap(values, gaps, window):
    got = measures.rolling(gappy(values, gaps), "mid", window, "sum").tolist()
    for i, value in enumerate(got):
        since = max([0, *(g for g in gaps if g <= i)])
        expected = sum(values[i - window + 1 : i + 1]) if i - window + 1 >= since else nan
        assert value == expected or (isnan(value) and isnan(expected))


def test_a_window_of_time_is_nan_until_it_has_filled_after_a_gap():
    table = gappy([1.0] * 8, {4})
    got = measures.rolling(table, "mid", "2s", "sum")
    assert got.isna().tolist() == [False] * 4 + [True, True, False, False]
    assert measures.rolling(table, "mid", "2s", "sum", across_gaps=True).notna().all()


@pytest.mark.parametrize("window", [pd.Timedelta("2s"), timedelta(seconds=2)])
def test_a_window_may_be_a_timedelta(window):
    table = gappy([1.0] * 8, {4})
    got = measures.rolling(table, "mid", window, "sum")
    pd.testing.assert_series_equal(got, measures.rolling(table, "mid", "2s", "sum"))


def test_partial_bars_are_gaps():
    bars = gappy([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], set())
    bars["partial"] = [False, False, True, False, False, False]
    got = measures.rolling(bars, "mid", 2, "sum").tolist()
    assert str(got) == "[nan, 3.0, nan, nan, 9.0, 11.0]"
    across = measures.rolling(bars, "mid", 2, "sum", across_gaps=True).tolist()
    assert across[1:] == [3.0, 5.0, 7.0, 9.0, 11.0]


@pytest.mark.parametrize(("column", "how"), [("nonsense", "mean"), ("mid", "nonsense")])
def test_rolling_says_what_there_is_not(column, how):
    with pytest.raises(SettingsError, match="nonsense"):
        measures.rolling(gappy([1.0], set()), column, 1, how)


def test_rolling_over_a_time_does_not_reach_across_a_clock_that_was_set_back():
    stamps = pd.to_datetime([0, 1, 2, 3, 0, 1, 2, 3], unit="s", utc=True)
    table = pd.DataFrame({"x": [1.0, 2, 3, 4, 10, 20, 30, 40]}, stamps)
    for gaps in (None, [False] * 8):
        frame = table if gaps is None else table.assign(gap=gaps)
        got = measures.rolling(frame, "x", "2s", "sum").tolist()
        assert got[:4] == [1.0, 3.0, 5.0, 7.0]
        assert np.isnan(got[4:6]).all()
        assert got[6:] == [50.0, 70.0]
        assert measures.rolling(frame, "x", 2, "sum").tolist()[4] == 14.0  # rows are rows
        with pytest.raises(SettingsError, match="times run backwards at 1970-01-01 00:00:00"):
            measures.rolling(frame, "x", "2s", "sum", across_gaps=True)


# Tables of books


@pytest.mark.outer
@given(batch=st.lists(books, max_size=12), levels=st.integers(1, 12))
def test_a_table_of_books_gives_the_bits_of_each(batch, levels):
    frame = DepthFrame(12)
    frame.extend(batch)
    for kept in (levels, 12):
        table = frame.snapshot(levels=kept)
        for measure in ALL:
            more = (levels,) if measure in (measures.pressure_ratio, measures.imbalance) else ()
            got = measure(table, *more)
            assert got.index is table.index or got.index.equals(table.index)
            assert got.name == measure.__name__
            expected = [measure(book, *more) for book in batch]
            assert np.array_equal(got.to_numpy(), np.array(expected, float), equal_nan=True)


@pytest.mark.outer
@given(batch=st.lists(books, max_size=12), levels=st.integers(1, 12))
def test_the_plain_table_and_its_parts_have_what_measures_need(batch, levels):
    frame = DepthFrame(12)
    frame.extend([msgspec.structs.replace(b, received_ns=n) for n, b in enumerate(batch, 1)])
    table = frame.snapshot()
    assert "bid_2" not in table
    for part, own in ((table, batch), (table.tail(3), batch[-3:]), (table.iloc[::-2], batch[::-2])):
        expected = np.array([measures.imbalance(book, levels) for book in own], float)
        got = measures.imbalance(part, levels)
        assert np.array_equal(got.to_numpy(), expected, equal_nan=True)
        assert got.index.equals(part.index)


def test_levels_of_a_table_that_was_changed_are_not_made_up():
    frame = DepthFrame(3)
    frame.extend([BOOK, BOOK])
    table = frame.snapshot()
    table["bid_size"] = [5.0, 5.0]
    with pytest.raises(SettingsError, match="no column 'bid_size_2'"):
        measures.imbalance(table, 2)


@pytest.mark.parametrize("book", [BOOK, Depth("A", BOOK.bids, ()), Depth("A", (), ())])
def test_a_ladder_is_one_book(book):
    for measure in ALL:
        one, other = measure(book), measure(book_frame(book))
        assert type(other) is float
        assert one == other or (isnan(one) and isnan(other))


def test_a_table_without_the_levels_says_where_they_are():
    table = pd.DataFrame(DepthFrame(10).snapshot())
    with pytest.raises(SettingsError, match=r'bid_size_2.*frame\("depth", symbol, levels=3\)'):
        measures.imbalance(table, 3)
    with pytest.raises(SettingsError, match=r"no column 'ask'.*session.book.*are price, size"):
        measures.mid(TradeFrame().snapshot())
    with pytest.raises(SettingsError, match="levels is 0"):
        measures.imbalance(table, 0)
