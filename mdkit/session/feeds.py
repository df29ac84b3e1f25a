"""Which feed a session reads: TickDB, the embedded exchange, a URL, or a source of your own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mdkit.errors import MdkitError, RecordingError, SettingsError
from mdkit.exchange import Exchange
from mdkit.exchange.market.instruments import LISTED
from mdkit.exchange.simulated import Simulated, SimulatedSource
from mdkit.machine import in_browser
from mdkit.recording.replay.replay import Replay
from mdkit.redaction import Secret
from mdkit.session.venues import (
    are_prefixed,
    open_exchange_venue,
    open_prefixed,
    open_venue,
    open_venue_history,
    speaks_venue,
)
from mdkit.settings import Settings
from mdkit.sources.connection import shown
from mdkit.sources.source import MessageSink, Source, codec_of_source
from mdkit.sources.venue import VenueSource
from mdkit.sources.websocket import WebSocketSource
from mdkit.suggestions import instead
from mdkit.venues.registry import VENUES
from mdkit.venues.venue import Venue

if TYPE_CHECKING:
    from mdkit.history.http.client import RestClient


class ExchangeSource(WebSocketSource):
    """A WebSocket source that brings its exchange along: started for it and stopped with it."""

    def __init__(
        self,
        exchange: Exchange,
        channels: Sequence[str],
        symbols: Sequence[str],
        **options: Any,
    ) -> None:
        super().__init__("ws://127.0.0.1", channels, symbols, name="embedded exchange", **options)
        self.exchange = exchange
        self._channels = tuple(channels)

    async def run(self, sink: MessageSink) -> None:
        """Start the exchange unless it runs already, deliver, and stop what was started."""
        ours = not self.exchange.running
        if ours:
            # Starting a process takes a moment; a notebook's loop should not stand still for it.
            await asyncio.to_thread(self.exchange.start)
        self.url = self.exchange.ws_url
        if not self.subscriptions:  # a playback's symbols are known only now
            self.subscriptions.update(
                dict.fromkeys((c, s) for c in self._channels for s in self.exchange.symbols)
            )
        try:
            if self.exchange.config.replay is not None:
                looked = await asyncio.to_thread(self.exchange.statistics)
                for problem in looked["problems"]:
                    sink.problem(RecordingError(problem))
            await super().run(sink)
        finally:
            if ours:
                await asyncio.to_thread(self.exchange.stop)


def check_listed(
    symbols: Sequence[str], error: Callable[[str], MdkitError] = SettingsError
) -> None:
    """Raise an error, with near matches, for a symbol that the demo's exchange does not trade."""
    for symbol in symbols:
        if symbol not in LISTED:
            raise error(
                f"The demo's exchange does not trade {symbol!r}: {instead(symbol, LISTED)}. "
                "md.Exchange([...]) trades symbols of any name."
            )


def open_source(
    source: str | Source | Exchange | Simulated | Venue | None,
    channels: Sequence[str],
    symbols: Sequence[str],
    settings: Settings,
    api_key: str | None = None,
    levels: int = 10,
) -> Source:
    """Return the source that `live(source=...)` means; no connection is made yet.

    Without `symbols`: what an `Exchange` or a `Simulated` carries, and else SUBSCRIBED_SYMBOLS.

    Raises `AuthenticationError` when TickDB is asked for without a key and `SettingsError`
    for anything that is not a source.
    """
    options: dict[str, Any] = {
        "base_delay": settings.reconnect_base_delay,
        "max_delay": settings.reconnect_max_delay,
        "heartbeat": settings.heartbeat_interval,
    }
    reconnecting = {name: options[name] for name in ("base_delay", "max_delay")}
    if in_browser():
        source = _without_sockets(source, symbols)
    if source is None and are_prefixed(symbols):
        return open_prefixed(symbols, channels, levels, reconnecting)
    if isinstance(source, Venue) or (isinstance(source, str) and source in VENUES):
        return open_venue(source, symbols, channels, levels, reconnecting)
    if source is None:
        if api_key or settings.tickdb_api_key is not None:
            print("mdkit: reading TickDB, since there is an API key.")  # noqa: T201
            source = "tickdb"
        else:
            print(  # noqa: T201 - the one visible line that says the data are simulated
                "mdkit: no TICKDB_API_KEY, so this session reads the embedded exchange "
                "(simulated data, this machine only)."
            )
            source = "demo"
    if isinstance(source, Exchange) and speaks_venue(source):
        return open_exchange_venue(source, symbols, channels, levels, reconnecting)
    if isinstance(source, Exchange):
        carried = tuple(symbols) or source.config.symbols
        secret = api_key or source.config.api_key
        return ExchangeSource(source, channels, carried, api_key=secret, **options)
    if isinstance(source, Simulated):
        market = source.config(symbols)
        return SimulatedSource(market, channels, tuple(symbols) or market.symbols)
    asked, symbols = tuple(symbols), tuple(symbols) or settings.subscribed_symbols
    if source == "simulated":
        check_listed(symbols)
        return open_source(Simulated(), channels, symbols, settings)
    if source == "demo":
        check_listed(symbols)
        return ExchangeSource(Exchange(symbols, listed=LISTED), channels, symbols, **options)
    if source == "tickdb":
        return WebSocketSource(
            settings.tickdb_ws_url,
            channels,
            symbols,
            api_key=api_key or settings.require_key(),
            **options,
        )
    if isinstance(source, str):
        if "api_key=" in source:
            raise SettingsError("The source's URL holds an API key: pass it as api_key= instead.")
        if not source.startswith(("ws://", "wss://")):
            raise SettingsError(
                f'source={shown(source)!r} is not a source: choose "tickdb", "demo", "simulated", '
                f"a public venue ({', '.join(VENUES)}), a ws:// or wss:// URL, an md.Exchange, an "
                "md.Simulated, or an object with run() and stop()."
            )
        secret = api_key or key_for(source, settings.tickdb_ws_url, settings)
        return WebSocketSource(
            source, channels, symbols, api_key=secret, name=shown(source), **options
        )
    if isinstance(source, Source):
        if isinstance(source, Replay) and asked:
            source.only(asked)
        return source
    raise SettingsError(
        f"source={source!r} is not a source: it needs run(sink), stop(), clock_ns(), name, "
        "symbols, connected and stale_for."
    )


