"""The messages that an assembler makes of recorded frames hold the best levels of its books."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from mdkit.venues.assembly.parser import rest_frame
from mdkit.venues.registry import VENUES

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "market" / "venues"


def frames(name):
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz") as file:
        for raw in file:
            ns, *rest = raw.rstrip(b"\n").split(b"\t")
            if rest[0].startswith(b"GET "):
                url = rest[0].decode().removeprefix("GET ")
                yield rest_frame(url.partition("://")[2].partition("/")[2], int(ns), rest[1]), 1
            elif rest[0] != b"SENT":
                yield rest[0], int(ns)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings of venues beside the repository")
@pytest.mark.parametrize(
    ("recording", "venue", "symbol", "depth", "books"),
    [
        ("kraken_v2_btcusd", "kraken", "BTC/USD", 25, 1_235),
        ("binance_spot_btcusdt", "binance", "BTCUSDT", 1000, 1_131),
    ],
)
def test_a_side_that_is_not_written_anew_is_the_books_all_the_same(
    recording, venue, symbol, depth, books
):
    assembler = VENUES[venue].assembler({symbol: symbol}, 10, depth)
    found = []
    for raw, ns in frames(recording):
        for output in assembler.take(raw, ns):
            if isinstance(output, bytes) and output.startswith(b'{"type":"depth"'):
                said = json.loads(output)
                bids, asks = assembler.builders[symbol].book.best(10)
                assert [tuple(level) for level in said["bids"]] == list(bids)
                assert [tuple(level) for level in said["asks"]] == list(asks)
                found.append((said["bids"], said["asks"]))
    assert len(found) == books
    # Neither side is the same in all of them, and mostly one of both is.
    pairs = list(pairwise(found))
    assert 0 < sum(one[0] != two[0] for one, two in pairs) < len(pairs)
    assert 0 < sum(one[1] != two[1] for one, two in pairs) < len(pairs)
    assert all(one != two for one, two in pairs)
