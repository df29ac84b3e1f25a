"""TickDB's REST service as a `RestApi`."""

from __future__ import annotations

from mdkit.errors import InvalidMessage, RequestError
from mdkit.venues.rest.api import KlineRules, Request
from mdkit.venues.rest.klines import Kline
from mdkit.venues.tickdb.codes import classify
from mdkit.venues.tickdb.encoding import rest_message
from mdkit.venues.tickdb.rest import (
    DEPTH_PATH,
    KLINE_PATH,
    MAX_KLINES,
    MAX_TRADES,
    TRADES_PATH,
    Answer,
    decode_answer,
    decode_answer_or_data,
    decode_klines,
    kline_params,
    symbol_of,
)

_UNKNOWN_SYMBOL = 2002


class TickdbRest:
    """What is asked of TickDB's REST service, and how; see `mdkit.venues.rest.api.RestApi`."""

    max_klines = MAX_KLINES
    max_trades = MAX_TRADES
    rules = KlineRules()

    def headers(self, api_key: str) -> dict[str, str]:
        """Return the header X-API-Key."""
        return {"X-API-Key": api_key}

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return the request for completed bars."""
        params = kline_params(symbol, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)
        return Request(KLINE_PATH, params)

    def depth(self, symbol: str, levels: int) -> Request:
        """Return the request for the current book."""
        return Request(DEPTH_PATH, {"symbol": symbol, "limit": str(levels)})

    def trades(self, symbol: str, limit: int) -> Request:
        """Return the request for the latest trades."""
        return Request(TRADES_PATH, {"symbol": symbol, "limit": str(limit)})

    def read(self, body: bytes, status: int, about: str, retry_after: float | None) -> bytes:
        """Return the `data` of the envelope that every answer is."""
        try:
            answer = decode_answer(body)
        except InvalidMessage:
            if status == 200:
                raise
            answer = Answer(code=0, message="")
        if status == 200 and not answer.code:
            return bytes(answer.data)
        refusal = classify(
            answer.code or None,
            http_status=status,
            message=answer.message,
            about=about,
            retry_after=retry_after,
        )
        if isinstance(refusal, RequestError) and refusal.code == _UNKNOWN_SYMBOL:
            raise RequestError(
                f"{refusal} Symbols are written like AAPL.US, 700.HK, EURUSD or BTCUSDT.",
                code=refusal.code,
            )
        raise refusal

    def read_klines(self, data: bytes, about: str) -> list[Kline]:
        """Return the bars of an answer, in the order they stand there."""
        return decode_klines(data, about)

    def message(self, channel: str, symbol: str, data: bytes) -> bytes:
        """Return an answer's data, which names its symbol, as a message."""
        return rest_message(channel, data)

    def read_saved(self, body: bytes, about: str) -> list[Kline]:
        """Return the bars of a saved answer; raise `InvalidMessage` for one that is an error."""
        return decode_answer_or_data(body, about)

    def symbol_of(self, body: bytes) -> str | None:
        """Return the symbol that a saved answer names."""
        return symbol_of(body)
