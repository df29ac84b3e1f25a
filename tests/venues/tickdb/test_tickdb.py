"""Both dialects, there and back; and whatever bytes come, only `InvalidMessage` comes out."""

import json
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdkit.errors import InvalidMessage
from mdkit.events import Depth, Gap, Ticker, Trade
from mdkit.venues.routes import ANSWER, SEVERAL, UNREADABLE, SomeEvents
from mdkit.venues.tickdb import TickdbRouter as Router
from mdkit.venues.tickdb import commands, decode, encode
from mdkit.venues.tickdb import router as router_module

DIALECTS = ("realtime", "flat")
prices = st.floats(min_value=5e-324, allow_infinity=False, allow_nan=False)
sizes = st.floats(min_value=0.0, allow_infinity=False, allow_nan=False)
level_sizes = st.floats(min_value=5e-324, allow_infinity=False, allow_nan=False)
figures = st.none() | st.floats(allow_infinity=False, allow_nan=False)
symbols = st.sampled_from(["AAPL.US", "700.HK", "BTCUSDT", "BU2609"]) | st.text(
    st.characters(exclude_categories=["Cs"]).filter(str.isprintable), min_size=1, max_size=64
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
millis = st.integers(0, 9_223_372_036_854).map(lambda ms: ms * 1_000_000)


@st.composite
def books(draw):
    ladder = sorted(draw(st.lists(prices, max_size=12, unique=True)))
    cut = draw(st.integers(0, len(ladder)))
    bids = tuple((price, draw(level_sizes)) for price in reversed(ladder[:cut]))
    asks = tuple((price, draw(level_sizes)) for price in ladder[cut:])
    return Depth(draw(symbols), bids, asks, draw(millis))


trades = st.builds(Trade, symbols, prices, sizes, texts, texts, millis)
tickers = st.builds(
    Ticker,
    symbols,
    prices,
    *[figures] * 7,
    st.none() | st.sampled_from(["pre_market", "null", "None", ""]) | texts,
    millis,
)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(event=books() | trades | tickers)
@example(event=Ticker("A", 1.0, trade_session="null"))
def test_what_is_encoded_decodes_to_the_same_event(dialect, event):
    assert decode(encode(event, dialect)) == (event,)


@pytest.mark.outer
@given(st.lists(trades, min_size=1, max_size=20), symbols)
def test_several_trades_share_a_realtime_message(several, symbol):
    same = [Trade(symbol, t.price, t.size, t.side, t.id, t.exchange_ns) for t in several]
    assert decode(encode(same), 0) == tuple(same)


@given(event=books() | trades | tickers, stamp=st.integers(0, 2**62))
def test_the_time_of_receipt_is_the_one_given(event, stamp):
    (back,) = decode(encode(event), stamp)
    assert back.received_ns == stamp


def test_what_has_no_channel_is_not_encoded():
    with pytest.raises(InvalidMessage, match="Gap"):
        encode(Gap("A", "depth", "disconnect", 1, 2))
    with pytest.raises(InvalidMessage, match="0 trades"):
        encode([])
    with pytest.raises(InvalidMessage, match="1 trades"):
        encode([Trade("A", 1.0, 1.0)], "flat")


# -- the documentation's own examples ---------------------------------------------------------

BOOK = (
    b'{"cmd":"depth","data":{"symbol":"BTCUSDT","bids":[["43250.50","0.125"],["43250.00","1"]],'
    b'"asks":[["43251.00","0.180"]],"timestamp":1703123456789}}'
)
FLAT_BOOK = (
    b'{"type":"depth","symbol":"AAPL.US","bids":[[100.5,300],[100.4,50]],"asks":[[100.6,20]],'
    b'"timestamp":1703123456789}'
)
TRADES = (
    b'{"cmd":"trade","data":{"symbol":"700.HK","trades":['
    b'{"id":"20950","price":"553.000","quantity":"100","side":"buy","timestamp":1773371154000},'
    b'{"id":20951,"price":"553.200","quantity":"200","side":"sell","timestamp":1773371154001}]}}'
)
FUTURES = (
    b'{"cmd":"trade","data":{"symbol":"BU2609","price":"3250","quantity":"4","side":"neutral",'
    b'"open_interest_change":"-2","position_effect":"close","timestamp":1773371154000}}'
)
TICKER = (
    b'{"cmd":"ticker","data":{"symbol":"NVDA.US","last_price":"180.5","bid_price":"180.4",'
    b'"ask_price":"180.6","spread":"0.2","exchange":3,"volume_24h":"1000","trade_session":'
    b'"overnight","timestamp":1773371154000,"type":"stock"}}'
)
TICKERS = (
    b'{"cmd":"ticker","data":[{"symbol":"NVDA","last_price":"180.5","timestamp":1773371154000},'
    b'{"symbol":"700","last_price":"553","timestamp":1773371154000},'
    b'{"symbol":"NVDA","last_price":"180.6","timestamp":1773371154001}]}'
)
SUBSCRIBED = b'{"cmd":"subscribe","code":0,"message":"success","data":{"channel":"depth"}}'
PONG = b'{"cmd":"pong","code":0,"message":"pong","data":{"timestamp":1768976158541}}'
SAMPLES = [BOOK, FLAT_BOOK, TRADES, FUTURES, TICKER, TICKERS, SUBSCRIBED, PONG]


def test_depth_of_the_realtime_dialect():
    (book,) = decode(BOOK, 5)
    assert book == Depth(
        "BTCUSDT",
        ((43250.5, 0.125), (43250.0, 1.0)),
        ((43251.0, 0.18),),
        1703123456789_000_000,
        5,
    )


def test_depth_of_the_article_dialect():
    (book,) = decode(FLAT_BOOK)
    assert book.symbol == "AAPL.US"
    assert book.bids == ((100.5, 300.0), (100.4, 50.0))
    assert book.as_dict()["bids"][0] == [100.5, 300.0]


def test_several_trades_and_numbers_as_ids():
    first, second = decode(TRADES)
    assert (first.id, first.price, first.size, first.side) == ("20950", 553.0, 100.0, "buy")
    assert (second.id, second.side) == ("20951", "sell")


def test_a_flat_futures_trade_with_fields_nobody_knows():
    assert decode(FUTURES) == (Trade("BU2609", 3250.0, 4.0, "neutral", "", 1773371154000_000_000),)


def test_a_ticker_with_absent_and_unknown_fields():
    (ticker,) = decode(TICKER)
    assert (ticker.last, ticker.bid, ticker.ask) == (180.5, 180.4, 180.6)
    assert ticker.high_24h is None
    assert ticker.trade_session == "overnight"


def test_a_ticker_list_of_one_symbol_is_one_message():
    raw = b'{"cmd":"ticker","data":[{"symbol":"A","last_price":1},{"symbol":"A","last_price":2}]}'
    route = Router().route(raw)
    assert (route.channel, route.symbol) == ("ticker", "A")
    assert [event.last for event in route.decode(raw, 0)] == [1.0, 2.0]


def test_a_ticker_list_of_several_symbols_is_split_in_order():
    router = Router(["NVDA.US", "700.HK"])
    assert router.route(TICKERS) is SEVERAL
    parts = [(route.symbol, route.decode(raw, 0)[0].last) for route, raw in router.split(TICKERS)]
    assert parts == [("NVDA.US", 180.5), ("700.HK", 553.0), ("NVDA.US", 180.6)]
    assert [event.symbol for event in decode(TICKERS)] == ["NVDA", "700", "NVDA"]


def test_dropped_suffixes_are_put_back_only_when_that_is_unambiguous():
    router = Router(["700.HK", "NVDA.US", "1.HK", "1.SZ", "SPX", "SPX.US", "BTCUSDT"])
    back = {"700": "700.HK", "NVDA": "NVDA.US", "1": "1", "SPX": "SPX", "BTCUSDT": "BTCUSDT"}
    for sent, meant in back.items():
        for raw in (
            f'{{"cmd":"trade","data":{{"symbol":"{sent}","price":1,"quantity":1}}}}',
            f'{{"cmd":"trade","data":{{"price":1,"quantity":1,"symbol":"{sent}"}}}}',
            f'{{"type":"trade","symbol":"{sent}","price":1,"quantity":1}}',
        ):
            route = router.route(raw.encode())
            assert route.symbol == meant
            assert route.decode(raw.encode(), 0)[0].symbol == meant
    router.expect(["700.US"])
    raw = b'{"cmd":"trade","data":{"symbol":"700","price":1,"quantity":1}}'
    assert router.route(raw).symbol == "700.US"


def test_a_symbol_sent_as_a_number_is_its_text():
    raw = b'{"cmd":"trade","data":{"symbol":700,"price":1,"quantity":1}}'
    assert Router(["700.HK"]).route(raw).symbol == "700.HK"


@pytest.mark.parametrize("raw", [SUBSCRIBED, PONG, b'{"cmd":"error","code":4001,"message":"?"}'])
def test_answers_are_told_apart_and_are_not_data(raw):
    route = Router().route(raw)
    assert route.channel == ANSWER
    assert commands.read_answer(raw).cmd == json.loads(raw)["cmd"]
    with pytest.raises(InvalidMessage):
        route.decode(raw, 0)


def test_unknown_commands_are_named():
    route = Router().route(b'{"cmd":"news","data":{"symbol":"A"}}')
    assert route.channel == UNREADABLE
    with pytest.raises(InvalidMessage, match="unknown command: 'news'"):
        route.decode(b"", 0)


LEVELS = '{"cmd":"depth","data":{"symbol":"A","bids":%s,"asks":%s,"timestamp":1}}'


@pytest.mark.parametrize(
    ("bids", "asks", "reason"),
    [
        ('[["1","1"],["2","1"]]', "[]", "bids are not sorted"),
        ('[["2","1"],["2","1"]]', "[]", "bids are not sorted"),
        ("[]", '[["2","1"],["1","1"]]', "asks are not sorted"),
        ('[["3","1"]]', '[["2","1"]]', "crossed"),
        ('[["NaN","1"]]', "[]", "number|float|>"),
        ('[["Infinity","1"]]', "[]", "<="),
        ('[["1e999","1"]]', "[]", "number|out of range|<="),
        ('[["-1","1"]]', "[]", ">"),
        ('[["0","1"]]', "[]", ">"),
        ('[["1","-1"]]', "[]", ">="),
        ('[["1","nan"]]', "[]", "number|float|>"),
        ('[["1"]]', "[]", "length"),
        ('[["1","2","3"]]', "[]", "length"),
        ('[["one","1"]]', "[]", "float"),
        ("null", "[]", "array"),
        ("{}", "[]", "array"),
        ('[["1",null]]', "[]", "float"),
        ('[["1",true]]', "[]", "float"),
    ],
)
def test_books_that_cannot_be_are_refused_with_the_reason(bids, asks, reason):
    raw = (LEVELS % (bids, asks)).encode()
    assert Router().route(raw).symbol == "A"
    with pytest.raises(InvalidMessage, match=reason):
        decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b'"depth"',
        b"\xff\xfe",
        b'{"cmd":"depth"}',
        b'{"cmd":"depth","data":null}',
        b'{"cmd":"depth","data":[]}',
        b'{"cmd":"depth","data":{"symbol":""}}',
        b'{"cmd":"depth","data":{"symbol":"\xff"}}',
        b'{"cmd":"depth","data":{"symbol":["A"]}}',
        b'{"cmd":"ticker","data":[]}',
        b'{"cmd":"ticker","data":[1,2]}',
        b'{"cmd":"ticker","data":[{"symbol":"A"},{"symbol":"B"}]}',
        b'{"cmd":"trade","data":{"symbol":"A","trades":[]}}',
        b'{"cmd":"trade","data":{"symbol":"A","price":1}}',
        b'{"cmd":"depth","data":{"symbol":"A","bids":[],"asks":[],"timestamp":"soon"}}',
        b'{"cmd":"depth","data":{"symbol":"A","bids":[],"asks":[],"timestamp":-1}}',
        b'{"cmd":"depth","data":{"symbol":"A","bids":[],"asks":[],"timestamp":99999999999999999}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"cmd":"depth","data":{"symbol":"A","x":' + b"[" * 100_000,
        b'{"cmd":"depth","data":' + b'{"symbol":' * 100_000,
        BOOK.replace(b"43250.50", b"1" * 400),
        BOOK[:-1],
        BOOK + b"x",
        BOOK + BOOK,
        b"\xef\xbb\xbf" + BOOK,
    ],
)
def test_garbage_has_a_route_and_an_invalid_verdict(raw):
    assert _outcome(Router(), raw)[-1] == "invalid"
    assert _outcome(Router(["A", "A.US"]), raw)[-1] == "invalid"


