"""Books built of real frames: what is known of each recording, and mutants that fail."""

import json

import pytest

from mdkit.events import Gap
from mdkit.venues.assembly.assembler import Wanted
from mdkit.venues.assembly.rules import Checksums, PreviousRanges, SequenceRanges
from mdkit.venues.normalized.codec import NORMALIZED
from tests.venues.assembly.recorded_frames import assembler, frames, taken

KRAKEN = ("kraken", ["BTC/USD"])
SPOT = {
    "binance_spot_btcusdt": ["BTCUSDT"],
    "binance_spot_4_symbols": ["NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"],
    "binance_us_4_symbols": ["COMPUSDT", "OMGBUSD", "CRVUSDT", "ZRXUSDT"],
}
FUTURES = ["SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"]
OKX = ["BTC-USD-220527", "UNI-USD-SWAP", "BTC-USDT"]
# How often a symbol's best quote has the number of a book, by somebody else's count.
COMPARABLE = {
    "binance_spot_4_symbols": 26,
    "binance_us_4_symbols": 56,
}


def builders(a):
    return a.builders.values()


def test_every_checksum_of_kraken_matches(market):
    a = assembler(*KRAKEN, depth=25)
    outputs = taken(a, frames(market, "kraken_v2_btcusd"))
    (book,) = builders(a)
    assert (book.messages, book.faults, book.state) == (2052, 0, "in step")
    assert not [o for o in outputs if isinstance(o, Gap | Wanted)]
    assert a.counts == {"heartbeat": 51, "answer": 1, "book": 2052}


def test_every_checksum_matches_through_resubscribing(market):
    a = assembler(*KRAKEN, depth=10)
    taken(a, frames(market, "kraken_v2_btcusd_resubscribes"))
    (book,) = builders(a)
    assert (book.messages, book.faults, book.state) == (301, 0, "in step")


def test_without_truncation_kraken_fails(market):
    a = assembler(*KRAKEN, depth=25, truncates=False)
    taken(a, frames(market, "kraken_v2_btcusd"))
    (book,) = builders(a)
    assert book.faults == 1
    assert book.state == "out of step"
    assert book.reason.startswith("checksum: expected ")


def test_checksums_of_floats_fail(market):
    from zlib import crc32

    def of_floats(book):
        bids, asks = book.best(10)
        texts = [
            f"{price}".replace(".", "").lstrip("0") + f"{size}".replace(".", "").lstrip("0")
            for price, size in (*asks, *bids)
        ]
        return crc32("".join(texts).encode())

    a = assembler(*KRAKEN, depth=25, rule=lambda: Checksums(of_floats))
    taken(a, frames(market, "kraken_v2_btcusd"))
    (book,) = builders(a)
    assert book.books == 0
    assert book.faults >= 1


@pytest.mark.parametrize("name", SPOT)
def test_no_sequence_of_binance_breaks_and_its_own_quotes_agree(market, name):
    a = assembler("binance", SPOT[name])
    outputs = taken(a, frames(market, name))
    assert {book.state for book in builders(a)} == {"in step"}
    assert sum(book.faults for book in builders(a)) == 0
    assert not [o for o in outputs if isinstance(o, Gap)]
    compared = sum(book.quotes_compared for book in builders(a))
    assert compared == COMPARABLE.get(name, compared)
    assert compared > 0
    assert not any(book.book.crossing for book in builders(a))


def test_futures_follow_their_own_rule(market):
    a = assembler("binance.futures", FUTURES)
    taken(a, frames(market, "binance_futures_30s"))
    assert {book.state for book in builders(a)} == {"in step"}
    assert sum(book.faults for book in builders(a)) == 0
    assert sum(book.quotes_compared for book in builders(a)) > 0


def test_the_spot_rule_fails_on_futures(market):
    a = assembler("binance.futures", FUTURES, rule=SequenceRanges)
    taken(a, frames(market, "binance_futures_30s"))
    assert {book.state for book in builders(a)} == {"out of step"}


def test_the_futures_rule_fails_on_spot(market):
    a = assembler("binance", SPOT["binance_spot_btcusdt"], rule=PreviousRanges)
    taken(a, frames(market, "binance_spot_btcusdt"))
    (book,) = builders(a)
    assert book.faults >= 1
    assert book.books <= 1


def test_a_splice_that_takes_the_old_update_again_is_found(market):
    """With `<` for `<=`, an update that the snapshot holds already would be applied."""

    class Mutant(SequenceRanges):
        def is_old(self, update):
            return update.last < self.state[0]

    stream = list(frames(market, "binance_spot_btcusdt"))
    snapshot = next(raw for raw, _ in stream if raw.startswith(b'{"via":"rest"'))
    last = json.loads(snapshot)["body"]["lastUpdateId"]
    diffs = [raw for raw, _ in stream if b"@depth" in raw[:40]]
    straddling = next(d for d in diffs if json.loads(d)["data"]["u"] > last)
    first = json.loads(straddling)["data"]
    # The same, cut so that its last change is exactly the snapshot's.
    whole = {**first, "U": last, "u": last, "b": [["1.0", "9.0"]], "a": []}
    repeated = json.dumps({"stream": "btcusdt@depth@100ms", "data": whole}).encode()
    for rule, known in ((None, False), (Mutant, True)):
        a = assembler("binance", ["BTCUSDT"], rule=rule)
        for raw in (repeated, snapshot):
            a.take(raw, 1)
        (book,) = builders(a)
        assert (1.0 in dict(book.book.bids.best(5000))) is known


