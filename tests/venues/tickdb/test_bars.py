"""Bars on the wire: `kline` messages are read to the bit and go on channel "bar"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.errors import InvalidMessage
from mdkit.events import Bar
from mdkit.venues.tickdb import TickdbRouter as Router
from mdkit.venues.tickdb import decode, encode

prices = st.floats(1e-6, 1e9)


@st.composite
def bars(draw):
    low, *inner, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    open_, close = draw(st.permutations(inner))
    start = draw(st.integers(0, 4_000_000_000_000)) * 1_000_000
    return Bar("A.US", open_, high, low, close, draw(st.floats(0.0, 1e12)), start, "5m")


@pytest.mark.parametrize("dialect", ["realtime", "flat"])
@given(bar=bars())
def test_a_bar_comes_back_to_the_bit(dialect, bar):
    raw = encode(bar, dialect)
    assert decode(raw, 1) == (bar,)
    route = Router().route(raw)
    assert (route.channel, route.symbol) == ("bar", "A.US")
    assert bar.exchange_ns == bar.start_ns


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('"high":1.0', "bar is impossible: high 1, low 1"),
        ('"low":9.0', "bar is impossible"),
        ('"close":-1', "close"),
        ('"volume":"x"', "volume"),
    ],
)
def test_bars_that_cannot_be_are_invalid(change, says):
    name = change.split(":")[0]
    fields = {'"open"': "2.0", '"high"': "3.0", '"low"': "1.0", '"close"': "2.0", '"volume"': "1"}
    fields[name] = change.split(":")[1]
    body = ",".join(f"{key}:{value}" for key, value in fields.items())
    raw = f'{{"type":"kline","symbol":"A","time":0,{body}}}'.encode()
    with pytest.raises(InvalidMessage, match=says):
        decode(raw)