def _outcome(router, raw):
    """Return (channel, symbol, what came of it); anything but `InvalidMessage` escapes."""
    route = router.route(raw)
    if route is SEVERAL:
        parts = [_outcome(router, part) for _, part in router.split(raw)]
        return (*parts, _events(lambda: decode(raw)))
    return route.channel, route.symbol, _events(lambda: route.decode(raw, 7))


def _events(call):
    try:
        events = call()
    except InvalidMessage as error:
        return "invalid" if str(error) else "invalid without a reason"
    assert events
    assert all(isinstance(event, Depth | Trade | Ticker) for event in events)
    return repr(events)


def _mutations():
    """Real messages with bytes cut out, changed, doubled or put elsewhere."""
    pieces = rb"""| , | " | { | } | [ | ] | \ | - | 1e999 | NaN | null | Infinity | "cmd":"trade",
        | "type":"depth", | "code":1, | "symbol":"B", | \u0041 | "data": | "code":"x",
        | "symbol":7,"""
    bits = st.sampled_from([b"\x00", b"\xff", *map(bytes.strip, pieces.split(b"|"))])
    cut = st.tuples(st.integers(0, 200), st.integers(0, 30), bits | st.binary(max_size=8))

    def apply(message, cuts):
        for at, length, put in cuts:
            at %= len(message) + 1
            message = message[:at] + put + message[at + length :]
        return message

    return st.builds(apply, st.sampled_from(SAMPLES), st.lists(cut, max_size=3))


