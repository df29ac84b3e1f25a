"""Hyperliquid repeats recent trades to whoever subscribes: none is counted twice."""

import json

import msgspec

from mdkit.venues.assembly.assembler import AssemblerState
from mdkit.venues.registry import venue_of

NATIVES = {"BTC/USD": "BTC", "ETH/USD": "ETH"}


def trades(coin, *numbers):
    """Return a message of trades with these numbers."""
    rows = [
        {"coin": coin, "side": "B", "px": "100.0", "sz": "1.0", "tid": number, "time": number}
        for number in numbers
    ]
    return json.dumps({"channel": "trades", "data": rows}).encode()


def taken(assembler, *frames):
    """Return (symbol, id) of the trades that frames give."""
    messages = [json.loads(each) for raw in frames for each in assembler.take(raw, 1)]
    return [(m["symbol"], trade[3]) for m in messages for trade in m["trades"]]


def test_what_a_new_connection_repeats_is_left_out_and_what_was_missed_is_not():
    venue = venue_of("hyperliquid")
    assembler = venue.assembler(NATIVES, 10, 20)
    assembler.connected()
    first = taken(assembler, trades("BTC", 1, 2), trades("BTC", 3), trades("ETH", 3))
    assert first == [("BTC/USD", "1"), ("BTC/USD", "2"), ("BTC/USD", "3"), ("ETH/USD", "3")]
    assembler.connected()
    again = taken(assembler, trades("BTC", 1, 2, 3, 4), trades("ETH", 3), trades("BTC", 5))
    assert again == [("BTC/USD", "4"), ("BTC/USD", "5")]
    assert ("trade", "ETH/USD") in assembler.first_ns, "what comes shows that it is sent"


def test_coins_that_nobody_asked_for_are_not_kept_for_ever():
    assembler = venue_of("hyperliquid").assembler(NATIVES, 10, 20)
    for number in range(5000):
        assembler.take(trades(f"ODD{number}", number), 1)
    assert not assembler.recent
    assert assembler.counts["not asked for"] == 5000


def test_a_recording_that_begins_later_knows_what_may_be_repeated():
    venue = venue_of("hyperliquid")
    assembler = venue.assembler(NATIVES, 10, 20)
    taken(assembler, trades("BTC", 1, 2), trades("ETH", 7))
    state = msgspec.json.decode(msgspec.json.encode(assembler.save()), type=AssemblerState)
    later = venue.assembler(NATIVES, 10, 20)
    later.restore(state)
    again = [trades("BTC", 1, 2, 3), trades("ETH", 7)]
    assert taken(later, *again) == taken(assembler, *again) == [("BTC/USD", "3")]
    assert later.counts["duplicate"] == 3
