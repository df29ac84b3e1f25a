"""`klines()`: completed bars as a DataFrame: of TickDB, a public venue, the embedded exchange."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mdkit.api.kline_services import Service, running, service
from mdkit.errors import SettingsError
from mdkit.history.cache import KlineCache, Series
from mdkit.history.columns import Klines, join_frames, to_frame
from mdkit.history.klines import Loader
from mdkit.history.paging import Pager
from mdkit.history.prices import keep_possible
from mdkit.history.progress import Progress
from mdkit.history.times import milliseconds
from mdkit.machine import in_browser
from mdkit.redaction import hide, hide_address
from mdkit.session.arguments import checked_symbols
from mdkit.settings import Settings
from mdkit.venues.rest.api import UnknownSymbol
from mdkit.venues.rest.klines import Kline, when

if TYPE_CHECKING:
    import pandas as pd

    from mdkit.history.http.client import RestClient

_NEWEST = 1000
"""How many bars there are without `start` and `limit`."""
When = str | date | None
"""A time as it may be written: text, a date, a datetime or a Timestamp."""


class _Lazy:
    """A client that is made when it is first asked: what is cached needs no connection."""

    def __init__(self, connect: Callable[[], RestClient]) -> None:
        self._connect = connect
        self._client: RestClient | None = None

    @property
    def made(self) -> RestClient:
        """The client."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    @property
    def server_ms(self) -> int | None:
        """The service's time in its last answer."""
        return self._client.server_ms if self._client is not None else None

    def klines(self, symbol: str, interval: str, **page: Any) -> list[Kline]:
        """Return one page of bars."""
        return self.made.klines(symbol, interval, **page)


