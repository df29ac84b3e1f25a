"""Sums and differences of prices as decimals."""

import math
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.books.decimals import difference, differences_and_middles, halfway

places = st.integers(0, 12)
ticks = st.integers(-(10**13), 10**13)


def price(ticks, places):
    return float(Decimal(ticks).scaleb(-places))


def bits(values):
    return np.array(values, np.float64).view(np.int64).tolist()


@given(one=st.builds(price, ticks, places), ticks=ticks, places=places)
def test_what_comes_out_is_the_float_nearest_to_the_true_decimal(one, ticks, places):
    other = price(ticks, places)
    first, second = Decimal(repr(one)), Decimal(repr(other))
    longest = max(-min(first.as_tuple().exponent, second.as_tuple().exponent), 0)
    if max(abs(first), abs(second)).scaleb(longest) >= 2**50:
        return  # more digits than a price has
    assert difference(one, other) == float(first - second)
    assert halfway(one, other) == float((first + second) / 2)


@pytest.mark.parametrize("tick", ["0.01", "0.05", "0.1", "1", "0.00000001", "0.25", "100"])
def test_a_spread_of_one_tick_is_one_number(tick):
    tick = Decimal(tick)
    prices = [float(tick * number) for number in range(1, 3000)]
    assert {difference(b, a) for a, b in pairwise(prices)} == {float(tick)}


anything = st.one_of(
    st.floats(),
    st.builds(price, ticks, places),
    st.sampled_from([math.nan, math.inf, -0.0, 0.0, 5e-324, 1e308, 2.0**50, 1.1259e13]),
)


@given(st.lists(st.tuples(anything, anything), max_size=8))
def test_columns_have_the_bits_of_single_pairs(pairs):
    high, low = (np.array([pair[side] for pair in pairs], np.float64) for side in (0, 1))
    widths, middles = differences_and_middles(high, low)
    for number, (one, other) in enumerate(pairs):
        for got, expected in (
            (widths[number], difference(one, other)),
            (middles[number], halfway(one, other)),
        ):
            assert bits(got) == bits(expected) or (math.isnan(got) and math.isnan(expected))


def test_prices_that_are_no_decimals_have_a_floats_difference():
    one, other = math.pi * 1e5, math.e * 1e5
    assert difference(one, other) == one - other
    assert halfway(one, other) == (one + other) / 2
