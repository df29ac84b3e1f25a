"""One contract for every strategy that comes with mdkit: a new one is tested when it is added."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit import strategies
from mdkit.events import Bar, Depth, Ticker, Trade
from mdkit.strategies import as_strategy
from mdkit.strategies.contract import KINDS, as_signal

prices, sizes = st.floats(0.01, 1e6), st.floats(0.0, 1e6)
side = st.lists(st.tuples(prices, sizes), max_size=8)
EVENTS = {
    "depth": st.builds(
        lambda bids, asks: Depth("A", tuple(sorted(bids, reverse=True)), tuple(sorted(asks))),
        side,
        side,
    ),
    "trade": st.builds(Trade, st.just("A"), prices, sizes),
    "ticker": st.builds(Ticker, st.just("A"), prices),
    "bar": st.builds(Bar, st.just("A"), prices, prices, prices, prices, sizes, st.just(0)),
}
every = pytest.mark.parametrize("name", list(strategies.ALL))


def _run(runner, events):
    return [as_signal(runner(event), "it") for event in events]


@every
def test_it_says_what_it_is(name):
    found = as_strategy(strategies.ALL[name])
    assert found.name == name
    assert found.kinds
    assert set(found.kinds) <= set(KINDS)
    assert repr(found).startswith(f"{name}(")
    assert getattr(strategies, name) is strategies.ALL[name]
    assert name in strategies.__all__
    assert strategies.ALL[name].__doc__


@every
@given(data=st.data())
def test_it_returns_signals_and_repeats_itself_from_a_fresh_instance(name, data):
    found = as_strategy(strategies.ALL[name])
    events = data.draw(st.lists(st.one_of([EVENTS[kind] for kind in found.kinds]), max_size=20))
    first = _run(found.instance(), events)
    assert _run(found.instance(), events) == first
    assert _run(pickle.loads(pickle.dumps(found)).instance(), events) == first
    assert all(signal is None or not math.isnan(signal) for signal in first)


@every
def test_its_parameters_can_all_be_set(name):
    found = as_strategy(strategies.ALL[name])
    same = found.with_params(**found.params)
    assert same.params == found.params
    assert repr(same) == repr(found)
