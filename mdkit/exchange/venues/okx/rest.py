"""OKX's public REST: candles, newest first and read backwards, instruments and the time."""

from __future__ import annotations

import time
from typing import Any

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.venues.dialect import Answer, Dialect, NotServed, answer
from mdkit.exchange.venues.klines import DAY_MS, HOUR_MS, bars
from mdkit.exchange.venues.numbers import trimmed
from mdkit.history.intervals import FIXED_MS

_BARS = {
    **{name: name for name in ("1m", "3m", "5m", "15m", "30m")},
    **{name: name.lower() for name in ("1H", "2H", "4H")},
    **{f"{name}utc": name.lower() for name in ("6H", "12H", "1D", "2D", "3D", "1W")},
    "1Mutc": "1M",
}
_OF_UTC_8 = ("6H", "12H", "1D", "2D", "3D", "1W")
"""Bars that begin with a day of UTC+8. "1M" of that time is not served here."""
_EIGHT_HOURS = 8 * HOUR_MS
_MONDAY = 3 * DAY_MS
_MOST = 300


def server_time() -> Answer:
    """Return the venue's clock."""
    return _data([{"ts": str(time.time_ns() // 1_000_000)}])


async def candles(dialect: Dialect, params: dict[str, str], latest: int | None) -> Answer:
    """Return bars older than `after` and newer than `before`, newest first.

    With `latest` nothing is older than so many bars. The ninth field is "0" for the running bar.
    """
    spec = _find(dialect, params)
    name = params.get("bar", "1m") or "1m"
    interval = _BARS.get(name, name.lower() if name in _OF_UTC_8 else "")
    if not interval:
        raise _refusal("51000", "Parameter bar error")
    after, before = _millis(params, "after"), _millis(params, "before")
    limit = min(_millis(params, "limit") or 100, _MOST)
    offset = 0
    if name in _OF_UTC_8:
        offset = _EIGHT_HOURS + (_MONDAY if name == "1W" else 0)
    found = await bars(
        dialect.feed,
        spec.symbol,
        dialect.venue,
        interval,
        end=None if after is None else after - 1,
        limit=limit,
        newest=True,
        offset_ms=offset,
    )
    oldest = 0
    if latest is not None:
        oldest = dialect.feed.now_ms - latest * FIXED_MS.get(interval, 31 * DAY_MS)
    rows = [
        [
            str(bar.open_ms),
            *[trimmed(t * spec.step, spec.decimals) for t in bar[2:6]],
            trimmed(bar.volume, spec.size_decimals),
            *[trimmed(bar.turnover * spec.step, spec.decimals + spec.size_decimals)] * 2,
            "1" if bar.is_closed else "0",
        ]
        for bar in reversed(found)
        if bar.open_ms > max(oldest, before or 0)
    ]
    return _data(rows)


def instruments(dialect: Dialect, params: dict[str, str]) -> Answer:
    """Return what is traded of a type: spot only."""
    kind = params.get("instType", "")
    if not kind:
        raise _refusal("50014", "Parameter instType can not be empty")
    named = params.get("instId")
    specs = [spec for spec in dialect.feed.instruments.values() if named in (None, spec.symbol)]
    return _data([_instrument(spec) for spec in specs] if kind == "SPOT" else [])


def _instrument(spec: Instrument) -> dict[str, Any]:
    base, _, quote = spec.symbol.partition("-")
    return {
        "instType": "SPOT",
        "instId": spec.symbol,
        "baseCcy": base,
        "quoteCcy": quote,
        "tickSz": trimmed(spec.step, spec.decimals),
        "lotSz": trimmed(1, spec.size_decimals),
        "minSz": trimmed(max(1, spec.size // 10_000), spec.size_decimals),
        "state": "live",
    }


def _find(dialect: Dialect, params: dict[str, str]) -> Instrument:
    name = params.get("instId", "")
    if not name:
        raise _refusal("50014", "Parameter instId can not be empty")
    if not dialect.feed.admit(name):
        raise _refusal("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    return dialect.feed.instruments[name]


def _millis(params: dict[str, str], name: str) -> int | None:
    text = params.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise _refusal("51000", f"Parameter {name} error")
    return int(text)


def _data(rows: list[Any]) -> Answer:
    return answer({"code": "0", "msg": "", "data": rows})


def _refusal(code: str, message: str) -> NotServed:
    return NotServed(answer({"code": code, "msg": message, "data": []}))
