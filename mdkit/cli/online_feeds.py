"""The feeds that `mdkit doctor --online` tries: what arrives, and whether the book is proven."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies

from mdkit.errors import FeedError, MdkitError
from mdkit.events import Gap
from mdkit.session.venues import fetch
from mdkit.sources.connection import RawMessage
from mdkit.sources.feed import Feed
from mdkit.sources.venue import VenueSource
from mdkit.venues.registry import VENUES
from mdkit.venues.venue import Venue

BOOKS = 20
"""So many proven books are enough."""
_LEVELS = 10
_STOP_SECONDS = 1.5
"""How long before the end a feed is left, so that closing it has its time."""
_LOOK_SECONDS = 0.02

Try = Callable[[float], str]


def feed_attempts(venues: Mapping[str, Venue] | None = None) -> list[tuple[str, str, Try]]:
    """Return what reads each venue's feed for a few seconds: (venue, what, how)."""
    return [(name, "feed", _reading(venue)) for name, venue in (venues or VENUES).items()]


def _reading(venue: Venue) -> Try:
    def attempt(seconds: float) -> str:
        until = time.monotonic() + seconds - _STOP_SECONDS
        _look_up(venue.ws_url)
        return asyncio.run(_read(venue, until))

    return attempt


def _look_up(url: str) -> None:
    """Look up a host in this thread, which may be left; not in one of the loop's, which may not."""
    parts = urlsplit(url)
    if getproxies() or not parts.hostname:
        return
    try:
        socket.getaddrinfo(parts.hostname, parts.port or 443)
    except OSError as error:
        raise FeedError(f"No connection to {parts.hostname}: {error.strerror}") from None


async def _read(venue: Venue, until: float) -> str:
    """Read until enough books are proven, or for so long; return what came, or raise why not."""
    symbol = venue.names.common(venue.names.example)
    channels = [channel for channel in ("depth", "trade") if channel in venue.channels]
    natives = {symbol: venue.names.native(symbol)}
    source = VenueSource({venue: natives}, channels, _LEVELS, fetch)
    seen = _Seen()
    began = time.monotonic()
    running = asyncio.create_task(source.run(seen))
    in_step = 0.0
    while not running.done() and time.monotonic() < until:
        builder = source.builder(symbol)
        if builder is not None and builder.state == "in step":
            in_step = in_step or time.monotonic() - began
            if builder.books >= BOOKS and seen.messages["trade"]:
                break
        await asyncio.sleep(_LOOK_SECONDS)
    builder = source.builder(symbol)
    state = builder.state if builder is not None else ""
    books = builder.books if builder is not None else 0
    source.stop()
    await running  # raises what no retry could help
    if not seen.frames:
        raise FeedError(seen.trouble or "it is open, and nothing came")
    came = f"{seen.frames} frames, {seen.messages['trade']} trades"
    if state != "in step":
        why = f": {builder.reason}" if builder is not None and builder.reason else ""
        raise FeedError(f"{came}; the book of {symbol} is {state or 'absent'}{why}")
    return (
        f"{came}; {books} books of {symbol}, the first after {in_step:.1f} s, "
        f"proven by {venue.proof}"
    )


class _Seen:
    """A `Sink` that counts."""

    def __init__(self) -> None:
        self.frames = 0
        self.messages: Counter[str] = Counter()
        self.trouble = ""

    def record_frames(self, feed: Feed, frames: Sequence[RawMessage]) -> int:
        """Count frames."""
        self.frames += len(frames)
        return 0

    async def queue(self, batch: Sequence[RawMessage], places: Sequence[int] = ()) -> None:
        """Count messages by their type."""
        for raw, _ in batch:
            self.messages["trade" if raw.startswith(b'{"type":"trade"') else "other"] += 1

    async def deliver(self, batch: Sequence[RawMessage]) -> list[bytes]:
        """Count messages."""
        await self.queue(batch)
        return []

    def problem(self, error: MdkitError) -> None:
        """Keep the last trouble."""
        self.trouble = str(error)

    def gap(self, gap: Gap) -> None:
        """Keep why something is not had."""
        self.trouble = self.trouble or gap.reason

    def derived_gap(self, gap: Gap) -> None:
        """Keep nothing: the book's state says it."""

    async def begin_anew(self) -> None:
        """Keep nothing."""

    def expect(self, symbols: Sequence[str]) -> None:
        """Keep nothing."""

    async def opened(self, gaps: Sequence[Gap]) -> None:
        """Keep nothing."""

    async def subscribed(self, pushed: Callable[[], Sequence[RawMessage]] = tuple) -> None:
        """Keep nothing."""

    def closed(self, reason: str) -> None:
        """Keep nothing."""

    def feed_opened(self, feed: Feed) -> None:
        """Keep nothing."""

    def feed_changed(self, feed: Feed) -> None:
        """Keep nothing."""

    def feed_closed(self, feed: Feed, reason: str) -> None:
        """Keep why a connection ended."""
        self.trouble = self.trouble or reason

    def feed_ended(self, feed: Feed, at: int) -> int:
        """Keep nothing."""
        return 0
