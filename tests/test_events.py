"""Events: immutable, small, and the article's dict when asked."""

import json
import pickle

import msgspec
import pytest

from mdkit.events import Bar, Depth, Event, Gap, Signal, Ticker, Trade

NS = 1_700_000_000_123_000_000
EVENTS = [
    Depth("A", ((2.0, 1.0),), ((3.0, 4.0),), NS, NS),
    Trade("A", 2.5, 10.0, "buy", "7", NS, NS),
    Ticker("A", 2.5, bid=2.0, exchange_ns=NS),
    Bar("A", 1.0, 2.0, 0.5, 1.5, 100.0, NS, "5m"),
    Gap("A", "depth", "lost", NS, NS + 5),
]
every = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)


@every
def test_it_is_immutable_equal_by_value_and_hashable(event):
    with pytest.raises(AttributeError):
        event.symbol = "B"
    again = msgspec.structs.replace(event)
    assert again == event
    assert hash(again) == hash(event)
    assert pickle.loads(pickle.dumps(event)) == event


@every
def test_it_costs_the_garbage_collector_nothing(event):
    import gc

    assert not gc.is_tracked(event)


@every
def test_its_dict_is_flat_and_json_ready(event):
    body = event.as_dict()
    assert json.loads(json.dumps(body)) == body
    assert body["symbol"] == "A"
    assert body["type"] == {"bar": "kline"}.get(event.kind, event.kind)


def test_the_articles_dict_of_a_book():
    assert EVENTS[0].as_dict() == {
        "type": "depth",
        "symbol": "A",
        "bids": [[2.0, 1.0]],
        "asks": [[3.0, 4.0]],
        "timestamp": 1_700_000_000_123,
    }


def test_the_articles_dict_of_a_trade():
    assert EVENTS[1].as_dict() == {
        "type": "trade",
        "symbol": "A",
        "id": "7",
        "price": 2.5,
        "quantity": 10.0,
        "side": "buy",
        "timestamp": 1_700_000_000_123,
    }


def test_a_ticker_leaves_out_what_is_absent():
    assert EVENTS[2].as_dict() == {
        "type": "ticker",
        "symbol": "A",
        "last_price": 2.5,
        "bid_price": 2.0,
        "timestamp": 1_700_000_000_123,
    }


def test_a_bar_tells_its_start_in_milliseconds():
    assert EVENTS[3].as_dict()["time"] == 1_700_000_000_123


def test_the_root_has_no_dict_and_a_signal_is_a_value():
    with pytest.raises(NotImplementedError):
        Event().as_dict()
    assert Signal("A", "s", 1.0) == Signal("A", "s", 1.0, 0, 0)
