import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit import measures
from mdkit.errors import SettingsError
from mdkit.events import Depth
from mdkit.strategies import pressure, spread_monitor

side = st.lists(st.tuples(st.floats(1, 100), st.integers(0, 20).map(float)), max_size=8)


def book(bid_size, ask_size):
    return Depth("A", ((99.0, bid_size),), ((101.0, ask_size),))


@pytest.mark.parametrize(
    ("bid_size", "ask_size", "signal"),
    [(2.0, 1.0, 1.0), (1.99, 1.0, None), (1.0, 2.0, -1.0), (1.0, 1.99, None), (5.0, 5.0, None)],
)
def test_pressure_speaks_at_the_threshold_and_beyond(bid_size, ask_size, signal):
    assert pressure(book(bid_size, ask_size)) == signal


@pytest.mark.parametrize(
    "one_sided",
    [Depth("A", ((99.0, 1.0),), ()), Depth("A", (), ((99.0, 1.0),)), Depth("A", (), ())],
)
def test_a_one_sided_book_says_nothing(one_sided):
    assert pressure(one_sided) is None
    assert spread_monitor(one_sided) is None


@given(bids=side, asks=side, levels=st.integers(1, 9), enter=st.floats(1, 10))
def test_pressure_agrees_with_the_measure(bids, asks, levels, enter):
    depth = Depth("A", tuple(bids), tuple(asks))
    ratio = measures.pressure_ratio(depth, levels)
    expected = None
    if 0 < ratio < float("inf"):
        expected = 1.0 if ratio >= enter else -1.0 if ratio <= 1 / enter else None
    assert pressure(depth, levels=levels, enter=enter) == expected


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"enter": 0.5}, {"enter": float("nan")}])
def test_pressure_refuses_parameters_without_a_meaning(wrong):
    with pytest.raises(SettingsError, match="levels of at least 1 and enter of at least 1"):
        pressure(book(1.0, 1.0), **wrong)


def test_the_spread_is_told_in_basis_points_once_it_is_wide():
    assert spread_monitor(book(1.0, 1.0)) == 200.0
    assert spread_monitor(book(1.0, 1.0), wide_bps=200.0) == 200.0
    assert spread_monitor(book(1.0, 1.0), wide_bps=200.1) is None


def test_a_spread_of_just_the_width_asked_for_is_wide():
    for cents in range(10_000, 20_000, 7):
        bid, ask = cents / 100, (cents + 2) / 100
        bps = spread_monitor(Depth("A", ((bid, 1.0),), ((ask, 1.0),)), wide_bps=0.0)
        assert bps == 0.02 / ((cents + 1) / 100) * 10_000.0