def test_old_checksums_of_okx_match(market):
    a = assembler("okx", OKX)
    taken(a, frames(market, "okx_2022"))
    assert sum(book.messages for book in builders(a)) == 290
    assert sum(book.faults for book in builders(a)) == 0


def test_books_of_hyperliquid_are_whole(market):
    a = assembler("hyperliquid", ["BTC"], depth=20)
    taken(a, frames(market, "hyperliquid_btc"))
    (book,) = builders(a)
    assert book.messages == 26
    assert book.sure_levels == 20


def test_sides_of_trades_are_the_aggressors(market):
    a = assembler("binance", ["BTCUSDT"])
    sides = {}
    for raw, ns in frames(market, "binance_spot_btcusdt"):
        for output in a.take(raw, ns):
            if isinstance(output, bytes) and output.startswith(b'{"type":"trade"'):
                (trade,) = NORMALIZED.decode(output, ns)
                maker_buys = json.loads(raw)["data"]["m"]
                sides.setdefault(maker_buys, set()).add(trade.side)
    assert sides == {True: {"sell"}, False: {"buy"}}


@pytest.mark.outer
@pytest.mark.parametrize("seed", range(8))
def test_every_loss_that_a_rule_can_see_is_seen(market, seed):
    """Updates dropped at random: each is found by the next one, and the book is right again."""
    import random

    stream = list(frames(market, "binance_spot_btcusdt"))
    snapshot = next(raw for raw, _ in stream if raw.startswith(b'{"via":"rest"'))
    chance = random.Random(seed)
    whole = assembler("binance", ["BTCUSDT"])
    a = assembler("binance", ["BTCUSDT"])
    lost = found = 0
    missing = False
    for raw, ns in stream:
        whole.take(raw, ns)
        is_diff = b"@depth" in raw[:40]
        if (
            is_diff
            and a.builders
            and a.builders["BTCUSDT"].state == "in step"
            and chance.random() < 0.02
        ):
            lost += not missing
            missing = True
            continue
        outputs = a.take(raw, ns)
        if is_diff and missing:
            assert a.builders["BTCUSDT"].state == "out of step"
            assert [o for o in outputs if isinstance(o, Wanted)]
            assert "sequence: expected U=" in a.builders["BTCUSDT"].reason
            found, missing = found + 1, False
            # A snapshot of this moment, which is the book of those that lost nothing.
            true = whole.builders["BTCUSDT"]
            bids, asks = true.book.best(1000)
            body = {
                "lastUpdateId": true.last,
                "bids": [[repr(p), repr(s)] for p, s in bids],
                "asks": [[repr(p), repr(s)] for p, s in asks],
            }
            head = snapshot[: snapshot.index(b'"body":') + len(b'"body":')]
            a.take(head + json.dumps(body).encode() + b"}", ns)
    assert lost
    assert found >= lost - 1
    if a.builders["BTCUSDT"].state == "in step" and not missing:
        assert a.builders["BTCUSDT"].book.best(50) == whole.builders["BTCUSDT"].book.best(50)


def test_lost_updates_of_kraken_are_seen_by_the_checksum(market):
    """A loss among the best ten is seen at once, and the next snapshot makes the book right."""
    stream = list(frames(market, "kraken_v2_btcusd"))
    snapshot = next(raw for raw, _ in stream if b'"snapshot"' in raw[:60] and b'"book"' in raw[:30])
    a = assembler(*KRAKEN, depth=25)
    gaps = []
    for number, (raw, ns) in enumerate(stream):
        if number == 500:
            continue
        gaps += [o for o in a.take(raw, ns) if isinstance(o, Gap)]
    (book,) = builders(a)
    if book.faults:
        assert book.state == "out of step"
        assert book.reason.startswith("checksum")
        outputs = a.take(snapshot, stream[-1][1])
        assert book.state == "in step"
        assert book.resyncs == 1
        gaps += [o for o in outputs if isinstance(o, Gap)]
        assert [gap.reason for gap in gaps] == [book.reason]


def test_a_frame_of_a_book_that_cannot_be_read_takes_books_out_of_step(market):
    a = assembler(*KRAKEN, depth=25)
    stream = list(frames(market, "kraken_v2_btcusd"))[:200]
    taken(a, stream)
    (book,) = builders(a)
    assert book.state == "in step"
    a.take(b'{"channel":"trade","type":"update","data":[{"symbol"', stream[-1][1])
    assert book.state == "in step"
    invalid, wanted = a.take(b'{"channel":"book","type":"update","data":[{"symbol"', stream[-1][1])
    assert invalid.startswith(b'{"type":"invalid"')
    assert wanted.symbol == "BTC/USD"
    assert book.reason.startswith("unreadable: ")
