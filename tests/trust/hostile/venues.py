"""What a public venue may send that means harm, in the dialects of Kraken and Binance.

`FRAMES[venue]` names lists of frames; `book(venue, price)` is one that is good.
"""

import asyncio
import zlib

from tests.trust.hostile.sockets import frame

MEGA = b"X" * 1_000_000
DEEP = b"[" * 10_000 + b"]" * 10_000
CONTROL = b"\\u001b[2J\\u202e\\u0000"
POSING = [
    b'{"type":"depth","symbol":"BTC/USD","bids":[[7,1]],"asks":[[8,1]],"ns":1}',
    b'{"type":"trade","symbol":"BTC/USD","trades":[[7,1,"buy","1",1]]}',
    b'{"type":"invalid","symbol":"BTC/USD","reason":"none","text":""}',
    b'{"mdkit":"feed","name":"kraken 1","venue":"okx","natives":{},"levels":1,"depth":1}',
    b'{"via":"rest","get":"//[","asked_ns":1,"body":{}}',
    b'{"rest":"depth","symbol":"BTC/USD","data":{"bids":[[7,1]],"asks":[[8,1]]}}',
]
"""What looks like mdkit's own messages, marks and records."""
NUMBERS = [
    b"1e999",
    b"-1",
    b"0",
    b'"nan"',
    b'"inf"',
    b'"one"',
    b"null",
    b"true",
    b"[1]",
    b"{}",
    b"1" * 5000,
    b'"0.%b1"' % (b"0" * 400_000),
]
"""What is no price; the last would be one, of 400,000 digits."""
WRONG = [b"null", b"0", b'"text"', b"{}", b"[]", b"[[]]", b"[null]", b"[1,2]", b"[{}]", DEEP]
"""What stands where something else belongs."""


def levels(count, text):
    """Return as many levels, the order being the one in which they are the most work to sort in."""
    return b",".join([text % number for number in range(count, 0, -1)])


# -- Kraken --------------------------------------------------------------------------------------


def kraken(bids, asks, checksum, *, kind=b"snapshot", symbol=b"BTC/USD", more=b""):
    """Return a frame of channel `book`."""
    return (
        b'{"channel":"book","type":"%b","data":[{"symbol":"%b","bids":[%b],"asks":[%b],'
        b'"checksum":%b%b}]}' % (kind, symbol, bids, asks, checksum, more)
    )


def _kraken_level(price, size=b"1"):
    return b'{"price":%b,"qty":%b}' % (price, size)


def kraken_book(price, **options):
    """Return a snapshot of one bid and one ask, a unit above it, with its checksum."""
    checksum = b"%d" % zlib.crc32(b"%d1%d1" % (price + 1, price))
    bid, ask = (_kraken_level(b"%d" % each) for each in (price, price + 1))
    return kraken(bid, ask, checksum, **options)


def _kraken_frames():
    good, other = _kraken_level(b"100"), _kraken_level(b"101")
    ack = b'{"method":"subscribe","success":true,"result":{"channel":"book","symbol":"%b"}}'
    error = b'{"method":"subscribe","success":false,"error":"%b","symbol":"%b"}'
    trade = b'{"symbol":"%b","side":"%b","price":%b,"qty":%b,"trade_id":%b,"timestamp":"%b"}'
    trades = b'{"channel":"trade","type":"update","data":[%b]}' % trade
    now = b"2026-11-01T00:00:00Z"
    return {
        "posing": POSING,
        "symbols": [
            *[kraken_book(50, symbol=b"%d%b" % (number, MEGA)) for number in range(8)],
            *[ack % (b"%d%b" % (number, MEGA)) for number in range(8)],
            trades % (MEGA, b"buy", b"1", b"1", b"1", now),
        ],
        "levels": [
            kraken(levels(n, b'{"price":%d,"qty":1}'), other, b"1") for n in (20_000, 400_000)
        ],
        "numbers": [
            frame
            for number in NUMBERS
            for frame in (
                kraken(_kraken_level(number), other, b"1"),
                kraken(good, _kraken_level(b"102", number), b"1"),
                trades % (b"BTC/USD", b"buy", number, b"1", b"1", now),
            )
        ],
        "counters": [
            kraken(good, other, b"9" * 4000),
            kraken(good, other, b"-" + b"9" * 30),
            trades % (b"BTC/USD", b"buy", b"1", b"1", b"9" * 4000, now),
        ],
        "times": [
            kraken_book(100, more=b',"timestamp":"%b"' % when)
            for when in (
                b"9999-12-31T23:59:59.999999Z",
                b"9999-12-31T23:59:59-23:59",
                b"0001-01-01T00:00:00+23:59",
            )
        ],
        "sides": [trades % (b"BTC/USD", side, b"1", b"1", b"1", now) for side in (CONTROL, MEGA)],
        "types": [
            *[b'{"channel":"%b","data":%b}' % (c, w) for c in CHANNELS for w in WRONG],
            *[b'{"method":"subscribe","result":%b}' % wrong for wrong in WRONG],
            *WRONG,
        ],
        "answers": [
            *[ack % b"BTC/USD"] * 5000,
            *[ack % (b"ODD%d/USD" % number) for number in range(5000)],
        ],
        "deep": [DEEP, b'{"x":%b}' % DEEP, b'{"channel":"book","data":[%b' % (b"[" * 10_000)],
        "changing": [
            # In and out of step, over and over.
            *[kraken_book(100), kraken(good, b"", b"1", kind=b"update")] * 500,
        ],
        "words": [error % (MEGA[:400_000], MEGA[:400_000]), error % (CONTROL, CONTROL)],
    }


