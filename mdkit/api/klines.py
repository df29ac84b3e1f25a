"""`klines()`: completed bars as a DataFrame, from TickDB, the embedded exchange or a URL."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mdkit.errors import RequestError, SettingsError
from mdkit.exchange import Exchange
from mdkit.history.cache import KlineCache, Series
from mdkit.history.columns import Klines, join_frames, to_frame
from mdkit.history.http.client import RestClient, is_loopback, shared_budget
from mdkit.history.intervals import DAY_MS, KLINE_INTERVALS, check_interval
from mdkit.history.klines import Loader, Pager
from mdkit.history.prices import keep_possible
from mdkit.history.progress import Progress
from mdkit.history.times import milliseconds
from mdkit.notebook.loops import running_loop
from mdkit.redaction import hide, hide_address
from mdkit.session.arguments import checked_symbols
from mdkit.session.feeds import check_listed, key_for
from mdkit.settings import Settings
from mdkit.venues.klines import Kline, when
from mdkit.venues.registry import DEFAULT_REST

if TYPE_CHECKING:
    import pandas as pd

DEMO_EDITION = 1
"""Part of the name under which the embedded exchange's bars are cached. Count up when the same
seed no longer gives the same past."""

When = str | date | None
"""A time as it may be written: text, a date, a datetime or a Timestamp."""


@dataclass(frozen=True)
class _Service:
    """Where bars come from, and what may be kept of it under which name.

    `exchange` is the one to ask, and started when that is needed, in place of `base_url`.
    """

    base_url: str = ""
    api_key: str | None = None
    calls_per_minute: int | None = None
    cached_as: str | None = None
    final_ms: int | None = None
    exchange: Exchange | None = None


class _Lazy:
    """A client that is made when it is first asked: what is cached needs no connection."""

    def __init__(self, connect: Callable[[], RestClient]) -> None:
        self._connect = connect
        self._client: RestClient | None = None

    def klines(self, symbol: str, interval: str, **page: Any) -> list[Kline]:
        """Return one page of bars."""
        if self._client is None:
            self._client = self._connect()
        return self._client.klines(symbol, interval, **page)


def klines(
    symbol: str | Sequence[str],
    interval: str = "1d",
    start: When = None,
    end: When = None,
    limit: int | None = None,
    *,
    source: str | Exchange | None = None,
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
        symbol: one, or several as a list.
        interval: "1m" "5m" "15m" "30m" "1h" "2h" "4h" "1d" "1w" (from Monday) "1M" (a month).
        start, end: bars that begin at or after `start` and before `end`: "2025-01-31",
            a datetime or Timestamp (UTC unless it has a zone), "30d" for that long ago ("1M" is a
            month). Without
            `end` up to now.
        limit: at most so many bars of each symbol: the first ones from `start`, or without
            `start` the newest, which are 1,000 unless you say otherwise.
        source: None takes TickDB when TICKDB_API_KEY is set and else the embedded exchange,
            and prints one line saying which; "tickdb"; "demo"; the http(s):// base of such a
            service (with `api_key=`); or an `Exchange`.
        cache: whether to keep bars on disk and fetch only what is missing; a folder to keep
            them there. An `Exchange` and an address of this machine are only cached in a
            folder that you name; "demo" keeps the days before today.
        progress: a progress bar; None shows one for more than a few pages.
        api_key: overrides TICKDB_API_KEY.
        settings: overrides what is read from the environment.
        allow_nonpositive: keep bars with prices of 0 and below, which some markets have. Unless
            set they are left out, and a warning names them.

    Where a service has restated prices that are cached, as after a split, a warning says so and
    the series is loaded anew.

    Raises `SettingsError` for an interval, a time or a source that cannot be, `RequestError`
    for an unknown symbol, `AuthenticationError`, `QuotaError`, `RateLimitError`, `ServerError`
    and `FeedError` (no connection) as their names say, `InvalidMessage` for bars that cannot
    be true.
    """
    api_key, source = hide(api_key), hide_address(source)
    symbols = _symbols(symbol)
    check_interval(interval, KLINE_INTERVALS)
    if limit is not None and (type(limit) is not int or limit < 1):
        raise SettingsError(f"limit={limit!r} is not a whole number of at least 1.")
    settings = settings or Settings()
    service = _service(source, symbols, api_key, settings)
    title = f"{', '.join(symbols[:3])}{'...' if symbols[3:] else ''} {interval}"
    frames: dict[str, pd.DataFrame] = {}
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(contextlib.closing(Progress(title, progress)))
        now_ms = time.time_ns() // 1_000_000
        if service.exchange is not None and service.exchange is source:
            # A scenario's speed or a recording takes its clock elsewhere.
            stack.enter_context(_running(service.exchange))
            now_ms = int(service.exchange.statistics()["clock_ms"])
        begin, finish = _range(start, end, now_ms)

        def connect() -> RestClient:
            base_url = service.base_url
            if service.exchange is not None:
                stack.enter_context(_running(service.exchange))
                base_url = service.exchange.rest_url
            budget = shared_budget(base_url, service.api_key, service.calls_per_minute)
            return stack.enter_context(
                RestClient(base_url, service.api_key, budget=budget, waiting=bar.waiting)
            )

        pager = Pager(_Lazy(connect), now_ms)
        for name in symbols:
            series = _series(cache, service, name, interval)
            loader = Loader(pager, name, interval, series, bar, service.final_ms)
            bars = _load(loader, begin, finish, limit)
            bars = keep_possible(bars, f"{name} {interval}", allow_nonpositive)
            frames[name] = to_frame(bars, name, interval)
    if isinstance(symbol, str):
        return frames[symbols[0]]
    return join_frames(frames, interval)