def _without_sockets(source: Any, symbols: Sequence[str]) -> Any:
    """Return what can be read in a browser; raise `SettingsError` for what needs a socket."""
    if source is None and not are_prefixed(symbols):
        print("mdkit: this session reads the simulated market, in this page.")  # noqa: T201
        return "simulated"
    if source == "simulated" or isinstance(source, Simulated | Source):
        return source
    what = "a venue" if source is None or isinstance(source, Venue) else f"source={shown(source)!r}"
    raise SettingsError(
        f"{what} needs a socket, which Python in a browser has not: take "
        'source="simulated", or a recording by source=md.replay(path).'
    )


def key_of(source: Source) -> str | None:
    """Return the key that a source sends, if any."""
    return source._api_key if isinstance(source, WebSocketSource) else None


def key_for(url: str, configured: str, settings: Settings) -> Secret | None:
    """Return the key of the settings where a URL is the configured one's place, else None.

    A place is scheme, host and port: http in place of https would send the key in clear.
    """
    key = settings.tickdb_api_key
    if key is None or _place(url) != _place(configured):
        return None
    return Secret(key.get_secret_value())


def _place(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    ports = {"ws": 80, "http": 80, "wss": 443, "https": 443}
    return parts.scheme, parts.hostname, parts.port or ports.get(parts.scheme)


def open_history(
    source: Source, settings: Settings, api_key: str | None = None
) -> Callable[[], RestClient] | None:
    """Return what makes a client of the REST service beside a feed, or None where there is none.

    The service of a WebSocket URL is at the same address, unless the source names another. The
    key of the environment goes only where that is configured to be sent.
    """
    if isinstance(source, VenueSource):
        return open_venue_history(source)
    if not isinstance(source, WebSocketSource):
        return None
    api = codec_of_source(source).rest
    if api is None:
        return None

    def connect() -> RestClient:
        from mdkit.history.http.budget import shared_budget
        from mdkit.history.http.client import RestClient, is_loopback

        base_url = _rest_url(source, settings)
        key = api_key or key_for(base_url, settings.tickdb_rest_url, settings)
        if key is None and isinstance(source, ExchangeSource):
            key = source.exchange.config.api_key
        limit = None if is_loopback(base_url) else settings.rest_calls_per_minute
        budget = shared_budget(base_url, key, limit)
        return RestClient(base_url, key, budget=budget, api=api)

    return connect


def _rest_url(source: WebSocketSource, settings: Settings) -> str:
    if isinstance(source, ExchangeSource):
        return source.exchange.rest_url
    if source.rest_url is not None:
        return source.rest_url
    feed, ours = urlsplit(source.url), urlsplit(settings.tickdb_rest_url)
    if feed.netloc == urlsplit(settings.tickdb_ws_url).netloc and source.name == "tickdb":
        return ours.geturl()
    scheme = "https" if feed.scheme == "wss" else "http"
    path = feed.path.removesuffix("/market/ws").removesuffix("/realtime")
    return f"{scheme}://{feed.netloc}{path}"
