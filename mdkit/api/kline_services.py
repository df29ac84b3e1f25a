"""Which service `klines(source=...)` means, and what may be kept of its bars under which name."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mdkit.errors import RequestError, SettingsError
from mdkit.exchange import Exchange
from mdkit.history.intervals import DAY_MS, INTERVALS, KLINE_INTERVALS, check_interval
from mdkit.notebook.loops import running_loop
from mdkit.redaction import hide_address
from mdkit.session.feeds import check_listed, key_for
from mdkit.settings import Settings
from mdkit.suggestions import near
from mdkit.venues.registry import DEFAULT_REST
from mdkit.venues.rest.api import RestApi
from mdkit.venues.rest.public import PublicRest
from mdkit.venues.services import SERVICES, service_of

if TYPE_CHECKING:
    from mdkit.history.http.client import RestClient

DEMO_EDITION = 1
"""Part of the name under which the embedded exchange's bars are cached. Count up when the same
seed no longer gives the same past."""


@dataclass(frozen=True)
class Service:
    """Where bars come from, and what may be kept of it under which name.

    `exchange` is the one to ask, and started when that is needed, in place of `base_url`. `api`
    is how it is asked.
    """

    base_url: str = ""
    api_key: str | None = None
    calls_per_minute: int | None = None
    cached_as: str | None = None
    final_ms: int | None = None
    exchange: Exchange | None = None
    api: RestApi = DEFAULT_REST

    @property
    def venue(self) -> PublicRest | None:
        """The public venue that is asked, or None for TickDB and what speaks its language."""
        return self.api if isinstance(self.api, PublicRest) else None

    def symbols(self, given: Sequence[str]) -> tuple[str, ...]:
        """Return symbols in the form used in frames; raise `SettingsError` for what is none."""
        if self.venue is None:
            return tuple(given)
        return tuple(dict.fromkeys(map(self.venue.names.common, given)))

    def check_interval(self, interval: object) -> None:
        """Raise `SettingsError`, with a cure, for an interval that the service does not have."""
        if self.venue is None:
            check_interval(interval, KLINE_INTERVALS)
            return
        known = self.venue.intervals
        if interval in known:
            return
        if interval in INTERVALS:
            raise SettingsError(
                f"{self.venue.title} serves no bars of {interval}, only of {', '.join(known)}: "
                f'load a shorter interval and md.resample(bars, "{interval}").'
            )
        check_interval(interval, tuple(known))

    def unknown(self, symbol: str, client: RestClient) -> RequestError:
        """Return the error for a symbol that is not traded there, with near matches if it can."""
        assert self.venue is not None
        title = self.venue.title
        try:
            traded = client.instruments(symbol)
        except Exception:  # the list is a help, not what was asked for
            return RequestError(f"{title} does not know {symbol!r}.")
        base = symbol.partition("/")[0]
        alike = [name for name in traded if name.partition("/")[0] == base]
        meant = list(dict.fromkeys([*near(symbol, alike), *near(symbol, traded), *alike]))[:3]
        hint = f"; did you mean {' or '.join(map(repr, meant))}?" if meant else "."
        return RequestError(f"{title} does not know {symbol!r} among {len(traded):,} symbols{hint}")


def service(
    source: Any,
    rest_url: str | None,
    symbols: Sequence[str],
    api_key: str | None,
    settings: Settings,
) -> Service:
    """Return the service that `source` means; nothing is started or connected yet."""
    if source is None and rest_url is None:
        source = "tickdb" if api_key or settings.tickdb_api_key is not None else "demo"
        print(  # noqa: T201 - the one visible line that says what these data are
            "mdkit: klines from TickDB, since there is an API key."
            if source == "tickdb"
            else "mdkit: no TICKDB_API_KEY, so these klines are the embedded exchange's "
            "(simulated data, this machine only)."
        )
    if isinstance(source, str) and source in SERVICES:
        return _public(service_of(source), rest_url)
    venue = None if isinstance(source, str) else _venue_of(source)
    if isinstance(source, Exchange):
        api: RestApi = DEFAULT_REST if venue is None else service_of(venue)
        return Service(api_key=api_key or source.config.api_key, exchange=source, api=api)
    if venue is not None:
        return _public(service_of(venue), rest_url or getattr(source, "rest_url", None))
    if rest_url is not None:
        raise SettingsError(
            f"rest_url= is for the venues {', '.join(SERVICES)}; another service is named by its "
            "REST base as source=."
        )
    if source == "demo":
        check_listed(symbols, lambda text: RequestError(text, code=2002))
        exchange = Exchange(symbols)
        return Service(
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
        f'"demo", a venue ({", ".join(SERVICES)}), an http:// or https:// REST base such as '
        "https://api.tickdb.ai/v1, or an md.Exchange."
    )


def _venue_of(source: Any) -> str | None:
    """Return the public venue that an object speaks for, by its `venue` or its `name`."""
    found = getattr(source, "venue", None) or getattr(source, "name", None)
    return found if isinstance(found, str) and found in SERVICES else None


def _public(api: PublicRest, rest_url: str | None) -> Service:
    from mdkit.history.http.client import RestClient, is_loopback

    base_url = (rest_url or api.base_url).rstrip("/")
    RestClient(base_url, api=api).close()  # says what is wrong with the address, if anything is
    if is_loopback(base_url):
        return Service(base_url, api=api)
    parts = urlsplit(base_url)
    elsewhere = "" if base_url == api.base_url else f" {parts.netloc}{parts.path}"
    return Service(
        base_url,
        calls_per_minute=api.calls_per_minute,
        cached_as=f"{api.venue}{elsewhere}",
        api=api,
    )


def _at(base_url: str, api_key: str | None, settings: Settings) -> Service:
    from mdkit.history.http.client import RestClient, is_loopback

    RestClient(base_url, api_key).close()  # says what is wrong with them, if anything is
    if is_loopback(base_url):
        # A port of this machine may be another service tomorrow.
        return Service(base_url, api_key)
    parts = urlsplit(base_url)
    name = f"{parts.netloc}{parts.path}".rstrip("/")
    return Service(base_url, api_key, settings.rest_calls_per_minute, name)


@contextlib.contextmanager
def running(exchange: Exchange) -> Iterator[None]:
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