def klines(
    symbol: str | Sequence[str],
    interval: str = "1d",
    start: When = None,
    end: When = None,
    limit: int | None = None,
    *,
    source: Any = None,
    rest_url: str | None = None,
    cache: bool | str | Path = True,
    progress: bool | None = None,
    api_key: str | None = None,
    settings: Settings | None = None,
    allow_nonpositive: bool = False,
) -> pd.DataFrame:
    """Return completed bars, oldest first.

    The index `time` is when a bar begins (UTC); the columns `open high low close volume` are
    floats, `quote_volume` is there where the service gives it. Several symbols come as one frame
    with the index levels `symbol` and `time`. `attrs` name the interval, and the symbol if it is
    one. No bars in the range is an empty frame.

    Args:
        symbol: one, or several as a list. Of a public venue in its own form, or as "BTC/USD",
            "BTC-USD" or "BTCUSD"; the frame has "BTC/USD".
        interval: "1m" "5m" "15m" "30m" "1h" "2h" "4h" "1d" "1w" (from Monday) "1M" (a month).
            Not every venue serves them all.
        start, end: bars that begin at or after `start` and before `end`: "2025-01-31",
            a datetime or Timestamp (UTC unless it has a zone), "30d" for that long ago ("1M" is a
            month). Without
            `end` up to now.
        limit: at most so many bars of each symbol: the first ones from `start`, or without
            `start` the newest, which are 1,000 unless you say otherwise (719 of Kraken).
        source: None takes TickDB when TICKDB_API_KEY is set and else the embedded exchange,
            and prints one line saying which; "tickdb"; "demo"; a public venue, without a key:
            "kraken" "binance" "binance.us" "binance.futures" "coinbase" "hyperliquid" "okx"; the
            http(s):// base of a service like TickDB's (with `api_key=`); an `Exchange`; or an
            object with `venue` and `rest_url`.
        rest_url: another REST base of a public venue, as that of a mirror.
        cache: whether to keep bars on disk and fetch only what is missing; a folder to keep
            them there. An `Exchange` and an address of this machine are only cached in a
            folder that you name; "demo" keeps the days before today.
        progress: a progress bar; None shows one for more than a few pages.
        api_key: overrides TICKDB_API_KEY.
        settings: overrides what is read from the environment.
        allow_nonpositive: keep bars with prices of 0 and below, which some markets have. Unless
            set they are left out, and a warning names them.

    Where a service has restated prices that are cached, as after a split, a warning says so and
    the series is loaded anew. Of a public venue the bar that still forms is left out by the
    venue's clock. Kraken keeps only the newest 720 bars of an interval, Hyperliquid 5,000: a
    warning names the time before which there are none. Volumes are as the venue counts them:
    of OKX's derivatives in contracts. Coinbase has no bars for periods without a trade; `md.gaps`
    lists them.

    Raises `SettingsError` for an interval, a time or a source that cannot be, `RequestError`
    for an unknown symbol (with near matches from a public venue's own list) and for bars that
    the service no longer keeps, `AuthenticationError`, `QuotaError`, `RateLimitError`,
    `ServerError` and `FeedError` (no connection) as their names say, `InvalidMessage` for bars
    that cannot be true.

    Example:
        >>> span = {"start": "2025-01-06", "end": "2025-01-08"}
        >>> bars = md.klines("AAPL.US", "1h", **span, source="demo", progress=False)
        >>> list(bars.columns), len(bars)
        (['open', 'high', 'low', 'close', 'volume', 'quote_volume'], 48)
    """
    if in_browser():
        raise SettingsError(
            "md.klines asks a REST service, which Python in a browser cannot: md.read_klines(path) "
            "reads bars from a file, and md.read_recording makes them of a recording."
        )
    api_key, source = hide(api_key), hide_address(source)
    symbols = _symbols(symbol)
    if limit is not None and (type(limit) is not int or limit < 1):
        raise SettingsError(f"limit={limit!r} is not a whole number of at least 1.")
    settings = settings or Settings()
    asked = service(source, rest_url, symbols, api_key, settings)
    asked.check_interval(interval)
    symbols = asked.symbols(symbols)
    title = f"{', '.join(symbols[:3])}{'...' if symbols[3:] else ''} {interval}"
    frames: dict[str, pd.DataFrame] = {}
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(contextlib.closing(Progress(title, progress)))
        now_ms = time.time_ns() // 1_000_000
        rules = asked.api.rules
        if asked.exchange is not None and asked.exchange is source:
            # A scenario's speed or a recording takes its clock elsewhere.
            stack.enter_context(running(asked.exchange))
            now_ms = int(asked.exchange.statistics()["clock_ms"])
            rules = rules._replace(dated=False)
        begin, finish = _range(start, end, now_ms)

        def connect() -> RestClient:
            from mdkit.history.http.budget import shared_budget
            from mdkit.history.http.client import RestClient

            base_url = asked.base_url
            if asked.exchange is not None:
                stack.enter_context(running(asked.exchange))
                base_url = asked.exchange.rest_url
            return stack.enter_context(
                RestClient(
                    base_url,
                    asked.api_key,
                    budget=shared_budget(base_url, asked.api_key, asked.calls_per_minute),
                    waiting=bar.waiting,
                    api=asked.api,
                )
            )

        client = _Lazy(connect)
        pager = Pager(client, now_ms, page=asked.api.max_klines, rules=rules)
        for name in symbols:
            series = _series(cache, asked, name, interval)
            loader = Loader(pager, name, interval, series, bar, asked.final_ms)
            try:
                bars = _load(loader, begin, finish, limit)
            except UnknownSymbol:
                raise asked.unknown(name, client.made) from None
            bars = keep_possible(bars, f"{name} {interval}", allow_nonpositive)
            frames[name] = to_frame(bars, name, interval)
    if isinstance(symbol, str):
        return frames[symbols[0]]
    return join_frames(frames, interval)


def _load(loader: Loader, start: int | None, end: int, limit: int | None) -> Klines:
    if start is None:
        most = loader.pager.rules.most
        return loader.newest(limit or min(_NEWEST, most - 1 if most else _NEWEST), end)
    if limit is None:
        return loader.between(start, end)
    return loader.first(limit, start, end)


def _symbols(symbol: Any) -> tuple[str, ...]:
    names = checked_symbols(symbol)
    if not names:
        raise SettingsError("No symbol was given; they are written like AAPL.US.")
    return names


def _range(start: When, end: When, now_ms: int) -> tuple[int | None, int]:
    begin = None if start is None else milliseconds(start, "start", now_ms)
    finish = now_ms if end is None else milliseconds(end, "end", now_ms)
    if begin is not None and begin >= finish:
        if end is None:
            raise SettingsError(f"start={start!r} ({when(begin)}) is in the future: no bars yet.")
        raise SettingsError(
            f"start={start!r} ({when(begin)}) is not before end={end!r} ({when(finish)})."
        )
    return begin, finish


def _series(cache: bool | str | Path, asked: Service, symbol: str, interval: str) -> Series | None:
    if isinstance(cache, str | Path):
        name = asked.cached_as or urlsplit(asked.base_url).netloc or "exchange"
        if asked.cached_as is None and asked.venue is not None:
            name = f"{asked.venue.venue} {name}"
        return KlineCache(cache).series(name, symbol, interval)
    if not cache or asked.cached_as is None:
        return None
    return KlineCache().series(asked.cached_as, symbol, interval)
