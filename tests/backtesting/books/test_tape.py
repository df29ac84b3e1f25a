"""Books in columns beside the listener, which takes one event after the other."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdkit as md
from mdkit.backtesting.account.terms import Fills, Terms
from mdkit.backtesting.books.strategy.answers import python_answers
from mdkit.backtesting.books.strategy.listener import Listener, timed
from mdkit.backtesting.books.strategy.tape import BookTape
from mdkit.errors import SettingsError
from mdkit.events import Depth, Gap, Trade
from mdkit.strategies.contract import as_strategy

MS = 1_000_000
MODELS = Fills.__args__
PRICES = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, math.nan])
SIZES = st.sampled_from([0.0, 0.25, 1.0, 2.0, -1.0])
SIDE = st.lists(st.tuples(PRICES, SIZES), max_size=3).map(tuple)


@st.composite
def anything(draw):
    """Books that may be empty, crossed or without a size, trades and gaps, of two symbols."""
    events, at = [], 0
    for _ in range(draw(st.integers(1, 14))):
        at += draw(st.integers(-1, 3)) * MS
        symbol = draw(st.sampled_from(["A", "B"]))
        exchange = draw(st.sampled_from([0, at + 5 * MS]))
        kind = draw(st.sampled_from(["book", "book", "book", "trade", "gap"]))
        if kind == "book":
            events.append(Depth(symbol, draw(SIDE), draw(SIDE), exchange, at + 10 * MS))
        elif kind == "trade":
            side = draw(st.sampled_from(["buy", "sell", "neutral"]))
            events.append(Trade(symbol, draw(PRICES), 1.0, side, "", exchange, at + 10 * MS))
        else:
            channel = draw(st.sampled_from(["depth", "trade", "depth:5"]))
            since = draw(st.sampled_from([0, at, at + 12 * MS]))
            events.append(Gap(symbol, channel, "lost", since, at + 11 * MS))
    return events


@md.strategy("depth")
class Turns:
    """Says something of any book, and an order now and then."""

    def start(self):
        self.n = 0

    def on_gap(self, gap):
        self.n += 2

    def __call__(self, book):
        self.n += 1
        if self.n % 4 == 3:
            return md.Limit(1.5, 1.0 if self.n % 8 == 3 else -1.0)
        if self.n % 7 == 5:
            return md.Quote(0.5, 2.5, 1.0)
        return None if self.n % 5 == 0 else round(math.sin(len(book.bids) + self.n), 1)


def heard_of(events, terms, lowest, recorded=True):
    """What the listener hears: the reference."""
    listener = Listener(as_strategy(Turns), terms=terms, recorded=recorded, lowest=lowest)
    for event, time in timed(filter(listener.wants, events)):
        listener.miss(event) if event.kind == "gap" else listener.take(event, time)
    return listener.heard(), listener.unpriced


@given(anything(), st.sampled_from(MODELS), st.sampled_from([0.0, -math.inf]))
def test_columns_are_what_the_listener_hears(events, model, lowest):
    terms = Terms(fills=model)
    expected, unpriced = heard_of(events, terms, lowest)
    tape = BookTape(events, recorded=True)
    found = python_answers(as_strategy(Turns), tape, terms, lowest)
    assert tape.market(terms, lowest).unpriced == unpriced
    assert found.names == expected.names
    for field in dataclasses.fields(expected):
        one, other = getattr(expected, field.name), getattr(found, field.name)
        if field.name == "sent":
            for left, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(left, right)
        elif isinstance(one, np.ndarray) and field.name not in ("firsts", "prices", "sizes"):
            np.testing.assert_array_equal(one, other, field.name)
    numbers = range(len(expected.kinds))
    assert [levels(found, n) for n in numbers] == [levels(expected, n) for n in numbers]


def levels(heard, number):
    """The levels of an event as text, so that nan is nan."""
    first = int(heard.firsts[number])
    if first < 0:
        return "none"
    count = int(heard.bids[number] + heard.asks[number]) if heard.kinds[number] == 1 else 1
    part = slice(first, first + count)
    return repr((heard.prices[part].tolist(), heard.sizes[part].tolist()))


@given(anything())
def test_a_tape_gives_its_events_again(events):
    again = list(BookTape(events, recorded=True))
    assert repr(again) == repr(events)


def book(at, price=100.0, size=1.0):
    return Depth("A", ((price, size),), ((price + 1.0, size),), 0, at * MS)


def test_events_out_of_order_are_refused_as_by_the_listener():
    events = [book(2), book(3), book(1)]
    for data in (events, md.load_books(events)):
        with pytest.raises(SettingsError, match=r"0\.001Z comes after .*0\.003Z; sort"):
            md.backtest(Turns, data)


def test_loading_refuses_what_columns_do_not_hold():
    with pytest.raises(SettingsError, match="no book to load"):
        md.load_books([Trade("A", 1.0, 1.0, received_ns=1)])
    with pytest.raises(SettingsError, match="no floats, such as whole numbers"):
        md.load_books([book(1, 100)])


def test_loaded_books_are_for_strategies_on_depth():
    @md.strategy("depth", "trade")
    def both(event):
        return None

    with pytest.raises(SettingsError, match="both wants depth and trade, and loaded books are for"):
        md.backtest(both, md.load_books([book(1)]))


def test_loaded_books_say_what_they_are():
    gap = Gap("A", "depth", "lost", MS, 2 * MS)
    loaded = md.load_books([book(1), gap, Trade("B", 1.0, 1.0, received_ns=3 * MS)])
    assert repr(loaded) == "<BookTape of 1 books, 1 trades and 1 gaps of A, B>"
    assert len(loaded) == 3


def test_whole_numbers_are_left_to_python():
    @md.strategy("depth")
    def halves(book):
        return float(book.bids[0][1] // 2 == 1)

    events = [Depth("A", ((100, 2),), ((101, 2),), 0, n * MS) for n in range(1, 5)]
    result = md.backtest(halves, events)
    assert result.signals["A"].tolist() == [1.0] * 4
    assert type(events[0].bids[0][0]) is int


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (None, "no books in a NoneType"),
        (b"books", "no books in a bytes"),
        (pd.DataFrame({"close": [1.0]}), "no books in a DataFrame"),
        ({"A": []}, "no books in a dict"),
        (iter(["book"]), "'book' is no event of a market"),
        ([Depth("A", ((1.0, 2.0, 3.0),), ((2.0, 1.0, 3.0),), 1, 1)], "a level is a price and a"),
        ([Depth("A", (("1", 2.0),), (), 1, 1)], "is no event of a market"),
        ([Depth("A", ((1.0, 2.0),), (), 1.5, 1)], "is no event of a market"),
        ([Depth("A", ((1.0, 2.0),), (), 2**70, 1)], "is no event of a market"),
    ],
)
def test_what_is_no_market_is_refused(data, match):
    with pytest.raises(SettingsError, match=match):
        md.load_books(data)


@pytest.mark.parametrize("engine", ["python", "auto"])
def test_levels_that_are_no_pairs_are_not_taken_for_others(engine):
    wide = Depth("A", ((1.0, 2.0, 3.0),), ((2.0, 1.0, 3.0),), 1, 1)
    with pytest.raises(SettingsError, match="price and"):
        md.backtest(Turns, iter([wide]) if engine == "python" else [wide], engine=engine)


def test_a_table_of_books_is_loaded():
    table = md.read_recording(md.sample()).frame("depth")
    assert md.load_books(table).books == len(table)


def test_of_a_tape_stretches_can_be_taken_and_nothing_else():
    loaded = md.load_books([book(n) for n in range(1, 8)])
    assert list(loaded[2:5]) == list(loaded)[2:5]
    assert len(loaded[5:2]) == 0
    for part in (3, slice(None, None, 2)):
        with pytest.raises(SettingsError, match="give a stretch"):
            loaded[part]
