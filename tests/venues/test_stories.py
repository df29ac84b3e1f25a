"""What went wrong with public venues in other libraries, and the test here that shows each.

The numbers are those of a collection of such stories; a test that is named here exists.
"""

import ast
import json
from pathlib import Path
from zlib import crc32

import pytest

from mdkit.books.order_book import OrderBook
from mdkit.sources.connection import MAX_INCOMING_BYTES, ending
from mdkit.venues.assembly.assembler import Wanted
from mdkit.venues.assembly.parsed import BookUpdate
from mdkit.venues.assembly.rules import ChainWithChecksums, crc32_of_best
from mdkit.venues.registry import VENUES, venue_of

TESTS = Path(__file__).parents[1]
BUILDER = "venues/assembly/test_builder.py"
RECORDED = "venues/assembly/test_recorded_books.py"
CONTRACT = "venues/test_contract.py"
HERE = "venues/test_stories.py"
STORIES = {
    1: [(BUILDER, "test_story_1_a_snapshot_replaces_and_leaves_nothing")],
    2: [(BUILDER, "test_story_2_nothing_is_published_before_the_first_proven_book")],
    3: [(BUILDER, "test_story_3_updates_survive_a_snapshot_that_is_too_old")],
    4: [
        (BUILDER, "test_story_4_the_first_update_straddles_the_snapshot"),
        (RECORDED, "test_the_spot_rule_fails_on_futures"),
        (RECORDED, "test_the_futures_rule_fails_on_spot"),
    ],
    5: [
        (BUILDER, "test_story_5_levels_beyond_the_snapshot_are_not_published"),
        (BUILDER, "test_a_deeper_snapshot_is_taken_before_the_sure_levels_run_out"),
    ],
    6: [
        ("venues/test_replacement.py", "test_nothing_is_missed_and_nothing_comes_twice"),
        ("sources/test_source.py", "test_a_connected_but_silent_feed_is_stale_and_leaves_a_gap"),
    ],
    7: [
        ("sources/test_connection.py", "test_pings_are_answered"),
        (
            "sources/test_source.py",
            "test_a_stalled_consumer_costs_neither_the_connection_nor_a_message",
        ),
    ],
    8: [
        (CONTRACT, "test_what_is_acknowledged_and_never_comes_is_told"),
        (HERE, "test_streams_of_binance_futures_are_asked_for_where_they_are_delivered"),
    ],
    9: [
        (CONTRACT, "test_what_the_venue_refuses_is_told"),
        (CONTRACT, "test_levels_that_the_venue_lacks_are_refused"),
    ],
    10: [
        (RECORDED, "test_every_checksum_of_kraken_matches"),
        (RECORDED, "test_checksums_of_floats_fail"),
        (HERE, "test_a_book_of_few_levels_has_a_checksum"),
    ],
    11: [(HERE, "test_a_wrong_checksum_costs_one_symbol_and_no_other")],
    12: [(RECORDED, "test_without_truncation_kraken_fails")],
    13: [(HERE, "test_all_books_and_both_sides_of_a_message_are_taken")],
    14: [
        (HERE, "test_a_dead_checksum_of_okx_is_passed_over"),
        (RECORDED, "test_old_checksums_of_okx_match"),
    ],
    15: [(BUILDER, "test_story_15_chains_have_two_exceptions")],
    16: [(CONTRACT, "test_books_are_the_exchanges_own_and_a_replay_is_the_same")],
    17: [(HERE, "test_what_needs_an_account_is_called_so")],
    18: [(HERE, "test_a_message_over_the_limit_is_called_so")],
    19: [
        ("venues/test_connections.py", "test_symbols_are_dealt_out_over_connections"),
        (CONTRACT, "test_a_lost_connection_is_a_gap_and_books_begin_anew"),
    ],
    20: [
        (CONTRACT, "test_a_place_that_is_not_served_ends_with_other_venues"),
        (HERE, "test_binance_is_asked_at_the_hosts_that_answer_in_most_places"),
    ],
    21: [(RECORDED, "test_sides_of_trades_are_the_aggressors")],
    22: [(BUILDER, "test_story_22_levels_come_in_any_order_and_unknown_ones_are_removed")],
    23: [
        (
            BUILDER,
            "test_story_23_a_book_that_stays_crossed_is_a_fault_and_story_27_for_a_moment_it_may_be",
        )
    ],
    24: [(BUILDER, "test_story_24_a_second_snapshot_sets_the_book_anew")],
    26: [
        ("venues/test_klines.py", "test_the_running_bar_is_left_out_also_by_a_fast_clock"),
        ("venues/test_klines.py", "test_missing_bars_are_stated_and_not_filled"),
    ],
    27: [
        (
            BUILDER,
            "test_story_23_a_book_that_stays_crossed_is_a_fault_and_story_27_for_a_moment_it_may_be",
        )
    ],
}
OPEN = {25: "an alarm on one symbol whose exchange time lags on a lively connection"}
"""Stories without a test, and what is missing."""


