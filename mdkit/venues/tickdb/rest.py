"""TickDB's REST answers: parameters to a query, bytes to bars. Pure.

Every answer is an envelope `{"code":0,"message":"success","data":...}`. What the service does
not document is accepted either way: `data` as an object that holds `klines` or as a bare list,
decimal strings or numbers, further fields, any order.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.venues.reading.messages import BROKEN, why_broken
from mdkit.venues.rest.klines import Kline, impossible, invalid_bars, when

KLINE_PATH, DEPTH_PATH, TRADES_PATH = "/market/kline", "/market/depth", "/market/trades"
"""Appended to the REST base."""
MAX_KLINES = MAX_TRADES = 1000
"""The most bars, and trades, in one answer."""


class Answer(Struct):
    """The envelope around every answer. `code` 0 means success, whatever the HTTP status."""

    code: int = 0
    message: str = ""
    data: Raw = Raw(b"null")


class _Line(Struct, gc=False):
    """A bar on the wire. None is accepted here, to be named as a missing number later."""

    time: int | None = None
    timestamp: int | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = 0.0
    quote_volume: float | None = None


class _Series(Struct):
    klines: list[_Line]


class _Said(Struct):
    symbol: str | None = None


class _Whole(Struct):
    symbol: str | None = None
    data: _Said | list[Raw] | None = None


_read_answer = msgspec.json.Decoder(Answer, strict=False).decode
_read_lines = msgspec.json.Decoder(list[_Line], strict=False).decode
_read_series = msgspec.json.Decoder(_Series | None, strict=False).decode
_read_whole = msgspec.json.Decoder(_Whole).decode
_read_head = msgspec.json.Decoder(dict[str, Raw]).decode
_MOST_WORDS = 200


def kline_params(
    symbol: str,
    interval: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int = MAX_KLINES,
) -> dict[str, str]:
    """Return the query of `GET /v1/market/kline`; a time of None is left out."""
    params = {"symbol": symbol, "interval": interval, "limit": str(limit)}
    if start_ms is not None:
        params["start_time"] = str(start_ms)
    if end_ms is not None:
        params["end_time"] = str(end_ms)
    return params


def decode_answer(body: bytes) -> Answer:
    """Return the envelope; raise `InvalidMessage` when the bytes are not one."""
    try:
        return _read_answer(body)
    except BROKEN as error:
        raise InvalidMessage(f"not an answer of the service: {why_broken(error)}") from None


def decode_klines(data: bytes | Raw, about: str = "klines") -> list[Kline]:
    """Return the bars of an answer's `data`, in the order they stand there.

    `data` is an object that holds `klines`, a bare list, or null (no bars). Raises
    `InvalidMessage` when it is neither, and when bars cannot be true: a price that is missing
    or not finite, a negative volume, a high below or a low above the others. The message names
    `about` and the first such bars by their time. Bars with a price of 0 or below are given as
    they are: whether they can be true is for `mdkit.history.prices` to say.
    """
    lines = _lines(bytes(data), about)
    klines: list[Kline] = []
    wrong: list[str] = []
    for line in lines:
        reason = _wrong(line)
        if reason:
            wrong.append(f"{_when(line)}: {reason}")
            continue
        stamp = line.time if line.time is not None else line.timestamp
        klines.append(
            Kline(
                stamp,  # type: ignore[arg-type]
                line.open,  # type: ignore[arg-type]
                line.high,  # type: ignore[arg-type]
                line.low,  # type: ignore[arg-type]
                line.close,  # type: ignore[arg-type]
                line.volume or 0.0,
                line.quote_volume,
            )
        )
    if wrong:
        raise InvalidMessage(invalid_bars(about, wrong))
    return klines


def decode_answer_or_data(body: bytes, about: str) -> list[Kline]:
    """Return the bars of a whole answer, or of its `data` alone, as it may lie in a file.

    Raises `InvalidMessage` as `decode_klines` does, and for an answer that is an error.
    """
    if body.lstrip()[:1] != b"{":
        return decode_klines(body, about)
    try:
        head = _read_head(body)
    except BROKEN as error:
        raise InvalidMessage(f"{about}: {why_broken(error)}") from None
    if "code" in head:
        answer = decode_answer(body)
        if answer.code:
            raise InvalidMessage(
                f"{about} is the service's refusal {answer.code} "
                f'("{answer.message[:_MOST_WORDS]}") and holds no bars'
            )
    if "data" in head:
        return decode_klines(head["data"], about)
    return decode_klines(body, about)


def symbol_of(body: bytes) -> str | None:
    """Return the symbol that an answer, or its `data` alone, says it is about."""
    try:
        whole = _read_whole(body)
    except BROKEN:
        return None
    return whole.data.symbol if isinstance(whole.data, _Said) else whole.symbol


def _lines(data: bytes, about: str) -> list[_Line]:
    try:
        if data.lstrip()[:1] == b"[":
            return _read_lines(data)
        series = _read_series(data)
        return [] if series is None else series.klines
    except BROKEN as error:
        raise InvalidMessage(f"{about}: {why_broken(error)}") from None


def _when(line: _Line) -> str:
    stamp = line.time if line.time is not None else line.timestamp
    return when(stamp) if stamp is not None else "a bar without a time"


def _wrong(line: _Line) -> str:
    """Return why a bar cannot be true, or an empty text."""
    stamp = line.time if line.time is not None else line.timestamp
    return impossible(
        stamp, line.open, line.high, line.low, line.close, line.volume, line.quote_volume
    )
