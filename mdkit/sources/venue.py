"""`VenueSource`: public venues as a source, with books that are proven."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mdkit.errors import ServiceError
from mdkit.sources.feed import Feed
from mdkit.sources.replacement import Replacement
from mdkit.sources.source import Sink
from mdkit.sources.venue_connection import Fetch, VenueConnection
from mdkit.sources.websocket import WebSocketSource
from mdkit.venues.assembly.assembler import Assembler
from mdkit.venues.assembly.builder import BookBuilder
from mdkit.venues.codec import Subscription
from mdkit.venues.normalized.codec import NORMALIZED, NormalizedCodec
from mdkit.venues.venue import Venue

_TRY_AGAIN_SECONDS = 60.0
"""After it could not be replaced, a connection is left for so long."""

Wanted = Mapping[Venue, Mapping[str, str]]
"""Of each venue, its own name of each symbol."""


class VenueSource:
    """Reads public venues, over as many connections as they want to be used.

    Args:
        wanted: of each venue, its own names of the symbols.
        channels: for every symbol.
        levels: of a book that are published, a side.
        fetch: asks a venue's REST service.
        options: of every `WebSocketSource`.
    """

    codec: NormalizedCodec = NORMALIZED

    def __init__(
        self,
        wanted: Wanted,
        channels: Sequence[str],
        levels: int,
        fetch: Fetch,
        **options: Any,
    ) -> None:
        self.name = " and ".join(venue.title for venue in wanted)
        self.venues = tuple(wanted)
        self.levels = levels
        self._fetch = fetch
        self._options = options
        self._lock = asyncio.Lock()
        self._sink: Sink | None = None
        self._one_has_ended = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._numbers: dict[str, int] = {}
        self._is_stopping = False
        self._watching: set[asyncio.Task[None]] = set()
        self._begun: dict[str, deque[float]] = {}  # when connections were replaced, by venue
        self._failed: dict[str, float] = {}  # when a connection could not be replaced
        self._ended: dict[str, Counter[str]] = {}  # what replaced connections counted
        self.connections: list[VenueConnection] = []
        for venue, natives in wanted.items():
            venue.check_channels(channels)
            self.connections += self._connections(venue, natives, channels)

    # -- what others look at ---------------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols subscribed to, in order."""
        return tuple(dict.fromkeys(symbol for _, symbol in self.subscriptions))

    @property
    def subscriptions(self) -> dict[Subscription, None]:
        """The channels and symbols of all connections."""
        return {key: None for each in self.connections for key in each.subscriptions}

    @property
    def refused(self) -> dict[Subscription, ServiceError]:
        """What venues refused, and why."""
        return {k: v for each in self.connections for k, v in each.socket.refused.items()}

    @property
    def connected(self) -> bool:
        """Whether all connections are open."""
        return all(each.socket.connected for each in self.connections)

    @property
    def why_not_connected(self) -> str:
        """Why a connection is missing; "" where none is."""
        return next(filter(None, (c.socket.why_not_connected for c in self.connections)), "")

    @property
    def stale_for(self) -> float:
        """Seconds of silence beyond what is usual, of the connection that is silent longest."""
        return max((each.socket.stale_for for each in self.connections), default=0.0)

    @property
    def connects(self) -> int:
        """How many connections were made."""
        ended = sum(counts["connects"] for counts in self._ended.values())
        return ended + sum(each.socket.connects for each in self._all)

    @property
    def disconnects(self) -> int:
        """How many connections were lost."""
        ended = sum(counts["disconnects"] for counts in self._ended.values())
        return ended + sum(each.socket.disconnects for each in self._all)

    @property
    def tries(self) -> int:
        """How often a connection has been tried since it was lost."""
        return max((each.socket.tries for each in self.connections), default=0)

    def clock_ns(self) -> int:
        """Return the wall clock."""
        return time.time_ns()

    def feeds(self) -> list[tuple[Feed, Assembler]]:
        """Return what each connection carries, and what makes messages of its frames."""
        return [(each.feed, each.assembler) for each in self._all]

    @property
    def _all(self) -> list[VenueConnection]:
        """All connections, and those that are about to replace one, each after that."""
        found = []
        for each in self.connections:
            found.append(each)
            if each.replacement is not None:
                found.append(each.replacement.new)
        return found

    def frame_counts(self) -> dict[str, dict[str, int]]:
        """Return how many frames each connection has brought, by what they were."""
        counts = {
            each.feed.name: {"frames": each.assembler.frames, **each.assembler.counts}
            for each in self._all
        }
        kept = ("connects", "disconnects")
        ended = {
            name: {what: count for what, count in each.items() if what not in kept}
            for name, each in self._ended.items()
        }
        return {**ended, **counts}

    def books(self) -> Iterator[tuple[VenueConnection, str, BookBuilder]]:
        """Yield the builder of each symbol's book that is subscribed to and has begun.

        While a connection is being replaced, that is the one whose books are shown.
        """
        for each in self.connections:
            for symbol, builder in tuple(each.assembler.builders.items()):
                if ("depth", symbol) in each.subscriptions:
                    replacement = each.replacement
                    if replacement is not None and replacement.carries("depth", symbol):
                        builder = replacement.new.assembler.builders[symbol]
                    yield each, symbol, builder

    @property
    def troubles(self) -> list[str]:
        """A part of a sentence for each book that is not in step, and each silent subscription."""
        said = [
            f"the book of {symbol} is out of step with {each.venue.title} ({builder.reason})"
            for each, symbol, builder in self.books()
            if builder.state == "out of step"
        ]
        return said + [
            f"{each.venue.title} accepted {channel} of {symbol} and sends nothing that can be used"
            for each in self.connections
            for channel, symbol in each.silent
        ]

    def builder(self, symbol: str) -> BookBuilder | None:
        """Return what keeps a symbol's book; None before its first message."""
        return next((b for _, name, b in self.books() if name == symbol), None)

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<VenueSource {self.name} {state}, {len(self.subscriptions)} subscriptions>"

    def move(self, venue: Venue) -> None:
        """Take another address for a venue, before anything is connected to."""
        self.venues = tuple(venue if v.name == venue.name else v for v in self.venues)
        for each in self.connections:
            if each.venue.name == venue.name:
                each.venue = venue
                each.socket.url = venue.ws_url + each.path

    # -- running ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask `run` to return soon."""
        self._is_stopping = True
        for each in self._all:
            if each.replacement is not None:
                each.replacement.closes_old = False
            each.socket.stop()

    async def run(self, sink: Sink) -> None:
        """Deliver messages until `stop()`. Raises what no retry can help, as `WebSocketSource`."""
        self._sink = sink
        for each in self.connections:
            self._run(each)
        try:
            while self._running:
                await self._one_has_ended.wait()
                self._one_has_ended.clear()
                for task in [task for task in self._running if task.done()]:
                    self._running.discard(task)
                    task.result()
        finally:
            self.stop()
            for task in self._watching:
                task.cancel()
            await asyncio.gather(*self._running, *self._watching, return_exceptions=True)
            self._sink = None

    def _run(self, connection: VenueConnection) -> None:
        name = f"mdkit {connection.feed.name}"
        task = asyncio.create_task(self._carry(connection), name=name)
        task.add_done_callback(lambda _: self._one_has_ended.set())
        self._running.add(task)

    async def _carry(self, connection: VenueConnection) -> None:
        """Run a connection to its end; then the one that replaces it is the one."""
        assert self._sink is not None
        try:
            await connection.run(self._sink)
        except Exception as error:
            tried = connection.replacement
            if not isinstance(tried, Replacement) or tried.old is connection or self._is_stopping:
                raise
            self._failed[tried.old.feed.name] = time.monotonic()
            tried.give_up(error)
            return
        ended = connection.replacement
        if isinstance(ended, Replacement) and ended.old is connection and ended.closes_old:
            async with self._lock:
                await ended.finish()
                self._put_in_place(ended)

    # -- replacing connections ---------------------------------------------------------------------

    def _replace(self, old: VenueConnection, reason: str) -> None:
        """Make the next connection beside one that will end, unless that is done already.

        Whoever asks goes on to ask: it is not made where too many are, or just after one failed.
        """
        failed = self._failed.get(old.feed.name)
        if failed is not None and time.monotonic() - failed < _TRY_AGAIN_SECONDS:
            return
        if self._is_stopping or old.replacement is not None or old not in self.connections:
            return
        if not self._may_connect(old.venue):
            return
        new = self._connection(old.venue, old.socket.url, dict(old.feed.natives), ())
        new.socket.subscriptions.update(old.subscriptions)
        new.feed = replace(new.feed, after=old.feed.name)
        replacement = Replacement(old, new, reason)
        self._run(new)
        watching = asyncio.create_task(replacement.watch(), name="mdkit replacement")
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    def _may_connect(self, venue: Venue) -> bool:
        """Whether another connection is less than half of what a venue wants within a minute.

        The others are for those that are lost. A venue whose every server says that it will stop
        is not asked for one after the other.
        """
        begun = self._begun.setdefault(venue.name, deque())
        now = time.monotonic()
        while begun and now - begun[0] > 60.0:
            begun.popleft()
        if len(begun) >= venue.manners.connects_per_minute // 2:
            return False
        begun.append(now)
        return True

    def _put_in_place(self, replacement: Replacement) -> None:
        """Have a new connection be what the old one was."""
        old, new = replacement.old, replacement.new
        self.connections[self.connections.index(old)] = new
        new.feed = replace(new.feed, after="")
        self._ended[old.feed.name] = Counter(
            {
                "frames": old.assembler.frames,
                **old.assembler.counts,
                "connects": old.socket.connects,
                "disconnects": old.socket.disconnects,
            }
        )

    # -- subscriptions -----------------------------------------------------------------------------

    async def subscribe(self, channel: str, symbols: Sequence[str]) -> None:
        """Add subscriptions of symbols, on a connection that has room for them.

        Raises `SettingsError` for what cannot be a symbol of the venue.
        """
        for symbol in dict.fromkeys(symbols):
            venue, native = self._named(symbol)
            carrier = next(
                (
                    each
                    for each in self.connections
                    if each.venue.name == venue.name
                    and venue.url(channel) == each.socket.url
                    and (
                        symbol in each.feed.natives
                        or len(each.feed.natives) < venue.manners.symbols_per_connection
                    )
                ),
                None,
            )
            if carrier is None:
                new = self._connections(venue, {symbol: native}, [channel])
                self.connections += new
                if self._sink is not None:
                    for each in new:
                        self._run(each)
                continue
            for each in self._all:
                # That which is about to replace it as well.
                if each is carrier or (
                    carrier.replacement and each.replacement is carrier.replacement
                ):
                    each.carry(symbol, native)
                    await each.socket.subscribe(channel, [symbol])

    async def unsubscribe(self, channel: str, symbols: Sequence[str]) -> None:
        """End subscriptions; messages already under way may still arrive."""
        for each in self._all:
            have = [symbol for symbol in symbols if (channel, symbol) in each.subscriptions]
            if have:
                await each.socket.unsubscribe(channel, have)

    def common(self, symbol: str) -> str:
        """Return the form in which a symbol is used here; `SettingsError` for what is none."""
        venue, _ = self._named(symbol)
        prefix, mark, name = symbol.partition(":")
        known = venue.names.common(name if mark and prefix == venue.name else symbol)
        return f"{venue.name}:{known}" if len(self.venues) > 1 else known

    def _named(self, symbol: str) -> tuple[Venue, str]:
        """Return the venue that a symbol is of, and its own name there."""
        prefix, mark, name = symbol.partition(":")
        for venue in self.venues:
            if mark and venue.name == prefix:
                return venue, venue.names.native(name)
        return self.venues[0], self.venues[0].names.native(symbol)

    # -- connections -------------------------------------------------------------------------------

    def _connections(
        self, venue: Venue, natives: Mapping[str, str], channels: Sequence[str]
    ) -> list[VenueConnection]:
        """Return as many connections as the venue wants for these symbols."""
        by_url: dict[str, list[str]] = {}
        for channel in channels:
            by_url.setdefault(venue.url(channel), []).append(channel)
        most = venue.manners.symbols_per_connection
        names = list(natives)
        return [
            self._connection(venue, url, {n: natives[n] for n in names[at : at + most]}, carried)
            for url, carried in by_url.items()
            for at in range(0, len(names), most)
        ]

    def _connection(
        self, venue: Venue, url: str, natives: dict[str, str], channels: Sequence[str]
    ) -> VenueConnection:
        number = self._numbers[venue.name] = self._numbers.get(venue.name, 0) + 1
        depth = venue.depth_for(self.levels)
        feed = Feed(f"{venue.name} {number}", venue.name, natives, self.levels, depth)
        own = dict(natives)  # which grows with what is subscribed to later
        manners = venue.manners
        options = {"heartbeat": 20.0, "connects_per_minute": manners.connects_per_minute}
        if not manners.tells_silence:
            options["stale_after"] = float("inf")
        wire = venue.wire(venue, own, depth)
        wire.manners = manners
        socket = WebSocketSource(
            url,
            channels,
            tuple(natives),
            codec=wire,
            rest_url=venue.rest_url,
            name=venue.name,
            **{**options, **self._options},
        )
        path = url.removeprefix(venue.ws_url)
        return VenueConnection(
            venue, feed, socket, self._lock, self._fetch, own, path, self._replace
        )
