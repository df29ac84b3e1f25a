"""Binance USD-M futures: two routes for two kinds of streams, and diffs chained by `pu`."""

from __future__ import annotations

from typing import Any, ClassVar

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.venues.binance.rest import BinanceRest, binance_error
from mdkit.exchange.venues.binance.spot import BinanceDialect
from mdkit.exchange.venues.binance.streams import Writer
from mdkit.exchange.venues.book import Snapshot
from mdkit.exchange.venues.dialect import NotServed
from mdkit.exchange.venues.numbers import trimmed

_PUBLIC = ("depth", "bookTicker", "trade")
_MARKET = ("aggTrade", "ticker", "miniTicker")
_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
_FIRST_MS = 100_000_000_000
"""Times below are seconds sent in place of milliseconds, which the venue passes over."""


class FuturesWriter(Writer):
    """How futures write: the symbol's own decimals, and the transaction's time beside."""

    places: ClassVar[int | None] = None
    speeds: ClassVar[dict[str, float]] = {"": 0.25, "100ms": 0.1, "500ms": 0.5}
    has_futures_fields: ClassVar[bool] = True


class FuturesRest(BinanceRest):
    """What futures answer."""

    klines_most: ClassVar[int] = 1500
    weight_a_minute: ClassVar[int] = 2400
    depth_weights: ClassVar[tuple[tuple[int, int], ...]] = (
        (50, 2),
        (100, 5),
        (500, 10),
        (1000, 20),
    )

    @property
    def default_depth(self) -> int:
        """Levels where no limit is given."""
        return 500

    def depth_limit(self, limit: int) -> int:
        """Return a limit that there is; raise `NotServed` for others."""
        if limit not in _DEPTHS:
            raise NotServed(
                binance_error(-4021, f"Invalid depth limit. Valid: {', '.join(map(str, _DEPTHS))}.")
            )
        return limit

    def klines_weight(self, limit: int) -> int:
        """Return the request weight of a call for bars."""
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10

    def whole(self, params: dict[str, str], name: str, default: Any) -> Any:
        """Return a whole number; a time in seconds counts as none at all."""
        value = super().whole(params, name, default)
        is_time = name in ("startTime", "endTime")
        return default if is_time and value is not None and value < _FIRST_MS else value

    def book(self, spec: Instrument, top: Snapshot) -> str:
        """Return a snapshot's text, with its times."""
        writer = self.writer
        return (
            f'{{"lastUpdateId":{top.last_id},"E":{self.feed.now_ns() // 1_000_000},'
            f'"T":{top.ns // 1_000_000},"bids":{writer.levels(spec, top.bids)},'
            f'"asks":{writer.levels(spec, top.asks)}}}'
        )

    def symbol_info(self, spec: Instrument) -> dict[str, Any]:
        """Return what is said of a contract."""
        return {
            "symbol": spec.symbol,
            "pair": spec.symbol,
            "contractType": "PERPETUAL",
            "onboardDate": 1_569_398_400_000,
            "status": "TRADING",
            "baseAsset": spec.symbol.removesuffix(spec.currency),
            "quoteAsset": spec.currency,
            "marginAsset": spec.currency,
            "pricePrecision": spec.decimals,
            "quantityPrecision": spec.size_decimals,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": trimmed(spec.step, spec.decimals)},
                {"filterType": "LOT_SIZE", "stepSize": trimmed(1, spec.size_decimals)},
            ],
        }


class BinanceFuturesDialect(BinanceDialect):
    """`wss://fstream.binance.com/{public,market}` and `https://fapi.binance.com`.

    Every stream is acknowledged everywhere. Only those of its route are delivered; the old URLs
    without a route deliver what is public.
    """

    venue: ClassVar[str] = "binance.futures"
    messages: ClassVar[tuple[int, float]] = (10, 1.0)
    ping_every: ClassVar[float] = 180.0
    id_gap: ClassVar[int] = 400
    rest_prefix: ClassVar[str] = "/fapi/v1"
    routes: ClassVar[dict[str, tuple[str, ...] | None]] = {
        "": _PUBLIC,
        "public": _PUBLIC,
        "market": _MARKET,
    }

    def make_writer(self) -> Writer:
        """Return what writes the venue's frames."""
        return FuturesWriter()

    def make_rest(self) -> BinanceRest:
        """Return what answers REST calls."""
        return FuturesRest(self, self.rest_prefix)
