"""The simulated market as a source in the session's own loop: no process, thread or socket."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from mdkit.errors import SettingsError
from mdkit.events import SET_BACK, Gap
from mdkit.exchange.checks import configure
from mdkit.exchange.config import ExchangeConfig
from mdkit.exchange.market.instruments import LISTED
from mdkit.exchange.messages import Key, Message
from mdkit.suggestions import instead

if TYPE_CHECKING:
    from mdkit.exchange.market.simulator import SimulatedFeed
    from mdkit.sources.source import Sink

_BATCH = 64
"""Messages made at once: some 4 ms, for which nothing else happens in the loop."""
_SET_BACK_NS = 1_000_000


class Simulated:
    """The market of `md.Exchange` without the exchange, for `md.live(source=...)`.

    The same options and the same symbols give the same messages, byte for byte, as an
    `md.Exchange` sends to a session that subscribes to the same. What belongs to a server is not
    here: faults, keys, plan limits, REST (so no warmup and no backfill), recordings played back.

    Args:
        symbols: what is traded, if more than the session subscribes to; None is what it does, and
            the default five where that is not said either.
        seed, scenario, opening, rate, start, levels, hours: as for `md.Exchange`.
        speed: time scale of the scenario; 0, None or inf as fast as the session takes it.
        count: depth messages after which the session ends by itself.

    Raises `SettingsError` for values that cannot work.

    Example:
        >>> session = md.live(["AAPL.US"], source=md.Simulated(speed=None, count=500, seed=3))
        >>> session.run_blocking().totals["received"]
        500
    """

    def __init__(
        self,
        symbols: Sequence[str] | None = None,
        *,
        seed: int = 7,
        scenario: str = "steady",
        opening: int | None = None,
        rate: float | None = None,
        speed: float | None = 1.0,
        count: int | None = None,
        start: datetime | str | int | None = None,
        levels: int = 10,
        hours: str | None = None,
    ) -> None:
        self._options = {
            "listed": LISTED,
            "seed": seed,
            "scenario": scenario,
            "opening": opening,
            "rate": rate,
            "speed": speed,
            "count": count,
            "start": start,
            "levels": levels,
            "hours": hours,
        }
        self.symbols = None if symbols is None else configure(symbols).symbols
        self.config()

    def config(self, symbols: Sequence[str] = ()) -> ExchangeConfig:
        """Return the market for a session that subscribes to `symbols`; none: its own."""
        return configure(self.symbols or tuple(symbols) or None, **self._options)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        config = self.config()
        symbols = "the session's symbols" if self.symbols is None else ",".join(self.symbols)
        return f"<Simulated {symbols}, scenario={config.scenario!r}, seed={config.seed}>"


class SimulatedSource:
    """Delivers what a simulated market says about its subscriptions; a `Source`.

    The scenario begins with `run`. A paced market does not wait: what was due while the sink
    suspended comes as soon as it takes messages again, none of it lost. An unpaced one waits.

    Args:
        config: the market.
        channels, symbols: what to subscribe to; every channel for every symbol.

    Raises `SettingsError` for a symbol that is not traded there.
    """

    name = "simulated market"
    stale_for = 0.0  # it is silent only when there is nothing to say

    def __init__(
        self, config: ExchangeConfig, channels: Sequence[str], symbols: Sequence[str]
    ) -> None:
        self.config = config
        self.check(symbols)
        self.subscriptions: dict[Key, None] = dict.fromkeys(
            (channel, symbol) for channel in channels for symbol in symbols
        )
        self._feed: SimulatedFeed | None = None
        self._sink: Sink | None = None
        self._stopping = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._dropped: dict[Key, int] = {}
        self._last_ns = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols subscribed to, in order."""
        return tuple(dict.fromkeys(symbol for _, symbol in self.subscriptions))

    @property
    def connected(self) -> bool:
        """Whether the market is running."""
        return self._sink is not None

    def clock_ns(self) -> int:
        """Return the wall clock."""
        return time.time_ns()

    def check(self, symbols: Sequence[str]) -> None:
        """Raise `SettingsError`, with near matches, for a symbol that is not traded."""
        traded = tuple(dict.fromkeys((*self.config.symbols, *self.config.listed)))
        for symbol in symbols:
            if symbol not in traded:
                raise SettingsError(
                    f"The simulated market does not trade {symbol!r}: {instead(symbol, traded)}. "
                    "md.Simulated([...]) trades symbols of any name."
                )

    def __repr__(self) -> str:
        state = "running" if self.connected else "not running"
        return f"<SimulatedSource {self.config!r} {state}>"

    # -- running ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask `run` to return soon."""
        self._stopping.set()

    async def run(self, sink: Sink) -> None:
        """Deliver messages until `stop()`, or until `count` is reached."""
        from mdkit.exchange.market.simulator import SimulatedFeed

        start_ms = self.config.start_ms
        feed = SimulatedFeed(self.config, start_ms or time.time_ns() // 1_000_000)
        for symbol in self.symbols:
            feed.admit(symbol)
        self._feed, self._sink = feed, sink
        try:
            # An opening is made beforehand; whoever else is in the loop has turns meanwhile.
            while feed.prepare() and not self._stopping.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0)
            feed.begin(start_ms or time.time_ns() // 1_000_000, lazily=True)
            if feed.paced:
                await self._run_paced(feed, sink)
            else:
                await self._run_unpaced(feed, sink)
        finally:
            self._sink = None

    async def _run_paced(self, feed: SimulatedFeed, sink: Sink) -> None:
        loop = asyncio.get_running_loop()
        began, speed = loop.time(), self.config.speed
        while not self._stopping.is_set():
            messages = feed.take((loop.time() - began) * speed, _BATCH)
            await self._deliver(messages, sink)
            due = feed.next_offset()
            if due is None:
                return
            at = began + due / speed
            if at > loop.time():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(at):
                        await self._stopping.wait()
            else:
                await asyncio.sleep(0)  # a sink with room to spare does not suspend

    async def _run_unpaced(self, feed: SimulatedFeed, sink: Sink) -> None:
        while not self._stopping.is_set() and feed.next_offset() is not None:
            if not self.subscriptions:
                await self._until_subscribed()
                continue
            await self._deliver(feed.take(math.inf, _BATCH), sink)
            await asyncio.sleep(0)

    async def _until_subscribed(self) -> None:
        """Wait for somebody to listen, as an exchange does whose pace is its clients'."""
        self._subscribed.clear()
        waits = [asyncio.ensure_future(e.wait()) for e in (self._subscribed, self._stopping)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _deliver(self, messages: Sequence[Message], sink: Sink) -> None:
        wanted = self.subscriptions
        texts = [
            text
            for message in messages
            if message.key in wanted
            for text in message.texts("realtime")
        ]
        if texts:
            now = time.time_ns()
            self._note_clock(sink, now)
            await sink.deliver([(text, now) for text in texts])

    def _note_clock(self, sink: Sink, now: int) -> None:
        """Tell that the wall clock was set back since the last messages, before what comes now."""
        back_ns, self._last_ns = self._last_ns - now, now
        if back_ns >= _SET_BACK_NS:
            reason = f"{SET_BACK} by {back_ns / 1e9:,.3f} s; nothing is missing"
            for channel, symbol in self.subscriptions:
                sink.gap(Gap(symbol, channel, reason, now, now))

    # -- subscriptions ---------------------------------------------------------------------------

    async def subscribe(self, channel: str, symbols: Sequence[str]) -> None:
        """Add subscriptions. What was unsubscribed for a while has missed something: a gap.

        Raises `SettingsError` for a symbol that is not traded.
        """
        self.check(symbols)
        now = time.time_ns()
        for symbol in dict.fromkeys(symbols):
            since = self._dropped.pop((channel, symbol), 0)
            if since and self._sink is not None:
                self._sink.gap(Gap(symbol, channel, "not subscribed", since, now))
            if self._feed is not None:
                self._feed.admit(symbol)
            self.subscriptions[channel, symbol] = None
        self._subscribed.set()

    async def unsubscribe(self, channel: str, symbols: Sequence[str]) -> None:
        """End subscriptions."""
        for symbol in symbols:
            if (channel, symbol) in self.subscriptions:
                del self.subscriptions[channel, symbol]
                if self._last_ns:
                    self._dropped[channel, symbol] = time.time_ns()