def _load(loader: Loader, start: int | None, end: int, limit: int | None) -> Klines:
    if start is None:
        return loader.newest(limit or DEFAULT_REST.max_klines, end)
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


def _series(
    cache: bool | str | Path, service: _Service, symbol: str, interval: str
) -> Series | None:
    if isinstance(cache, str | Path):
        name = service.cached_as or urlsplit(service.base_url).netloc or "exchange"
        return KlineCache(cache).series(name, symbol, interval)
    if not cache or service.cached_as is None:
        return None
    return KlineCache().series(service.cached_as, symbol, interval)


def _service(
    source: str | Exchange | None, symbols: tuple[str, ...], api_key: str | None, settings: Settings
) -> _Service:
    """Return the service that `source` means; nothing is started or connected yet."""
    if source is None:
        source = "tickdb" if api_key or settings.tickdb_api_key is not None else "demo"
        print(  # noqa: T201 - the one visible line that says what these data are
            "mdkit: klines from TickDB, since there is an API key."
            if source == "tickdb"
            else "mdkit: no TICKDB_API_KEY, so these klines are the embedded exchange's "
            "(simulated data, this machine only)."
        )
    if isinstance(source, Exchange):
        return _Service(api_key=api_key or source.config.api_key, exchange=source)
    if source == "demo":
        check_listed(symbols, lambda text: RequestError(text, code=2002))
        exchange = Exchange(symbols)
        return _Service(
            cached_as=f"exchange-seed{exchange.config.seed}-{DEMO_EDITION}",
            # Its present day depends on when it was opened; the days before do not.
            final_ms=time.time_ns() // 1_000_000 // DAY_MS * DAY_MS,
            exchange=exchange,
        )
    if source == "tickdb":
        return _at(settings.tickdb_rest_url, api_key or settings.require_key(), settings)
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        # TICKDB_API_KEY is sent to TickDB only, not to whatever address stands here.
        secret = api_key or key_for(source, settings.tickdb_rest_url, settings)
        return _at(hide_address(source.rstrip("/")), secret, settings)
    raise SettingsError(
        f'source={str(source).partition("?")[0]!r} is not a source of klines: choose "tickdb", '
        '"demo", an http:// or https:// REST base such as https://api.tickdb.ai/v1, or an '
        "md.Exchange."
    )


def _at(base_url: str, api_key: str | None, settings: Settings) -> _Service:
    RestClient(base_url, api_key).close()  # says what is wrong with them, if anything is
    if is_loopback(base_url):
        # A port of this machine may be another service tomorrow.
        return _Service(base_url, api_key)
    parts = urlsplit(base_url)
    name = f"{parts.netloc}{parts.path}".rstrip("/")
    return _Service(base_url, api_key, settings.rest_calls_per_minute, name)


@contextlib.contextmanager
def _running(exchange: Exchange) -> Iterator[None]:
    """Have an exchange run: as it does already, or for as long as the block takes."""
    if exchange.running:
        if exchange.pid is None and running_loop() is not None:
            raise SettingsError(
                "This exchange runs in the loop that klines would block: use "
                "`await asyncio.to_thread(md.klines, ...)`, or an Exchange with process=True."
            )
        yield
        return
    exchange.start()
    try:
        yield
    finally:
        exchange.stop()
