"""Kraken's REST: bars, pairs and the time. Errors come with HTTP status 200."""

from __future__ import annotations

import time
from typing import Any

from mdkit.errors import SettingsError
from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.venues.dialect import Answer, Dialect, answer
from mdkit.exchange.venues.instruments import native, pair
from mdkit.exchange.venues.klines import Bar, bars
from mdkit.exchange.venues.numbers import fixed, rfc3339

_INTERVALS = {
    "1": "1m",
    "5": "5m",
    "15": "15m",
    "30": "30m",
    "60": "1h",
    "240": "4h",
    "1440": "1d",
    "10080": "1w",
    "21600": "15d",
}
_ROWS = 720
"""Completed bars at most, and never older ones."""
_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
_PREFIXED = {"XBT": "XXBT", "ETH": "XETH", "XRP": "XXRP", "LTC": "XLTC", "XDG": "XXDG"}
_MONEY = {"USD": "ZUSD", "EUR": "ZEUR", "GBP": "ZGBP"}


def server_time() -> Answer:
    """Return the venue's clock."""
    now = time.time_ns()
    return _result({"unixtime": now // 1_000_000_000, "rfc1123": rfc3339(now, 0)})


async def ohlc(dialect: Dialect, params: dict[str, str]) -> Answer:
    """Return up to 720 bars before the running one, which is always the last row."""
    spec = _find(dialect, params.get("pair", ""))
    interval = _INTERVALS.get(params.get("interval", "1") or "1")
    if spec is None:
        return _error("EQuery:Unknown asset pair")
    if interval is None:
        return _error("EGeneral:Invalid arguments:interval")
    since = params.get("since", "") or "0"
    if not since.isdigit() or len(since) > 12:
        return _error("EGeneral:Invalid arguments:since")
    found = await bars(dialect.feed, spec.symbol, "kraken", interval, limit=_ROWS + 1, newest=True)
    rows = [_row(spec, bar) for bar in found if bar.open_ms // 1000 >= int(since)]
    last = found[-2].open_ms // 1000 if len(found) > 1 else 0
    return _result({_key(spec): rows, "last": last})


def asset_pairs(dialect: Dialect, params: dict[str, str]) -> Answer:
    """Return the pairs that are traded, by their REST keys."""
    named = params.get("pair")
    specs: list[Instrument] = list(dialect.feed.instruments.values())
    if named:
        found = [_find(dialect, name) for name in named.split(",")]
        if None in found:
            return _error("EQuery:Unknown asset pair")
        specs = [spec for spec in found if spec is not None]
    return _result({_key(spec): _pair(spec) for spec in specs})


def _pair(spec: Instrument) -> dict[str, Any]:
    base, _, quote = spec.symbol.partition("/")
    old = _OLD_NAMES.get(base, base)
    return {
        "altname": old + quote,
        "wsname": f"{old}/{quote}",
        "aclass_base": "currency",
        "base": _PREFIXED.get(old, old),
        "aclass_quote": "currency",
        "quote": _MONEY.get(quote, quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": spec.decimals,
        "lot_decimals": spec.size_decimals,
        "lot_multiplier": 1,
        "ordermin": fixed(max(1, spec.size // 1000), spec.size_decimals),
        "costmin": "0.5",
        "tick_size": fixed(spec.step, spec.decimals),
        "status": "online",
    }


def _row(spec: Instrument, bar: Bar) -> list[Any]:
    def price(ticks: int) -> str:
        return fixed(ticks * spec.step, spec.decimals)

    vwap = bar.turnover // bar.volume if bar.volume else 0
    return [
        bar.open_ms // 1000,
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        price(vwap),
        fixed(bar.volume, spec.size_decimals),
        bar.trades,
    ]


def _key(spec: Instrument) -> str:
    """Return the REST key of a pair: XXBTZUSD, SOLUSD."""
    base, _, quote = spec.symbol.partition("/")
    old = _OLD_NAMES.get(base, base)
    if old in _PREFIXED and quote in _MONEY:
        return _PREFIXED[old] + _MONEY[quote]
    return old + quote


def _find(dialect: Dialect, name: str) -> Instrument | None:
    """Return the instrument of a REST key, an old or a new name; None if it is not traded."""
    for spec in dialect.feed.instruments.values():
        row = _pair(spec)
        if name in (_key(spec), row["altname"], row["wsname"], spec.symbol):
            return spec
    try:
        symbol = native(*pair(name, "kraken"), "kraken")
    except SettingsError:
        return None
    return dialect.feed.instruments[symbol] if dialect.feed.admit(symbol) else None


def _result(result: Any) -> Answer:
    return answer({"error": [], "result": result})


def _error(text: str) -> Answer:
    return answer({"error": [text]})
