"""Coinbase's public REST: candles, newest first, products and the time."""

from __future__ import annotations

import time
from typing import Any

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.venues.dialect import Answer, Dialect, NotServed, answer
from mdkit.exchange.venues.klines import bars
from mdkit.exchange.venues.numbers import rfc3339, trimmed
from mdkit.history.intervals import FIXED_MS

_GRANULARITIES = {
    "ONE_MINUTE": "1m",
    "FIVE_MINUTE": "5m",
    "FIFTEEN_MINUTE": "15m",
    "THIRTY_MINUTE": "30m",
    "ONE_HOUR": "1h",
    "TWO_HOUR": "2h",
    "FOUR_HOUR": "4h",
    "SIX_HOUR": "6h",
    "ONE_DAY": "1d",
}
_MOST = 350


def server_time() -> Answer:
    """Return the venue's clock."""
    now = time.time_ns()
    return answer(
        {
            "iso": rfc3339(now, 0),
            "epochSeconds": str(now // 1_000_000_000),
            "epochMillis": str(now // 1_000_000),
        }
    )


async def candles(dialect: Dialect, name: str, params: dict[str, str]) -> Answer:
    """Return up to 350 bars of a range, newest first; those without a trade are missing."""
    spec = _find(dialect, name)
    interval = _GRANULARITIES.get(params.get("granularity", ""))
    if interval is None:
        raise _refusal("granularity must be one of " + ", ".join(_GRANULARITIES))
    start, end = _seconds(params, "start"), _seconds(params, "end")
    limit = min(_seconds(params, "limit", _MOST), _MOST)
    step = FIXED_MS.get(interval, 6 * FIXED_MS["1h"])
    if (end - start) * 1000 // step > _MOST:
        raise _refusal("number of candles requested should be less than 350")
    found = await bars(
        dialect.feed,
        spec.symbol,
        dialect.venue,
        interval,
        start=start * 1000,
        end=end * 1000,
        limit=limit,
        newest=True,
    )
    rows = []
    for bar in reversed(found):
        if not bar.volume:
            continue
        price = [
            trimmed(t * spec.step, spec.decimals) for t in (bar.low, bar.high, bar.open, bar.close)
        ]
        rows.append(
            {
                "start": str(bar.open_ms // 1000),
                **dict(zip(("low", "high", "open", "close"), price, strict=True)),
                "volume": trimmed(bar.volume, spec.size_decimals),
            }
        )
    return answer({"candles": rows})


def products(dialect: Dialect) -> Answer:
    """Return what is traded."""
    rows = [_product(dialect, spec) for spec in dialect.feed.instruments.values()]
    return answer({"products": rows, "num_products": len(rows)})


def product(dialect: Dialect, name: str) -> Answer:
    """Return one product."""
    return answer(_product(dialect, _find(dialect, name)))


def _product(dialect: Dialect, spec: Instrument) -> dict[str, Any]:
    base, _, quote = spec.symbol.partition("-")
    day = dialect.feed.day(spec.symbol)
    return {
        "product_id": spec.symbol,
        "price": trimmed(day.last * spec.step, spec.decimals),
        "volume_24h": trimmed(day.volume, spec.size_decimals),
        "base_increment": trimmed(1, spec.size_decimals),
        "quote_increment": trimmed(spec.step, spec.decimals),
        "base_min_size": trimmed(1, spec.size_decimals),
        "base_name": spec.name.partition(" /")[0],
        "quote_name": quote,
        "is_disabled": False,
        "status": "online",
        "trading_disabled": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "price_increment": trimmed(spec.step, spec.decimals),
    }


def _find(dialect: Dialect, name: str) -> Instrument:
    if not dialect.feed.admit(name):
        body = {
            "error": "NOT_FOUND",
            "error_details": "valid product_id is required",
            "message": "",
        }
        raise NotServed(answer(body, 404))
    return dialect.feed.instruments[name]


def _seconds(params: dict[str, str], name: str, default: int | None = None) -> int:
    text = params.get(name, "")
    if not text and default is not None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise _refusal(f"{name} must be a time in seconds since the epoch")
    return int(text)


def _refusal(details: str) -> NotServed:
    body = {"error": "INVALID_ARGUMENT", "error_details": details, "message": details}
    return NotServed(answer(body, 400))
