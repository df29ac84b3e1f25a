"""A WebSocket feed as a source: connects, subscribes, keeps alive, reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from mdkit.errors import (
    AuthenticationError,
    FeedError,
    MdkitError,
    QuotaError,
    RateLimitError,
    RequestError,
    ServerError,
    SettingsError,
    SubscriptionError,
)
from mdkit.events import REFUSED, SET_BACK, Gap
from mdkit.machine import in_browser
from mdkit.redaction import Secret, hide, hide_address
from mdkit.sources.backoff import Backoff
from mdkit.sources.connection import (
    Connection,
    ConnectionEndedError,
    HandshakeError,
    shown,
)
from mdkit.sources.failures import check_url, why_not_connected
from mdkit.sources.source import MessageSink
from mdkit.sources.subscriptions import Subscriptions
from mdkit.venues.codec import Wire
from mdkit.venues.registry import codec_for_url
from mdkit.venues.rest.retry_after import LONGEST_WAIT

if not in_browser():  # which has no sockets; elsewhere it is loaded now, and not in a loop
    from mdkit.sources.websockets_connection import open_websockets

_SET_BACK_NS = 1_000_000


class WebSocketSource:
    """Reads a WebSocket feed: connects, subscribes, keeps alive, reconnects.

    Args:
        url: ws:// or wss://, without the key.
        channels, symbols: what to subscribe to; every channel for every symbol.
        codec: what the feed speaks; told from the URL unless given.
        rest_url: the base of the venue's REST service, where its address does not follow from
            `url`.
        api_key: sent as the protocol demands, shown nowhere.
        base_delay, max_delay: backoff in seconds, with full jitter.
        heartbeat: seconds between protocol pings; a connection on which nothing at all
            arrives for twice as long is given up.
        stale_after: seconds of silence on a connected feed after which it is called stale;
            twice the heartbeat unless given.
        market: passed on as the service's `type`, for symbols that are ambiguous.
        compression: permessage-deflate; costs CPU, saves bandwidth on slow links.
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[str],
        symbols: Sequence[str],
        *,
        api_key: str | None = None,
        base_delay: float = 1.0,
        max_delay: float = 60.0,
        heartbeat: float = 30.0,
        stale_after: float | None = None,
        connects_per_minute: int = 30,
        market: str | None = None,
        compression: bool = False,
        codec: Wire | None = None,
        rest_url: str | None = None,
        name: str = "tickdb",
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self.url: str = hide_address(url)
        self.rest_url = rest_url
        self.codec: Wire = codec_for_url(url) if codec is None else codec
        self.heartbeat = heartbeat
        self.stale_after = 2 * heartbeat if stale_after is None else stale_after
        self._subscriptions = Subscriptions(
            ((channel, symbol) for channel in channels for symbol in symbols),
            self.codec,
            market=market,
            patience=base_delay if backoff is None else backoff.base,
        )
        self.subscriptions = self._subscriptions.wanted
        self.refused = self._subscriptions.refused
        self.connects = 0
        self.disconnects = 0
        self.tries = 0
        self._api_key = hide(api_key)
        self._compression = compression
        self._backoff = backoff or Backoff(
            base_delay, max_delay, time.monotonic, per_minute=connects_per_minute
        )
        self._connection: Connection | None = None
        self._stopping = asyncio.Event()
        self._sink: MessageSink | None = None
        # When data came last on this connection, or were subscribed to: by the monotonic clock,
        # 0.0 before; and by the wall clock, kept when the connection is gone.
        self._last_data = 0.0
        self._last_data_ns = 0
        self._delivering = False
        self._down_since_ns = 0
        self._down_reason = ""
        self._told_open = False
        self._asked_ns = 0  # when the connection was asked for, until something comes on it
        self._planned = ""  # why this end ended the connection
        self.on_age: Callable[[str], None] | None = None
        """Told, again and again, that the connection has lived as long as it should; without it
        another is made in its place."""

    # -- what others look at ---------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols subscribed to, in order."""
        return tuple(dict.fromkeys(symbol for _, symbol in self.subscriptions))

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return self._connection is not None

    @property
    def why_not_connected(self) -> str:
        """Why there is no connection, and how often one has been tried since; "" with one."""
        if self.connected or not self._down_reason:
            return ""
        return f"{self._down_reason}, try {self.tries}" if self.tries else self._down_reason

    @property
    def stale_for(self) -> float:
        """Seconds beyond `stale_after` without market data on an open connection, else 0.0."""
        if self._connection is None or self._delivering:
            return 0.0
        silent = self._silent
        return silent if silent > self.stale_after else 0.0

    @property
    def is_settled(self) -> bool:
        """Whether everything is subscribed to, and all commands are answered."""
        return self._subscriptions.is_settled

    def clock_ns(self) -> int:
        """Return the wall clock."""
        return time.time_ns()

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return (
            f"<WebSocketSource {shown(self.url)} {state}, "
            f"{len(self.subscriptions)} subscriptions, {self.connects} connects>"
        )

    # -- running -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask `run` to return soon."""
        self._stopping.set()

    async def run(self, sink: MessageSink) -> None:
        """Deliver messages until `stop()`; reconnect whenever that can help.

        Raises `AuthenticationError`, `QuotaError`, `RequestError` or `SubscriptionError` when
        no retry can help, `SettingsError` for a proxy whose library is not installed, and
        `FeedError` for a URL that cannot be one, or a server whose certificate cannot be trusted
        though nothing has come from it yet.
        """
        self._sink = sink
        try:
            check_url(self.url)
            await self._run(sink)
        finally:
            self._sink = None
            now = time.time_ns()
            silent = self._silent
            if self._down_since_ns:  # it ends without a connection
                for gap in self._gaps_since_last(now):
                    sink.gap(gap)
            elif silent > self.stale_after:
                self._tell_silence(sink, silent, now)

    async def _run(self, sink: MessageSink) -> None:
        while not self._stopping.is_set():
            self._backoff.connecting()
            self.tries += 1
            wait = 0.0
            try:
                await self._run_connection(sink)
                return
            except (
                AuthenticationError,
                QuotaError,
                RequestError,
                SettingsError,
                SubscriptionError,
            ):
                raise
            except (RateLimitError, ServerError) as error:
                wait = min(error.retry_after or 0.0, LONGEST_WAIT)
                self._note_down(str(error))
                sink.problem(error)
            except (MdkitError, OSError, TimeoutError, HandshakeError) as error:
                if isinstance(error, MdkitError):
                    why, problem = str(error), error
                else:
                    why = why_not_connected(self.url, error)
                    problem = FeedError(f"No connection to {shown(self.url)}: {why}.")
                if isinstance(error, ssl.SSLCertVerificationError) and not self.connects:
                    # The address or this machine is set up wrongly, which no retry can heal;
                    # of a server that was once good, it is the server, and that may be mended.
                    raise problem from None
                self._note_down(why)
                sink.problem(problem)
            except ConnectionEndedError as ended:
                self._note_down(self._planned or str(ended))
            if self._told_open:
                self._told_open = False
                sink.closed(self._down_reason)
            delay = self._backoff.delay(wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    def _note_down(self, reason: str) -> None:
        self._down_reason = reason
        if not self._down_since_ns and self.connects:
            self._down_since_ns = self._last_data_ns or time.time_ns()

    async def _run_connection(self, sink: MessageSink) -> None:
        asked_ns = time.time_ns()
        connection = await self._open()
        if connection is None:
            return
        self._connection = connection
        self._last_data = 0.0
        self._asked_ns, self._planned = asked_ns, ""
        self.connects += 1
        self.tries = 0
        self._told_open = True
        self._backoff.connected()
        heart = asyncio.create_task(self._beat(connection), name="mdkit heartbeat")
        stopper = asyncio.create_task(self._close_on_stop(connection), name="mdkit stopper")
        try:
            # Where the URL subscribes, the first pushes may be here already.
            gaps = self._gaps_since_last(asked_ns if self.codec.subscribes_in_url else 0)
            if await self._unless_stopped(sink.opened(gaps)):
                self._last_data_ns = asked_ns if self.codec.subscribes_in_url else time.time_ns()
                for greeting in self.codec.manners.greetings:
                    await connection.send_text(greeting)
                await self._subscriptions.open(connection)
                await self._unless_stopped(sink.subscribed(lambda: connection.waiting))
                self._last_data = time.monotonic()
            while True:
                batch = await connection.batch()
                silent = self._silent
                self._note_clock(sink, batch[0][1])
                self._delivering = True
                try:
                    answers = await sink.deliver(batch)
                except BaseException:
                    self._last_data = time.monotonic()  # something had come
                    raise
                finally:
                    self._delivering = False
                if len(answers) < len(batch):
                    self._note_data(sink, silent, batch[0][1], batch[-1][1])
                elif silent < self.stale_after:
                    # A sink that suspends is no silence of the feed's.
                    self._last_data = time.monotonic() - silent
                for raw in answers:
                    self._subscriptions.answered(raw, sink.problem, self._note_refused)
        except ConnectionEndedError:
            if self._stopping.is_set():
                return
            self.disconnects += 1
            if heart.done() and not heart.cancelled() and heart.exception() is not None:
                raise heart.exception() from None  # type: ignore[misc]
            raise
        finally:
            self._connection = None
            self._subscriptions.close()
            for task in (heart, stopper):
                task.cancel()
            await asyncio.gather(heart, stopper, return_exceptions=True)
            await connection.hang_up()

    async def _open(self) -> Connection | None:
        """Connect; None when asked to stop meanwhile."""
        url = Secret(self.codec.url(self.url, self._api_key, self.subscriptions))
        opening = asyncio.ensure_future(
            open_websockets(url, self.codec, compression=self._compression)
        )
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
            return opening.result() if opening.done() else None
        finally:
            opening.cancel()
            stopping.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Await something; cancel it and return False when asked to stop."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            return not self._stopping.is_set()
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def _close_on_stop(self, connection: Connection) -> None:
        await self._stopping.wait()
        await connection.hang_up()

    async def _beat(self, connection: Connection) -> None:
        """Send pings; close a connection on which nothing arrives any more.

        Silence is counted in ticks of this task, not on the clock: a loop that was blocked
        for a minute has not listened, and must not blame the connection for it.
        """
        tick = min(1.0, self.heartbeat / 4)
        silent = since_ping = 0.0
        seen = connection.bytes_seen
        manners = self.codec.manners
        since_beat = age = 0.0
        while True:
            await asyncio.sleep(tick)
            since_beat += tick
            age += tick
            if manners.lifetime is not None and age >= manners.lifetime:
                reason = f"planned, after {age / 3600:.1f} h"
                if self.on_age is None:
                    await self.reconnect(reason)
                    return
                self.on_age(reason)
            if manners.heartbeat is not None and since_beat >= manners.heartbeat_seconds - tick / 2:
                since_beat = 0.0
                await connection.send_text(manners.heartbeat)
            since_ping += tick
            if since_ping >= self.heartbeat:
                since_ping = 0.0
                await connection.send_ping()
            if connection.bytes_seen != seen or connection.reading_paused:
                seen, silent = connection.bytes_seen, 0.0
                continue
            silent += tick
            if silent >= 2 * self.heartbeat:
                connection.cut()
                raise FeedError(f"nothing arrived for {silent:.0f} s, not even answers to pings")

    # -- subscriptions ------------------------------------------------------------------------

    async def subscribe(self, channel: str, symbols: Sequence[str]) -> None:
        """Add subscriptions; takes effect at once when connected.

        What was unsubscribed for a while has missed something, and that is a gap.
        """
        now = time.time_ns()
        for symbol in dict.fromkeys(symbols):
            since = self._subscriptions.dropped_since((channel, symbol))
            if since and self._sink is not None:
                self._sink.gap(Gap(symbol, channel, "not subscribed", since, now))
        await self._subscriptions.add(channel, symbols)

    async def unsubscribe(self, channel: str, symbols: Sequence[str]) -> None:
        """End subscriptions; messages already under way may still arrive."""
        since = self._down_since_ns or (time.time_ns() if self._last_data_ns else 0)
        await self._subscriptions.remove(channel, symbols, since)

    async def resubscribe(self, channel: str, symbol: str) -> None:
        """End a subscription and begin it again at once, for a new snapshot.

        Raises `ConnectionEndedError` when the connection is gone.
        """
        if (channel, symbol) in self.subscriptions:
            await self._subscriptions.repeat(channel, symbol)

    async def reconnect(self, reason: str) -> None:
        """Make a new connection in place of the present one."""
        if self._connection is not None:
            self._planned = reason
            await self._connection.hang_up()

    # -- gaps ---------------------------------------------------------------------------------

    @property
    def _silent(self) -> float:
        """Seconds since data came on this connection, or since it was subscribed on."""
        return time.monotonic() - self._last_data if self._last_data else 0.0

    def _gaps_since_last(self, until_ns: int) -> list[Gap]:
        since, self._down_since_ns = self._down_since_ns, 0
        if not since:
            return []
        return [
            Gap(symbol, channel, self._down_reason, since, until_ns)
            for channel, symbol in self.subscriptions
        ]

    def _note_refused(self, subscription: tuple[str, str], error: MdkitError) -> None:
        """Tell that nothing will come of a subscription."""
        channel, symbol = subscription
        if self._sink is not None:
            now = time.time_ns()
            self._sink.gap(Gap(symbol, channel, f"{REFUSED}: {error}", now, now))

    def _note_data(self, sink: MessageSink, silent: float, first_ns: int, last_ns: int) -> None:
        if silent > self.stale_after:
            self._tell_silence(sink, silent, first_ns)
        self._last_data = time.monotonic()
        self._last_data_ns = last_ns

    def _note_clock(self, sink: MessageSink, received_ns: int) -> None:
        """Tell that the wall clock was set back since the last data, before what comes now."""
        # What a venue says by itself on connecting comes before anything is subscribed to.
        before_ns, self._asked_ns = self._asked_ns or self._last_data_ns, 0
        back_ns = before_ns - received_ns
        if back_ns < _SET_BACK_NS:
            return
        self._last_data_ns = received_ns
        reason = f"{SET_BACK} by {back_ns / 1e9:,.3f} s; nothing is missing"
        for channel, symbol in self.subscriptions:
            sink.gap(Gap(symbol, channel, reason, received_ns, received_ns))

    def _tell_silence(self, sink: MessageSink, seconds: float, until_ns: int) -> None:
        reason = f"silent for {seconds:.1f} s while connected"
        for channel, symbol in self.subscriptions:
            sink.gap(Gap(symbol, channel, reason, self._last_data_ns, until_ns))
