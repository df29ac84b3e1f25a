"""The simulated market: deterministic, and always a possible one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdkit.events import Depth, Ticker, Trade
from mdkit.exchange import SCENARIOS, configure
from mdkit.exchange.market.simulator import SimulatedFeed
from mdkit.exchange.messages import frame_texts, text_frame
from mdkit.venues import tickdb

NOON = 1_735_732_800_000


def feed(opened_ms=NOON, **settings):
    made = SimulatedFeed(configure(**settings), opened_ms)
    made.begin(opened_ms)
    return made


def texts(feed, until=20.0, most=10**9):
    return [t for m in feed.take(until, most) for t in m.texts("realtime")]


def test_same_seed_and_start_give_the_same_bytes():
    assert texts(feed()) == texts(feed())
    assert texts(feed(seed=1)) != texts(feed(seed=2))


def test_another_start_within_the_day_changes_the_timestamps_only():
    def bare(feed):
        return [re.sub(rb'"timestamp":\d+', b"", text) for text in texts(feed)]

    assert bare(feed(NOON)) == bare(feed(NOON + 3_600_000 * 7 + 12_345))


def test_the_sequence_does_not_depend_on_how_it_is_taken():
    whole = texts(feed())
    parts = feed()
    pieces = []
    for i in range(1, 2001):
        pieces += texts(parts, until=i / 100, most=3 if i < 2000 else 10**9)
    assert pieces == whole


def test_open_has_exactly_the_articles_counts():
    market = feed(scenario="open")
    counts = []
    for edge in (2.3, 5.0, 10.0, 15.0, 20.0):
        messages = market.take(edge - 1e-12, 10**9)
        assert all(message.offset < edge for message in messages)
        counts.append(sum(message.key[0] == "depth" for message in messages))
    assert counts == [847, 3200 - 847, 1800, 900, 4100]
    after = market.take(30.0, 10**9)
    assert 990 <= sum(message.key[0] == "depth" for message in after) <= 1001


def test_an_opening_comes_within_its_first_second_and_the_course_follows():
    market = feed(scenario="open", opening=5000)
    first = market.take(1.0 - 1e-12, 10**9)
    assert sum(message.key[0] == "depth" for message in first) == 5000
    assert [m.offset for m in first] == sorted(m.offset for m in first)
    after = market.take(3.3 - 1e-12, 10**9)
    assert sum(message.key[0] == "depth" for message in after) == 847
    assert after[0].offset >= 1.0


def test_an_opening_tells_the_time_at_which_it_is_sent():
    """It is made before that, and only the time is put in later."""
    later = SimulatedFeed(configure(scenario="open", opening=300), NOON)
    while later.prepare():
        pass
    later.begin(NOON + 3_600_000)
    then = SimulatedFeed(configure(scenario="open", opening=300), NOON)
    then.begin(NOON)
    for message, same in zip(later.take(1.5, 10**9), then.take(1.5, 10**9), strict=True):
        assert (message.offset, message.key) == (same.offset, same.key)
        for dialect in ("realtime", "flat"):
            texts = message.texts(dialect)
            assert b"".join(map(text_frame, texts)) == message.frames(dialect)
            for text, early in zip(texts, same.texts(dialect), strict=True):
                (event, *_), (before, *_) = tickdb.decode(text), tickdb.decode(early)
                assert event.exchange_ns == (NOON + 3_600_000 + int(message.offset * 1000)) * 10**6
                assert event.exchange_ns - before.exchange_ns == 3_600_000 * 10**6
    assert re.sub(rb"\d{13}", b"", text) == re.sub(rb"\d{13}", b"", early)


def test_frames_of_any_size_give_their_texts_back():
    texts = [b"x" * size for size in (0, 1, 125, 126, 65_535, 65_536, 7)]
    assert list(frame_texts(b"".join(map(text_frame, texts)))) == texts


@pytest.mark.outer
def test_what_rest_tells_during_an_opening_is_what_was_pushed():
    market = feed(scenario="open", opening=3000, symbols=["AAPL.US"])
    other = feed(scenario="open", opening=3000, symbols=["AAPL.US"])
    opening_book = market.depth("AAPL.US")
    assert not market.trades("AAPL.US")
    told = {"trade": [], "ticker": [market.ticker("AAPL.US")], "depth": [opening_book]}
    for i in range(1, 151):
        for message in market.take(i / 100, 10**9):
            told[message.key[0]] += message.told()
        market.settle()
        assert market.depth("AAPL.US").bids == told["depth"][-1].bids
        assert market.trades("AAPL.US") == told["trade"][-1000:]
        if i < 100:
            assert market.ticker("AAPL.US") == told["ticker"][-1]
    assert len(told["depth"]) > 3000
    other.take(1.5, 10**9)
    other.settle()
    minutes = [
        tape.tapes["AAPL.US"].rows(NOON // 60_000, NOON // 60_000 + 2) for tape in (market, other)
    ]
    assert minutes[0] == minutes[1]
    assert sum(row[4] for row in minutes[0]) > 0


@pytest.mark.outer
def test_rate_replaces_the_scenarios_course():
    for name in SCENARIOS:
        messages = feed(scenario=name, rate=50).take(10.0, 10**9)
        depths = [message for message in messages if message.key[0] == "depth"]
        assert 499 <= len(depths) <= 501


def test_pressure_moves_through_both_thresholds():
    ratios = []
    for message in feed(symbols=["AAPL.US"]).take(60.0, 10**9):
        if message.key[0] == "depth":
            book = message.events[0]
            bids, asks = (sum(size for _, size in side[:5]) for side in (book.bids, book.asks))
            ratios.append(bids / asks)
    assert min(ratios) < 0.5
    assert max(ratios) > 2
    assert sum(0.5 < ratio < 2 for ratio in ratios) > len(ratios) / 3


@pytest.mark.outer
def test_an_unpaced_stream_repeats_itself_and_ends_at_count():
    market = feed(scenario="flood", count=45_000, symbols=["AAPL.US"])
    messages = market.take(float("inf"), 10**9)
    depths = [message for message in messages if message.key[0] == "depth"]
    assert len(depths) == 45_000
    assert depths[0] is depths[20_000] is depths[40_000]
    assert market.next_offset() is None
    assert market.finished


@pytest.mark.outer
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    levels=st.integers(1, 50),
    symbol=st.sampled_from(["AAPL.US", "BTCUSDT", "EURUSD", "000001.SZ", "BU2609", "X"]),
)
def test_every_message_is_possible_and_decodes(seed, levels, symbol):
    market = feed(seed=seed, levels=levels, symbols=[symbol], rate=200)
    best = None
    for message in market.take(3.0, 10**9):
        for text in message.texts("realtime"):
            # Decoding refuses unsorted and crossed books.
            events = tickdb.decode(text)
            assert all(event.symbol == symbol for event in events)
        for event in message.events:
            if isinstance(event, Depth):
                assert len(event.bids) == len(event.asks) == levels
                assert event.bids[0][0] < event.asks[0][0]
                assert all(price > 0 and size > 0 for price, size in event.bids + event.asks)
                best = event
            elif isinstance(event, Trade) and best is not None:
                assert event.size > 0
            elif isinstance(event, Ticker):
                assert event.low_24h <= event.last <= event.high_24h
        article = [tickdb.decode(text) for text in message.texts("flat")]
        assert sum(map(len, article)) == len(message.events)


def test_trades_happen_at_the_touch():
    market = feed(symbols=["AAPL.US"])
    book = market.depth("AAPL.US")
    for message in market.take(30.0, 10**9):
        for event in message.events:
            if isinstance(event, Depth):
                book = event
            elif isinstance(event, Trade):
                # A message of two trades may take the second from the level behind the best.
                touch = book.asks[:3] if event.side == "buy" else book.bids[:3]
                assert event.price in [price for price, _ in touch]


@pytest.mark.outer
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scenario": "flood"},
        {"scenario": "flood", "rate": 1000.0},
        {"scenario": "open", "opening": 200},
    ],
)
@pytest.mark.parametrize("has_begun", [False, True])
def test_a_listed_symbol_is_traded_from_when_it_is_asked_for(options, has_begun):
    market = SimulatedFeed(configure(["A", "B"], listed=["C"], **options), NOON)
    plain = feed(symbols=["A", "B"], **options)
    if has_begun:
        market.begin(NOON)
        before, same = market.take(1.0, 30), plain.take(1.0, 30)
        assert [m.texts("realtime") for m in before] == [m.texts("realtime") for m in same]
    assert market.symbols == ("A", "B")
    assert not market.admit("D")
    assert market.admit("C")
    assert market.admit("A")
    assert market.symbols == ("A", "B", "C")
    assert market.depth("C").bids
    assert market.ticker("C").last
    if not has_begun:
        market.begin(NOON)
    seen = {m.key for _ in range(20) for m in market.take(10.0, 100)}
    assert {("depth", "C"), ("trade", "C"), ("depth", "A")} <= seen
    assert market.trades("C") or options.get("opening")
