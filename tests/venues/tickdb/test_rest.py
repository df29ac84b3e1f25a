"""REST answers: both shapes, strings or numbers, and bars that cannot be true are named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.errors import InvalidMessage
from mdkit.history.intervals import KLINE_INTERVALS
from mdkit.venues.rest.klines import Kline
from mdkit.venues.tickdb.rest import (
    decode_answer,
    decode_answer_or_data,
    decode_klines,
    kline_params,
    symbol_of,
)

GOOD = {
    "time": 1_735_689_600_000,
    "open": 2.0,
    "high": 4.0,
    "low": 1.0,
    "close": 3.0,
    "volume": 5.0,
}
KLINE = Kline(1_735_689_600_000, 2.0, 4.0, 1.0, 3.0, 5.0, None)


def test_parameters_leave_out_what_is_not_asked():
    assert kline_params("A.US", "1h") == {"symbol": "A.US", "interval": "1h", "limit": "1000"}
    assert kline_params("A.US", "1h", start_ms=0, end_ms=5, limit=7) == {
        "symbol": "A.US",
        "interval": "1h",
        "limit": "7",
        "start_time": "0",
        "end_time": "5",
    }
    assert KLINE_INTERVALS == ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w", "1M")


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_both_shapes_and_both_kinds_of_numbers(bare, text):
    row = {k: str(v) if text else v for k, v in GOOD.items()}
    row["unheard_of"] = [{"x": None}]
    data = [row] if bare else {"symbol": "A.US", "klines": [row], "more": 1}
    body = json.dumps({"code": 0, "message": "success", "data": data, "trace": "x"}).encode()
    answer = decode_answer(body)
    assert (answer.code, answer.message) == (0, "success")
    assert decode_klines(answer.data) == [KLINE]
    assert decode_answer_or_data(body, "x") == [KLINE]
    assert decode_answer_or_data(json.dumps(data).encode(), "x") == [KLINE]
    assert symbol_of(body) == (None if bare else "A.US")


def test_the_order_is_left_and_the_rest_is_optional():
    rows = [{**GOOD, "time": 9, "quote_volume": "7.5"}, {**GOOD, "time": 5}]
    del rows[1]["volume"]
    first, second = decode_klines(json.dumps(rows).encode())
    assert (first.time, first.quote_volume) == (9, 7.5)
    assert (second.time, second.volume, second.quote_volume) == (5, 0.0, None)
    stamped = {**{k: v for k, v in GOOD.items() if k != "time"}, "timestamp": 3}
    assert decode_klines(json.dumps([stamped]).encode())[0].time == 3


def test_no_data_is_no_bars():
    assert decode_klines(b"null") == []
    assert decode_klines(b"[]") == []
    assert decode_klines(b'{"klines":[]}') == []
    assert bytes(decode_answer(b'{"code":2002,"message":"no"}').data) == b"null"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"open": "nan"}, "open is nan"),
        ({"high": "inf"}, "high is inf"),
        ({"close": None}, "close is missing"),
        ({"volume": -5}, "volume is -5"),
        ({"volume": "nan"}, "volume is nan"),
        ({"quote_volume": "-inf"}, "quote_volume is -inf"),
        ({"high": 0.5}, "high 0.5 is below low 1"),
        ({"high": 2.5}, "high 2.5 is below open 2 or close 3"),
        ({"low": 2.5}, "low 2.5 is above open 2 or close 3"),
        ({"time": None}, "a bar without a time"),
        ({"time": -1}, "not in milliseconds"),
        ({"time": 10**18}, "not in milliseconds"),
    ],
)
def test_a_bar_that_cannot_be_true_is_named(change, said):
    with pytest.raises(InvalidMessage, match=said) as caught:
        decode_klines(json.dumps([GOOD, {**GOOD, **change}]).encode(), "A.US 1h")
    assert str(caught.value).startswith("A.US 1h: invalid bar: ")
    if "time" not in change:
        assert "2025-01-01 00:00 UTC" in str(caught.value)


def test_bars_with_prices_of_0_and_below_are_left_to_the_caller():
    rows = [GOOD, {**GOOD, "low": -1, "close": 0}, {**GOOD, "time": 9}]
    assert [kline.low for kline in decode_klines(json.dumps(rows).encode())] == [1.0, -1.0, 1.0]


@pytest.mark.parametrize("data", [b"", b',"data":null', b',"data":{"klines":[]}'])
def test_a_saved_refusal_holds_no_bars(data):
    body = b'{"code":2002,"message":"unknown symbol"' + data + b"}"
    with pytest.raises(InvalidMessage, match=r'x is the service\'s refusal 2002 \("unknown'):
        decode_answer_or_data(body, "x")


def test_the_first_few_of_many_are_named():
    rows = [{**GOOD, "time": i * 60_000, "high": 0.1} for i in range(10)]
    with pytest.raises(InvalidMessage, match=r"10 invalid bars: .*00:00 UTC.*00:02 .* and 7 more"):
        decode_klines(json.dumps(rows).encode())


@pytest.mark.parametrize(
    "data",
    [
        b'"text"',
        b"5",
        b"{}",
        b'{"klines":5}',
        b"[5]",
        b"[[1,2]]",
        b"[{",
        b"",
        b"\xff",
        b'[{"time":"x"}]',
        b"[" * 100_000,
    ],
)
def test_other_shapes_are_refused(data):
    with pytest.raises(InvalidMessage):
        decode_klines(data)
    if not data.endswith(b"}"):
        with pytest.raises(InvalidMessage):
            decode_answer(data)


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_bars_or_refused(data):
    for read in (decode_klines, lambda raw: decode_answer_or_data(raw, "x")):
        try:
            assert isinstance(read(data), list)
        except InvalidMessage:
            pass
