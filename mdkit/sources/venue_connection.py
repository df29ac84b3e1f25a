"""One connection to a public venue: frames in, books and the rest out, snapshots asked for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

from mdkit.errors import FeedError, MdkitError
from mdkit.events import Gap
from mdkit.queue.channel import LINE
from mdkit.sources.connection import ConnectionEndedError, RawMessage
from mdkit.sources.feed import Feed
from mdkit.sources.source import Sink
from mdkit.sources.websocket import WebSocketSource
from mdkit.venues.assembly.assembler import Answered, Assembler, Ending, Wanted
from mdkit.venues.assembly.parser import REST_HEAD, rest_frame
from mdkit.venues.codec import Subscription
from mdkit.venues.rest.api import Request
from mdkit.venues.venue import Venue

FIRST_SECONDS = 10.0
"""How long the first message of a subscription may take before that is told."""
_RESYNC_SECONDS = 10.0
_ASK_SECONDS = 1.0
_LONGEST_BACKOFF = 60.0

Fetch = Callable[[Venue, Request], bytes]
"""Asks a venue's REST service; called in a thread."""


class Replacing(Protocol):
    """What becomes of two connections, of which one replaces the other; see `Replacement`."""

    old: VenueConnection
    new: VenueConnection
    closes_old: bool

    def carries(self, channel: str, symbol: str) -> bool:
        """Whether the next connection carries this already."""

    def begin(self) -> None:
        """Begin to hand over: the next connection is open."""

    def old_closed(self, reason: str) -> None:
        """End the old connection, which is lost, for good."""

    def new_closed(self, reason: str) -> None:
        """Go on with the old connection: the next one is lost."""

    def new_gap(self, gap: Gap) -> None:
        """Take a gap of the next connection."""


