"""How each public venue's REST service is asked, and what its answers mean: recorded ones too."""

import gzip
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from mdkit.errors import (
    InvalidMessage,
    RateLimitError,
    RequestError,
    ServerError,
    SettingsError,
)
from mdkit.venues.binance.rest import FUTURES, SPOT, US
from mdkit.venues.rest.api import UnknownSymbol
from mdkit.venues.rest.public import PublicRest
from mdkit.venues.services import SERVICES, service_of

MINUTE = 60_000
NOW = 1_780_000_020_000
ALL = pytest.mark.parametrize("api", SERVICES.values(), ids=SERVICES)


def read(api, body, status=200, retry_after=None):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.read(text, status, "klines BTC/USD 1h", retry_after)


def recorded(market):
    """Yield (path, query, body) of each recorded call."""
    with gzip.open(market / "venues" / "binance_klines_rest.jsonl.gz", "rt") as lines:
        for line in lines:
            _, asked, body = line.rstrip("\n").split("\t")
            method, _, url = asked.partition(" ")
            assert method == "GET"
            parts = urlsplit(url)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            yield parts.path, query, body


def test_every_recorded_row_is_the_right_bar(market):
    seen = 0
    for path, _, body in recorded(market):
        if body.startswith("{"):
            continue
        api = SPOT if path.startswith("/api/") else FUTURES
        bars = api.read_klines(api.read(body.encode(), 200, path, None), path)
        rows = json.loads(body)
        assert len(bars) == len(rows)
        for bar, row in zip(bars, rows, strict=True):
            seen += 1
            assert bar.time == row[0]
            assert row[6] > bar.time  # its own close time, by the same unit
            figures = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume)
            assert figures == tuple(map(float, (*row[1:6], row[7])))
    assert seen > 2000


def test_the_recorded_error_is_told_with_its_code_and_words(market):
    errors = [(path, body) for path, _, body in recorded(market) if body.startswith("{")]
    assert len(errors) == 1
    for status in (200, 400):
        with pytest.raises(RequestError, match="Maximum time interval is 200 days") as caught:
            FUTURES.read(errors[0][1].encode(), status, "klines", None)
        assert caught.value.code == -4088
    with pytest.raises(InvalidMessage, match="a refusal and holds no bars"):
        FUTURES.read_saved(errors[0][1].encode(), "file.json")


def test_requests_are_those_that_were_recorded(market):
    """What mdkit asks for a recorded stretch names it as the recorded call did."""
    asked = 0
    for path, query, body in recorded(market):
        if "startTime" not in query or len(query["startTime"]) < 13 or path.startswith("/dapi"):
            continue
        api = SPOT if path.startswith("/api/") else FUTURES
        start, end = int(query["startTime"]), int(query["endTime"])
        request = api.klines("BTC/USDT", query["interval"], start, end + 1, 1000)
        assert request.path == path
        for name in ("symbol", "interval", "endTime"):
            assert request.params[name] == query[name]
        assert int(request.params["startTime"]) == start
        assert all(row[0] >= start for row in json.loads(body))
        asked += 1
    assert asked >= 6


@ALL
def test_requests_take_any_form_of_a_symbol(api):
    quote = "USDT" if "binance" in api.venue or api.venue == "okx" else "USD"
    forms = (f"BTC/{quote}", f"BTC-{quote}", f"BTC{quote}")
    for ask in (
        lambda symbol: api.klines(symbol, "1h", NOW - 1000 * MINUTE, NOW, 10),
        lambda symbol: api.depth(symbol, 10),
        lambda symbol: api.trades(symbol, 10),
    ):
        requests = {str(ask(form)) for form in forms}
        assert len(requests) == 1
        with pytest.raises(SettingsError, match="is not a symbol"):
            ask("BTC//USD")


@pytest.mark.parametrize(
    ("api", "path", "steps"),
    [
        (SPOT, "/api/v3/depth", {1: 5, 10: 10, 11: 20, 101: 500, 1000: 1000, 1001: 5000}),
        (US, "/api/v3/depth", {100: 100, 5000: 5000}),
        (FUTURES, "/fapi/v1/depth", {1: 5, 50: 50, 51: 100, 501: 1000}),
    ],
    ids=["spot", "us", "futures"],
)
def test_levels_are_rounded_up_to_what_the_venue_allows(api, path, steps):
    for levels, limit in steps.items():
        request = api.depth("BTC/USDT", levels)
        assert request == (path, {"symbol": "BTCUSDT", "limit": str(limit)}, None)
    with pytest.raises(RequestError, match="gives at most"):
        api.depth("BTC/USDT", 5001)


def test_hyperliquid_is_posted_to():
    request = SERVICES["hyperliquid"].klines("BTC", "1h", NOW - 1000, NOW, 10)
    assert request.path == "/info"
    assert json.loads(request.body) == {
        "type": "candleSnapshot",
        "req": {"coin": "BTC", "interval": "1h", "startTime": NOW - 1000, "endTime": NOW},
    }


