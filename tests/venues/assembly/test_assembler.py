"""What frames of one connection are to the books of others."""

import pytest

from mdkit.venues.assembly.parser import rest_frame
from mdkit.venues.registry import VENUES

LEVELS = b'"bids":[["10","1"]],"asks":[["11","1"]]'


def diff(symbol, number):
    return (
        b'{"stream":"%b@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"%b","U":%d,"u":%d,'
        b'"b":[["10","%d"]],"a":[]}}' % (symbol.lower(), symbol, number, number, number)
    )


def answer(symbol, body):
    return rest_frame(f"/api/v3/depth?symbol={symbol}&limit=1000", 1, body)


@pytest.mark.parametrize("body", [b"[]", b'{"lastUpdateId":1,"bids":[["nan","1"]],"asks":[]}'])
def test_an_answer_that_cannot_be_read_takes_no_book_out_of_step(body):
    a = VENUES["binance"].assembler({"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"}, 2, 1000)
    for symbol in (b"BTCUSDT", b"ETHUSDT"):
        a.take(diff(symbol, 11), 1)
    a.take(answer("BTCUSDT", b'{"lastUpdateId":10,%b}' % LEVELS), 2)
    assert a.builders["BTC/USDT"].state == "in step"
    a.take(answer("ETHUSDT", body), 3)
    assert a.builders["BTC/USDT"].state == "in step"
    assert a.builders["ETH/USDT"].wants_snapshot
    a.take(answer("ETHUSDT", b'{"lastUpdateId":10,%b}' % LEVELS), 4)
    assert a.builders["ETH/USDT"].state == "in step", "what came before the answer is kept"