def test_every_story_has_a_test_that_exists_or_is_open():
    assert sorted([*STORIES, *OPEN]) == list(range(1, 28))
    for number, tests in STORIES.items():
        for path, name in tests:
            tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
            assert name in {getattr(node, "name", "") for node in tree.body}, (number, path, name)


def test_streams_of_binance_futures_are_asked_for_where_they_are_delivered():
    venue = venue_of("binance.futures")
    paths = {channel: venue.url(channel).removeprefix(venue.ws_url) for channel in venue.channels}
    assert paths["depth"] == "/public/stream"
    assert paths["trade"] == paths["ticker"] == "/market/stream"


def test_binance_is_asked_at_the_hosts_that_answer_in_most_places():
    assert VENUES["binance"].ws_url.endswith(".binance.vision")
    assert VENUES["binance"].rest_url.endswith(".binance.vision")


def kraken_book(symbol, bids, asks, kind="update", *, wrong=0, whole=None):
    """Return what a frame says of a book; its checksum is of `whole`, or of these levels."""
    sides = whole or (bids, asks)
    digits = "".join(
        f"{p}".replace(".", "").lstrip("0") + f"{q}".replace(".", "").lstrip("0")
        for side in (sides[1], sides[0])
        for p, q in side
    )
    rows = [",".join(f'{{"price":{p},"qty":{q}}}' for p, q in side) for side in (bids, asks)]
    return (
        f'{{"symbol":"{symbol}","bids":[{rows[0]}],"asks":[{rows[1]}],'
        f'"checksum":{crc32(digits.encode()) + wrong},"timestamp":"2026-08-24T00:00:00.000001Z"}}'
    )


def frame(kind, *books):
    return f'{{"channel":"book","type":"{kind}","data":[{",".join(books)}]}}'.encode()


def kraken():
    natives = {"BTC/USD": "BTC/USD", "ETH/USD": "ETH/USD"}
    return venue_of("kraken").assembler(natives, 10, 10)


def test_a_book_of_few_levels_has_a_checksum():
    book = OrderBook()
    book.bids.replace([(99.5, 1.0)], [b"995100"])
    book.asks.replace([(100.5, 0.25)], [b"100525"])
    assert crc32_of_best(book) == crc32(b"100525995100")


def test_a_wrong_checksum_costs_one_symbol_and_no_other():
    a = kraken()
    bids, asks = [("99.5", "1.00")], [("100.5", "0.25")]
    for symbol in ("BTC/USD", "ETH/USD"):
        a.take(frame("snapshot", kraken_book(symbol, bids, asks)), 1)
    outputs = a.take(frame("update", kraken_book("BTC/USD", [], [], wrong=1)), 2)
    assert [o.symbol for o in outputs if isinstance(o, Wanted)] == ["BTC/USD"]
    assert a.builders["BTC/USD"].reason.startswith("checksum: expected ")
    assert a.builders["ETH/USD"].state == "in step"


def test_all_books_and_both_sides_of_a_message_are_taken():
    a = kraken()
    bids, asks = [("99.5", "1.00")], [("100.5", "0.25")]
    a.take(frame("snapshot", *(kraken_book(s, bids, asks) for s in ("BTC/USD", "ETH/USD"))), 1)
    bids, asks = [("99.5", "2.00")], [("100.5", "3.00")]
    books = a.take(
        frame("update", *(kraken_book(s, bids, asks) for s in ("ETH/USD", "BTC/USD"))), 2
    )
    told = [json.loads(book) for book in books]
    assert [book["symbol"] for book in told] == ["ETH/USD", "BTC/USD"]
    assert all((b["bids"], b["asks"]) == ([[99.5, 2.0]], [[100.5, 3.0]]) for b in told)


def test_a_dead_checksum_of_okx_is_passed_over():
    for checksum in (0, None):
        update = BookUpdate("BTC-USDT", [], [], last=2, previous=1, checksum=checksum)
        assert ChainWithChecksums().holds(update, OrderBook()) == ""


@pytest.mark.parametrize("code", ["60011", "64003"])
def test_what_needs_an_account_is_called_so(code):
    venue = venue_of("okx")
    wire = venue.wire(venue, {"BTC/USDT": "BTC-USDT"}, 400)
    said = {"event": "error", "code": code, "msg": "Please log in"}
    answer = wire.read_answer(json.dumps(said).encode(), "depth BTC/USDT")
    assert "it needs an account" in str(answer.error)
    assert "Please log in" in str(answer.error)


def test_a_message_over_the_limit_is_called_so():
    assert "a message over the limit" in ending((1009, ""), None)
    assert MAX_INCOMING_BYTES >= 16 << 20