def test_coinbase_is_never_asked_for_more_than_300_bars():
    api = SERVICES["coinbase"]
    params = api.klines("BTC/USD", "1m", 1_600_000_000_000, NOW, 1000).params
    assert int(params["end"]) == NOW // 1000 - 1
    assert int(params["start"]) == NOW // 1000 - 300 * 60
    assert params["limit"] == "300"


REFUSALS = [
    ("kraken", 200, {"error": ["EQuery:Unknown asset pair"]}, UnknownSymbol),
    ("kraken", 200, {"error": ["EAPI:Rate limit exceeded"]}, RateLimitError),
    ("kraken", 200, {"error": ["EGeneral:Too many requests"]}, RateLimitError),
    ("kraken", 200, {"error": ["EService:Unavailable"]}, ServerError),
    ("kraken", 200, {"error": ["EGeneral:Invalid arguments"]}, RequestError),
    ("binance", 400, {"code": -1121, "msg": "Invalid symbol."}, UnknownSymbol),
    ("binance", 400, {"code": -1120, "msg": "Invalid interval."}, RequestError),
    ("binance", 429, {"code": -1003, "msg": "Too many requests"}, RateLimitError),
    ("binance", 503, b"<html>", ServerError),
    ("binance.futures", 400, {"code": -1001, "msg": "Internal error"}, ServerError),
    ("coinbase", 404, {"error": "NOT_FOUND", "message": "no such product"}, UnknownSymbol),
    ("coinbase", 400, {"error": "INVALID_ARGUMENT", "message": "too many"}, RequestError),
    ("coinbase", 429, {"message": "Public rate limit exceeded"}, RateLimitError),
    ("hyperliquid", 500, None, UnknownSymbol),
    ("hyperliquid", 422, "Failed to deserialize the JSON body", RequestError),
    ("hyperliquid", 502, b"bad gateway", ServerError),
    ("okx", 200, {"code": "51001", "msg": "doesn't exist", "data": []}, UnknownSymbol),
    ("okx", 429, {"code": "50011", "msg": "Too Many Requests"}, RateLimitError),
    ("okx", 503, {"code": "50001", "msg": "Service temporarily unavailable"}, ServerError),
    ("okx", 400, {"code": "51000", "msg": "Parameter bar error"}, RequestError),
]


@pytest.mark.parametrize(("venue", "status", "body", "kind"), REFUSALS)
def test_refusals_are_the_errors_that_they_mean(venue, status, body, kind):
    api = SERVICES[venue]
    with pytest.raises(kind) as caught:
        read(api, body, status)
    assert type(caught.value) is kind
    said = str(caught.value)
    assert api.title in said
    assert "klines BTC/USD 1h" in said
    if isinstance(body, dict):
        words = body.get("msg") or body.get("message") or body["error"][0]
        assert words.rstrip(".") in said


@ALL
def test_what_is_no_answer_is_invalid_and_not_empty(api):
    for body in (b"", b"<html>", b'{"x":', b"\xff\xfe"):
        with pytest.raises(InvalidMessage):
            read(api, body)
    for data in (b"[[1]]", b'{"klines": 1}', b"7", b"[null]", b'[["a","b","c","d","e","f"]]'):
        with pytest.raises(InvalidMessage):
            api.read_klines(data, "klines")


@ALL
def test_a_refusal_cannot_write_to_the_terminal(api):
    evil = "\x1b[31mred\u202e"
    body = {
        "error": [evil],
        "code": -1 if "binance" in api.venue else "9",
        "msg": evil,
        "message": evil,
    }
    with pytest.raises(RequestError) as caught:
        read(api, evil if api.venue == "hyperliquid" else body, 400)
    assert str(caught.value).isprintable()


def _row(api, **figures):
    """Return the data of an answer with one complete bar."""
    values = {"time": NOW, "open": 2, "high": 4, "low": 1, "close": 3, "volume": 5} | figures
    columns = api.columns._asdict()
    unit = columns.pop("unit")
    values["time"] //= unit
    if isinstance(columns["time"], str):
        row = {columns[name]: value for name, value in values.items()}
        return {"candles": [row]} if api.venue == "coinbase" else [row]
    row = ["1"] * 12
    for name, value in values.items():
        row[columns[name]] = value
    return {"X": [row, row], "last": 0} if api.venue == "kraken" else [row]


@ALL
def test_bars_that_cannot_be_true_are_named(api):
    good = api.read_klines(json.dumps(_row(api)).encode(), "klines")
    (bar,) = good
    assert (bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume) == (NOW, 2, 4, 1, 3, 5)
    for figures, said in (
        ({"high": 2.5}, "high 2.5 is below"),
        ({"low": 2.5}, "low 2.5 is above"),
        ({"volume": -1}, "volume is -1"),
        ({"close": "nan"}, "close is nan"),
    ):
        with pytest.raises(InvalidMessage, match=said):
            api.read_klines(json.dumps(_row(api, **figures)).encode(), "klines")