class VenueConnection:
    """Stands between a WebSocket and a pipeline: a `Sink` to the one, a source to the other.

    Args:
        venue: what is connected to.
        feed: what the connection carries.
        socket: connects, subscribes and reconnects.
        lock: held while something is delivered, so that what connections bring is recorded in
            the order in which it is queued.
        fetch: asks for books by REST, where they do not come by the socket.
        natives: the venue's own names, as the socket's commands look them up.
        path: below the venue's address.
        replace: asked for the next connection when the venue says that it will end this one, or
            it has lived nearly as long as it may; with the reason.

    Attributes:
        assembler: makes messages of the frames.
        replacement: by which this connection is replaced, or replaces another.
        ending: why the venue will end this connection; "" until it says so.
        last_ns: when a frame came last.
        missed: since when nothing has come, and why, before this connection opens.
    """

    def __init__(
        self,
        venue: Venue,
        feed: Feed,
        socket: WebSocketSource,
        lock: asyncio.Lock,
        fetch: Fetch,
        natives: dict[str, str],
        path: str = "",
        replace: Callable[[VenueConnection, str], None] = lambda connection, reason: None,
    ) -> None:
        self.venue = venue
        self.feed = feed
        self.socket = socket
        self.assembler: Assembler = feed.assembler()
        self.path = path
        self._lock = lock
        self._fetch = fetch
        self._natives = natives
        self._sink: Sink | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._replace = replace
        self.replacement: Replacing | None = None
        self.ending = ""
        self.last_ns = 0
        self.missed: tuple[int, str] | None = None
        self._failures: dict[str, int] = {}
        self._snapshots: set[asyncio.Task[None]] = set()
        self._silent: set[Subscription] = set()
        socket.on_age = lambda reason: replace(self, reason)

    @property
    def subscriptions(self) -> dict[Subscription, None]:
        """The channels and symbols that are asked for on this connection."""
        return self.socket.subscriptions

    @property
    def silent(self) -> list[Subscription]:
        """Books that were not refused, and that still have not begun after a while."""
        builders = self.assembler.builders
        return [
            key
            for key in self.subscriptions
            if key in self._silent
            and (key[1] not in builders or builders[key[1]].state == "waiting")
        ]

    async def run(self, sink: Sink) -> None:
        """Deliver until the socket's source is stopped."""
        self._sink = sink
        try:
            await self.socket.run(self)
        finally:
            await self._cancel()
            await asyncio.gather(*self._snapshots, return_exceptions=True)
            for gap in self._gaps_before(time.time_ns()):
                sink.gap(gap)
            if not self._is_closed_for_the_next:
                for gap in self.assembler.end(self.last_ns):
                    sink.derived_gap(gap)

    def _gaps_before(self, until_ns: int) -> list[Gap]:
        """Return what was missed before this connection opened, once."""
        missed, self.missed = self.missed, None
        if missed is None:
            return []
        since_ns, why = missed
        return [Gap(symbol, chan, why, since_ns, until_ns) for chan, symbol in self.subscriptions]

    @property
    def _is_next(self) -> bool:
        """Whether another connection delivers, and this one is to replace it."""
        return self.replacement is not None and self.replacement.new is self

    @property
    def _is_closed_for_the_next(self) -> bool:
        replacement = self.replacement
        return replacement is not None and replacement.old is self and replacement.closes_old

    def carry(self, symbol: str, native: str) -> None:
        """Carry one more symbol, which the venue calls so."""
        self._natives[symbol] = native
        self.feed = replace(self.feed, natives=dict(self._natives))
        self.assembler.expect(self.venue.by_native(self._natives))
        if self._sink is not None:  # before anything of it can come
            self._sink.feed_changed(self.feed)

    # -- the sink: what the socket's source delivers to -----------------------------------------

    async def deliver(self, batch: Sequence[RawMessage]) -> list[bytes]:
        """Make messages of frames, and pass them on; return answers to commands."""
        # None of them may pose as an answer of REST; JSON does not mind a blank.
        frames = [
            (b" " + raw if raw.startswith(REST_HEAD) else raw, received_ns)
            for raw, received_ns in batch
        ]
        async with self._lock:
            return await self._pass_on(frames)

    async def _take(self, answer: RawMessage) -> None:
        """Take an answer of REST as a frame among the others."""
        async with self._lock:
            await self._pass_on([answer])

    async def _pass_on(self, batch: Sequence[RawMessage]) -> list[bytes]:
        sink = self.sink
        first = sink.record_frames(self.feed, batch)
        answers: list[bytes] = []
        messages: list[RawMessage] = []
        places: list[int] = []
        for number, (raw, received_ns) in enumerate(batch):
            place = first + number * LINE
            for output in self.assembler.take(raw, received_ns):
                if isinstance(output, bytes):
                    place += 1
                    messages.append((output, received_ns))
                    places.append(place if first else 0)
                elif isinstance(output, Gap):
                    if messages:
                        await sink.queue(messages, places)
                        messages, places = [], []
                    sink.derived_gap(output)
                elif isinstance(output, Answered):
                    answers.append(output.raw)
                elif isinstance(output, Wanted):
                    self._resync(output)
                elif isinstance(output, Ending) and not self.ending:
                    self.ending = output.reason  # however often it says so
                    sink.problem(FeedError(f"{self.venue.title}: {output.reason}."))
                    self._start("ending", self._ask_for_the_next(output.reason))
        self.last_ns = batch[-1][1]
        if messages:
            await sink.queue(messages, places)
        return answers

    def gap(self, gap: Gap) -> None:
        """Pass a gap on, unless another connection brings what this one lacks."""
        if self.replacement is not None and self._is_next:
            self.replacement.new_gap(gap)
        elif not self._is_closed_for_the_next:
            self.sink.gap(gap)

    async def begin_anew(self) -> None:
        """Pass it on."""
        await self.sink.begin_anew()

    def expect(self, symbols: Sequence[str]) -> None:
        """Pass it on."""
        self.sink.expect(symbols)

    def problem(self, error: MdkitError) -> None:
        """Pass trouble on."""
        self.sink.problem(error)

    async def opened(self, gaps: Sequence[Gap]) -> None:
        """Begin on a new connection: books wait for a snapshot."""
        await self._cancel()
        self.ending = ""
        async with self._lock:
            self.assembler.connected()
            if self.replacement is not None and self._is_next:
                self.replacement.begin()
            self.sink.feed_opened(self.feed)
        if not self._is_next:
            await self.sink.opened([*gaps, *self._gaps_before(0)])

    async def subscribed(self, pushed: Callable[[], Sequence[RawMessage]] = tuple) -> None:
        """Watch for what does not come."""
        self._silent.clear()
        self._start("first messages", self._watch())
        if not self._is_next:
            await self.sink.subscribed()

    def closed(self, reason: str) -> None:
        """Pass on that the connection is gone."""
        for task in self._tasks.values():
            task.cancel()
        if self.replacement is None:
            self.sink.feed_closed(self.feed, reason)
        elif self._is_next:
            self.replacement.new_closed(reason)
        else:
            self.replacement.old_closed(reason)

    @property
    def sink(self) -> Sink:
        """What is delivered to, while this runs."""
        assert self._sink is not None
        return self._sink

    # -- books that need a snapshot ---------------------------------------------------------------

    def _resync(self, wanted: Wanted) -> None:
        """Ask for a snapshot until the book is in step, ever more slowly."""
        if wanted.reason:
            self._failures[wanted.symbol] = self._failures.get(wanted.symbol, 0) + 1
        self._start(wanted.symbol, self._bring_into_step(wanted.symbol))

    async def _bring_into_step(self, symbol: str) -> None:
        builder = self.assembler.builders[symbol]
        failures = self._failures.get(symbol, 0)
        while builder.wants_snapshot:
            if failures > 1:
                longest = min(_LONGEST_BACKOFF, 0.25 * 2.0 ** min(failures, 10))
                await asyncio.sleep(random.uniform(longest / 2, longest))
            failures += 1
            if self.venue.asks_for_books:
                await self._take_snapshot(symbol)
            else:
                await self._subscribe_anew(symbol)
                await self._wait_until_in_step(symbol)
        started = time.monotonic()
        # Builders are pure, and tell nobody; these two waits look now and then.
        while builder.state == "in step" and time.monotonic() - started < _LONGEST_BACKOFF:  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        if builder.state == "in step":
            self._failures.pop(symbol, None)

    async def _take_snapshot(self, symbol: str) -> None:
        """Ask for a book by REST, and take the answer as a frame among the others."""
        assert self.venue.asks_for_books
        request = self.venue.rest.depth(self.feed.natives[symbol], self.feed.depth)
        asked = request.path + "?" + "&".join(f"{k}={v}" for k, v in request.params.items())
        asked_ns = time.time_ns()
        try:
            body = await asyncio.to_thread(self._fetch, self.venue, request)
            frame = rest_frame(asked, asked_ns, body)
        except MdkitError as error:
            self.sink.problem(error)
            return
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self.sink.problem(FeedError(f"The book of {symbol} could not be had: {why}."))
            return
        # Whoever gives up waiting for it leaves it whole: once recorded it has to be queued.
        taking = asyncio.create_task(self._take((frame, time.time_ns())))
        self._snapshots.add(taking)
        taking.add_done_callback(self._snapshots.discard)
        await asyncio.shield(taking)

    async def _subscribe_anew(self, symbol: str) -> None:
        """End the subscription of a symbol's book and begin it again, for a new snapshot."""
        try:
            await self.socket.resubscribe("depth", symbol)
        except ConnectionEndedError:
            return

    async def _wait_until_in_step(self, symbol: str) -> None:
        """Wait for the snapshot: whoever asks again before it came is answered once."""
        builder = self.assembler.builders[symbol]
        deadline = time.monotonic() + _RESYNC_SECONDS
        while builder.wants_snapshot and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    # -- what will end --------------------------------------------------------------------------

    async def _ask_for_the_next(self, reason: str) -> None:
        """Ask for another connection until this one ends: it cannot always be had at once."""
        while True:
            self._replace(self, reason)
            await asyncio.sleep(_ASK_SECONDS)

    # -- what never comes --------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Tell of books of which nothing has come, or no snapshot, though nobody refused them."""
        began = time.time_ns()
        await asyncio.sleep(FIRST_SECONDS)
        for channel, symbol in tuple(self.subscriptions):
            builder = self.assembler.builders.get(symbol)
            if channel != "depth" or (builder is not None and builder.state != "waiting"):
                continue
            why = f" ({builder.reason})" if builder is not None and builder.reason else ""
            what = "nothing" if builder is None else "no snapshot that fits"
            reason = (
                f"{what} came within {FIRST_SECONDS:g} s of subscribing, though {self.venue.name} "
                f"did not refuse it{why}"
            )
            self._silent.add((channel, symbol))
            self.gap(Gap(symbol, channel, reason, began, time.time_ns()))
            self.sink.problem(
                FeedError(
                    f"The book of {symbol}, subscribed to at {self.socket.url} as "
                    f"{self.feed.natives.get(symbol, symbol)}: {reason}."
                )
            )

    # -- tasks ------------------------------------------------------------------------------------

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the stream, instead of what was done under that name."""
        before = self._tasks.get(name)
        if before is not None:
            before.cancel()
        task = self._tasks[name] = asyncio.create_task(work, name=f"mdkit {name}")
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        told = error if isinstance(error, MdkitError) else FeedError(f"{error!r}")
        if self._sink is not None:
            self._sink.problem(told)

    async def _cancel(self) -> None:
        tasks = [task for task in self._tasks.values() if task is not asyncio.current_task()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