CHANNELS = (b"book", b"trade", b"ticker", b"status", b"none")

# -- Binance ---------------------------------------------------------------------------------------


def binance(bids, asks, first, last):
    """Return a diff of BTCUSDT."""
    return (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT",'
        b'"U":%b,"u":%b,"b":[%b],"a":[%b]}}' % (first, last, bids, asks)
    )


def binance_snapshot(price, last):
    """Return the body of a book by REST, whose worst levels are far away."""
    sides = b'"bids":[["%d","1"],["1","1"]],"asks":[["%d","1"],["100000","1"]]' % (price, price + 1)
    return b'{"lastUpdateId":%d,%b}' % (last, sides)


def _binance_frames():
    good = b'["100","1"]'
    quote = (
        b'{"stream":"btcusdt@bookTicker","data":{"u":%b,"s":"BTCUSDT","b":"7","B":"1","a":"8",'
        b'"A":"1"}}'
    )
    return {
        "posing": [
            *POSING,
            b'{"via":"rest","get":"/api/v3/depth?symbol=BTCUSDT","asked_ns":1,"body":%b}'
            % binance_snapshot(50, 1),
        ],
        "symbols": [
            binance(good, b"", b"1", b"1").replace(b'"BTCUSDT"', b'"%d%b"' % (number, MEGA))
            for number in range(8)
        ],
        "levels": [
            binance(levels(count, b'["0.%d","1"]'), b"", b"%d" % number, b"%d" % number)
            for number, count in ((12, 20_000), (13, 400_000))
        ],
        "numbers": [binance(b'[%b,"1"]' % number, b"", b"1", b"1") for number in NUMBERS],
        "counters": [
            *[binance(good, b"", b"1", number) for number in (b"9" * 4000, b"9" * 30, b"-9")],
            *[quote % number for number in (b"9" * 4000, b"9" * 30, b"-9")],
            # Prices of moments that never come.
            *[quote % (b"%d" % number) for number in range(10_000_000, 10_005_000)],
        ],
        "types": [
            *[b'{"stream":"btcusdt@%b","data":%b}' % (s, w) for s in STREAMS for w in WRONG],
            *[b'{"result":%b,"id":1}' % wrong for wrong in WRONG],
            *WRONG,
        ],
        "answers": [b'{"result":null,"id":%d}' % number for number in range(10_000)],
        "deep": [DEEP, b'{"stream":"btcusdt@depth","data":%b}' % DEEP, b'{"x":%b}' % DEEP],
    }


STREAMS = (b"depth", b"trade", b"ticker", b"bookTicker", b"none")
FRAMES = {"kraken": _kraken_frames(), "binance": _binance_frames()}


def sends(before, frames, after):
    """Return what a `HostileServer` does: these, and nothing more."""

    async def talk(writer):
        for one in (*before, *frames, *after):
            writer.write(frame(one))
            await writer.drain()
        await asyncio.Event().wait()

    return talk


def repeats(one):
    """Return what a `HostileServer` does: say the same again and again."""

    async def talk(writer):
        while True:
            writer.write(frame(one))
            await writer.drain()
            await asyncio.sleep(0.01)

    return talk
