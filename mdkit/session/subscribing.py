"""Changes of what a running session is subscribed to, checked before they are sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from mdkit.errors import MdkitError, SessionError, SettingsError
from mdkit.exchange.simulated import SimulatedSource
from mdkit.pipeline.pipeline import Pipeline
from mdkit.session.arguments import checked_channel, checked_symbols
from mdkit.session.feeds import ExchangeSource, check_listed
from mdkit.sources.connection import ConnectionEndedError
from mdkit.sources.source import Source
from mdkit.sources.venue import VenueSource
from mdkit.sources.websocket import WebSocketSource
from mdkit.suggestions import instead
from mdkit.venues.codec import Subscription


class SubscriptionChanges:
    """Checks a change in any thread; makes it in the session's loop, in the order asked for.

    A change that the service refuses later is a row of `gaps()`, a problem, and part of
    `explain()`.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        # Asked for, and not with the source yet: True is to be subscribed to.
        self._under_way: dict[Subscription, bool] = {}
        self._last: asyncio.Task[None] | None = None

    def check(self, verb: str, channel: str, symbols: Sequence[str]) -> tuple[str, ...]:
        """Return the symbols; raise `SettingsError` or `SessionError` for what cannot be done.

        For the session's loop, as `make`.
        """
        source = self._source()
        checked_channel(channel)
        wanted = checked_symbols(symbols)
        if not wanted:
            raise SettingsError(f'{verb}({channel!r}) names no symbol; add one, such as "AAPL.US".')
        if isinstance(source, VenueSource):
            wanted = tuple(map(source.common, wanted))
        if verb == "subscribe":
            if _is_demo(source):
                check_listed([s for s in wanted if s not in source.symbols])
            if isinstance(source, SimulatedSource):
                source.check(wanted)
            return wanted
        have = self._subscribed(source, channel)
        for symbol in wanted:
            if symbol not in have:
                raise SettingsError(
                    f"{channel} of {symbol!r} is not subscribed to: {instead(symbol, have)}."
                )
        return wanted

    def make(
        self, loop: asyncio.AbstractEventLoop, verb: str, channel: str, symbols: Sequence[str]
    ) -> None:
        """Begin a change in a loop, after those before it."""
        for symbol in symbols:
            self._under_way[channel, symbol] = verb == "subscribe"
        change = self._change(verb, channel, symbols, self._last)
        self._last = loop.create_task(change, name=f"mdkit {verb}")

    async def _change(
        self, verb: str, channel: str, symbols: Sequence[str], before: asyncio.Task[None] | None
    ) -> None:
        source = self._source()
        if before is not None:
            await asyncio.wait([before])
        change: Callable[..., Any] = getattr(source, verb)
        try:
            # One that ends meanwhile is asked for everything afresh when it is there again.
            with contextlib.suppress(ConnectionEndedError):
                await change(channel, symbols)
            self._pipeline.expect(source.symbols)
        except MdkitError as error:
            self._pipeline.problem(error)
        except Exception as error:
            self._pipeline.problem(
                SessionError(f"{verb} {channel} {', '.join(symbols)} failed: {error!r}.")
            )
        finally:
            for symbol in symbols:
                if self._under_way.get((channel, symbol)) is (verb == "subscribe"):
                    del self._under_way[channel, symbol]

    def _subscribed(
        self, source: WebSocketSource | VenueSource | SimulatedSource, channel: str
    ) -> tuple[str, ...]:
        """Return the symbols of a channel once everything that is under way is done."""
        have = dict.fromkeys(symbol for c, symbol in source.subscriptions if c == channel)
        for (changed, symbol), on in self._under_way.items():
            if changed == channel and on:
                have[symbol] = None
            elif changed == channel:
                have.pop(symbol, None)
        return tuple(have)

    def _source(self) -> WebSocketSource | VenueSource | SimulatedSource:
        source = self._pipeline.source
        if not isinstance(source, WebSocketSource | VenueSource | SimulatedSource):
            raise SessionError(f"{source.name} has no subscriptions that could change.")
        return source


def _is_demo(source: Source) -> bool:
    return isinstance(source, ExchangeSource) and bool(source.exchange.config.listed)