def test_krakens_last_row_and_okxs_unconfirmed_one_are_bars_that_still_form():
    rows = [[1_780_000_000 + 60 * i, "2", "4", "1", "3", "2", "5", 7] for i in range(3)]
    data = json.dumps({"XXBTZUSD": rows, "last": rows[1][0]}).encode()
    starts = [bar.time for bar in SERVICES["kraken"].read_klines(data, "klines")]
    assert starts == [1_780_000_000_000, 1_780_000_060_000]
    rows = [[str(NOW - 60_000 * i), *"241355", "9", "1" if i else "0"] for i in range(3)]
    rows = [[*row[:6], "5", *row[7:]] for row in rows]
    starts = [bar.time for bar in SERVICES["okx"].read_klines(json.dumps(rows).encode(), "klines")]
    assert starts == [NOW - 60_000, NOW - 120_000]


INSTRUMENTS = {
    "kraken": (
        {
            "XXBTZUSD": {"wsname": "XBT/USD", "status": "online"},
            "A": {"wsname": "A/USD", "status": "x"},
        },
        ("BTC/USD",),
    ),
    "binance.futures": (
        {
            "symbols": [
                {
                    "symbol": f"BTCUSDT{end}",
                    "status": status,
                    "baseAsset": "BTC",
                    "quoteAsset": "USDT",
                    "contractType": kind,
                }
                for end, status, kind in (
                    ("", "TRADING", "PERPETUAL"),
                    ("_260626", "TRADING", "CURRENT_QUARTER"),
                    ("_250328", "SETTLING", "CURRENT_QUARTER"),
                )
            ]
        },
        ("BTC/USDT", "BTCUSDT_260626"),
    ),
    "coinbase": (
        {"products": [{"product_id": "BTC-USD"}, {"product_id": "X-USD", "is_disabled": True}]},
        ("BTC/USD",),
    ),
    "hyperliquid": (
        {"universe": [{"name": "BTC"}, {"name": "kPEPE"}, {"name": "MATIC", "isDelisted": True}]},
        ("BTC/USD", "KPEPE/USD"),
    ),
    "okx": (
        [{"instId": "BTC-USDT-SWAP", "state": "live"}, {"instId": "X-USDT", "state": "suspend"}],
        ("BTC-USDT-SWAP",),
    ),
}


@pytest.mark.parametrize("venue", INSTRUMENTS)
def test_instruments_that_trade_come_in_the_common_form(venue):
    data, names = INSTRUMENTS[venue]
    assert SERVICES[venue].read_instruments(json.dumps(data).encode()) == names
    with pytest.raises(InvalidMessage):
        SERVICES[venue].read_instruments(b"7")


@pytest.mark.parametrize("odd", ["X" * 100_000, "\x1b[2J", "", "A B"])
def test_instruments_without_a_possible_name_are_left_out(odd):
    good = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
    data = {"symbols": [good | {"baseAsset": odd}, good]}
    assert SPOT.read_instruments(json.dumps(data).encode()) == ("BTC/USDT",)


@pytest.mark.parametrize("odd", ["1" + "0" * 400, '"now"', "null", "[]"])
def test_a_time_that_is_none_is_no_time(odd):
    assert SPOT.read_time(b'{"serverTime":1780000000000}') == 1_780_000_000
    assert SPOT.read_time(b'{"serverTime":%b}' % odd.encode()) is None


def test_okx_lists_the_kind_of_the_symbol():
    kinds = {"": "SPOT", "BTC/USDT": "SPOT", "BTC-USDT-SWAP": "SWAP", "BTC-USD-241227": "FUTURES"}
    for symbol, kind in kinds.items():
        assert SERVICES["okx"].instruments(symbol).params == {"instType": kind}


@ALL
def test_answers_as_messages_name_their_symbol(api):
    symbol = "BTC/USDT" if "binance" in api.venue or api.venue == "okx" else "BTC/USD"
    own = api.names.native(symbol)
    message = json.loads(api.message("depth", own, b'{"bids":[["1.10","2"]]}'))
    assert message == {"rest": "depth", "symbol": symbol, "data": {"bids": [["1.10", "2"]]}}
    # The numbers keep their text.
    assert b"1.10" in api.message("depth", own, b'{"bids":[[1.10,2]]}')


def test_an_unknown_venue_is_told_with_near_ones():
    with pytest.raises(SettingsError, match=r"no venue 'krakn'.*'kraken'"):
        service_of("krakn")
    assert all(isinstance(api, PublicRest) for api in SERVICES.values())