def _loose_messages():
    """Well-formed JSON of the right shape, with anything in every place."""
    value = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats()
        | st.text(st.sampled_from(string.printable), max_size=5)
        | st.sampled_from(["1", "-1", "NaN", "inf", "1e400", "A", "A.US", "depth"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["symbol", "price", "x"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
    levels = st.lists(st.lists(value, max_size=3), max_size=3) | value
    names = st.sampled_from(["depth", "trade", "ticker", "pong", "kline", ""]) | value
    symbol = st.sampled_from(["A", "A.US", 700, ""]) | value
    body = st.fixed_dictionaries(
        {},
        optional={
            "symbol": symbol,
            "bids": levels,
            "asks": levels,
            "trades": value,
            "price": value,
            "quantity": value,
            "last_price": value,
            "timestamp": value,
        },
    )
    enveloped = st.fixed_dictionaries(
        {"cmd": names, "data": body | st.lists(body, max_size=3) | value},
        optional={"code": value, "type": value, "symbol": symbol},
    )
    flat = st.builds(lambda name, rest: {"type": name, **rest}, names, body)
    return (enveloped | flat).map(lambda message: json.dumps(message).encode())


hostile = st.binary(max_size=200) | _mutations() | _loose_messages()


@given(hostile)
def test_route_never_raises_and_decode_raises_only_invalid_message(raw):
    _outcome(Router(["A.US", "BTCUSDT", "AAPL.US", "700.HK"]), raw)


@given(st.sampled_from(SAMPLES), st.integers(0, 400))
def test_truncated_messages_are_invalid_or_whole(raw, length):
    if raw[:length] != raw and Router().route(raw[:length]).channel != ANSWER:
        assert _outcome(Router(), raw[:length])[-1] == "invalid"


expected = st.sampled_from([("A.US",), ("A", "B.US"), ("BTCUSDT", "AAPL.US", "700.HK", "7.HK"), ()])


@given(
    st.lists(hostile | st.sampled_from(SAMPLES), max_size=12),
    expected,
    st.none() | st.tuples(st.integers(0, 12), expected),
)
def test_a_router_that_has_learnt_agrees_with_a_fresh_one(messages, symbols, change):
    warm = Router(symbols)
    for number, raw in enumerate(messages):
        if change is not None and change[0] == number:
            symbols = change[1]
            warm.expect(symbols)
        learnt = _outcome(warm, raw)
        assert learnt == _outcome(Router(symbols), raw)
        assert learnt == _outcome(warm, raw)


def test_learnt_heads_do_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(router_module, "_MAX_LEARNT", 50)
    router = Router()
    for number in range(1000):
        router.route(b'{"cmd":"depth","data":{"symbol":"S%d","bids":[' % number)
        assert len(router._learnt) <= 50
        assert len(router._made) <= 50


# -- commands and URLs ------------------------------------------------------------------------


def test_commands_are_those_of_the_documentation():
    assert json.loads(
        commands.subscribe_command("depth", ["AAPL.US", "BTCUSDT"], market="stock")
    ) == {
        "cmd": "subscribe",
        "data": {"channel": "depth", "symbols": ["AAPL.US", "BTCUSDT"], "type": "stock"},
    }
    assert json.loads(commands.subscribe_command("trade", ["A"], cancel=True)) == {
        "cmd": "unsubscribe",
        "data": {"channel": "trade", "symbols": ["A"]},
    }
    assert json.loads(commands.PING_COMMAND) == {"cmd": "ping"}


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("wss://api.tickdb.ai/v1/realtime", "realtime"),
        ("wss://api.tickdb.ai/v1/market/ws", "flat"),
        ("wss://api.tickdb.ai/v1/market/ws/?channel=depth", "flat"),
        ("ws://127.0.0.1:8000", "realtime"),
    ],
)
def test_the_url_tells_the_dialect(url, dialect):
    assert commands.dialect_of(url) == dialect


def test_the_connection_url_of_each_dialect():
    pairs = [("depth", "A"), ("depth", "B&C"), ("trade", "A")]
    assert commands.connection_url("wss://h/v1/realtime", "realtime", "k", pairs) == (
        "wss://h/v1/realtime?api_key=k"
    )
    assert commands.connection_url("wss://h/p?x=1", "flat", None, pairs) == (
        "wss://h/p?x=1&channel=depth&channel=trade&symbol=A&symbol=B%26C"
    )
    assert commands.connection_url("wss://h/p", "realtime", None, pairs) == "wss://h/p"


def book_message(bids, asks, enveloped):
    body = {"symbol": "A", "bids": bids, "asks": asks, "timestamp": 5}
    whole = {"cmd": "depth", "data": body} if enveloped else {"type": "depth", **body}
    return json.dumps(whole).encode()


@pytest.mark.parametrize("enveloped", [True, False])
@pytest.mark.parametrize(
    ("bids", "asks", "left"),
    [
        ([["105", "0"], ["100", "1"]], [["106", "1"]], (((100.0, 1.0),), ((106.0, 1.0),))),
        ([["192", "0"], ["100", "1"]], [["106", "1"]], (((100.0, 1.0),), ((106.0, 1.0),))),
        (
            [["100", "1"], ["0", "0"]],
            [["1", "0"], ["106", "1"]],
            (((100.0, 1.0),), ((106.0, 1.0),)),
        ),
        ([["100", "1"], ["100", "0"]], [["-1", 0], [106, 1]], (((100.0, 1.0),), ((106.0, 1.0),))),
        ([["100", "0"]], [["101", "0.0"]], ((), ())),
    ],
)
def test_levels_of_size_0_are_no_levels(bids, asks, left, enveloped):
    (book,) = decode(book_message(bids, asks, enveloped))
    assert (book.bids, book.asks) == left
    assert book.exchange_ns == 5_000_000


@pytest.mark.parametrize(
    ("bids", "asks", "says"),
    [
        ([["0", "1"], ["0", "0"]], [], "> 0"),
        ([["100", "0"], ["99", "-1"]], [], ">= 0"),
        ([["100", "0"], ["98", "1"], ["99", "1"]], [], "not sorted"),
        ([["100", "0"], ["99", "1"]], [["98", "1"]], "crossed"),
        ([["nan", "0"]], [], "Expected"),
    ],
)
def test_what_else_is_wrong_with_a_book_is_wrong_beside_levels_of_size_0(bids, asks, says):
    for enveloped in (True, False):
        with pytest.raises(InvalidMessage, match=says):
            decode(book_message(bids, asks, enveloped))


def deals(*prices, enveloped=True):
    body = {
        "symbol": "A",
        "trades": [{"id": str(n), "price": p, "quantity": "1"} for n, p in enumerate(prices)],
    }
    whole = {"cmd": "trade", "data": body} if enveloped else {"type": "trade", **body}
    return json.dumps(whole).encode()


@pytest.mark.parametrize("enveloped", [True, False])
@pytest.mark.parametrize("bad", ["0", "-5", "nan", "inf", None, "x"])
def test_a_bad_trade_costs_one_trade_and_is_named(bad, enveloped):
    events = decode(deals("1", "2", bad, "4", bad, enveloped=enveloped))
    assert [trade.price for trade in events] == [1.0, 2.0, 4.0]
    assert type(events) is SomeEvents
    first, second = events.unusable
    assert first.startswith("trade 3 of 5: Expected ")
    assert second.startswith("trade 5 of 5: Expected ")


@pytest.mark.parametrize("raw", [deals("0"), deals("0", "x"), deals()[:-4], deals("0", "1")[:-4]])
def test_a_message_of_which_nothing_is_usable_is_invalid(raw):
    with pytest.raises(InvalidMessage):
        decode(raw)


def test_a_bad_ticker_of_several_costs_one_ticker():
    rows = [{"symbol": "A", "last_price": p} for p in ("1", "0", "3")]
    events = decode(json.dumps({"cmd": "ticker", "data": rows}).encode())
    assert [ticker.last for ticker in events] == [1.0, 3.0]
    assert events.unusable[0].startswith("ticker 2 of 3: ")
    assert type(decode(deals("1", "2"))) is tuple
