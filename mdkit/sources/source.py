"""The protocols between what delivers messages and what takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from mdkit.errors import MdkitError
from mdkit.events import Gap
from mdkit.sources.connection import RawMessage
from mdkit.sources.feed import Feed
from mdkit.venues.codec import Codec
from mdkit.venues.registry import DEFAULT


class MessageSink(Protocol):
    """Where a connection delivers messages to."""

    async def deliver(self, batch: Sequence[RawMessage]) -> list[bytes]:
        """Take messages in order, suspending when the queue says so.

        Returns those that are not market data: answers to the source's own commands.
        """

    def gap(self, gap: Gap) -> None:
        """Report a stretch that was not seen."""

    async def begin_anew(self) -> None:
        """Handle what was delivered, then forget it: what comes now does not follow it."""

    def expect(self, symbols: Sequence[str]) -> None:
        """Set the symbols that messages are about from now on."""

    def problem(self, error: MdkitError) -> None:
        """Report trouble that the source survives, to be shown to the user."""

    async def opened(self, gaps: Sequence[Gap]) -> None:
        """Begin on a connection on which nothing is subscribed yet, with what was missed
        since the last one: gaps that end (`to_ns` is 0 meanwhile) when this returns, for then
        the source subscribes. For sources that connect; cancelled when the source is stopped."""

    async def subscribed(self, pushed: Callable[[], Sequence[RawMessage]] = tuple) -> None:
        """Go on once everything is subscribed to; what is pushed comes after this, and
        `pushed()` is what has come so far. Cancelled when the source is stopped."""

    def closed(self, reason: str) -> None:
        """End what belonged to the connection, which is gone."""


class Sink(MessageSink, Protocol):
    """Where a source delivers to; the pipeline. Sources whose messages are made of a venue's
    frames have those recorded in place of the messages."""

    def record_frames(self, feed: Feed, frames: Sequence[RawMessage]) -> int:
        """Take what a venue sent, to be recorded; what is made of it is queued next.

        Returns the place (see `Message`) of the first frame, 0 where nothing is recorded.
        """

    async def queue(self, batch: Sequence[RawMessage], places: Sequence[int]) -> None:
        """Take messages that were made of frames, suspending when the queue says so."""

    def derived_gap(self, gap: Gap) -> None:
        """Report a stretch that was not seen, of which recorded frames tell again."""

    def feed_opened(self, feed: Feed) -> None:
        """Begin on a new connection of a feed."""

    def feed_changed(self, feed: Feed) -> None:
        """Have a feed carry more than it did, from here on."""

    def feed_closed(self, feed: Feed, reason: str) -> None:
        """End what belonged to a feed's connection."""

    def feed_ended(self, feed: Feed, at: int) -> int:
        """End a feed for good: another carries what it carried.

        Returns the place (see `Message`) of the first message that was kept back until then, 0
        where nothing is recorded; `at` is when such were received, in ns.
        """


@runtime_checkable
class Source(Protocol):
    """Anything that delivers raw messages to a sink.

    A source may have a `codec`, which says what its messages mean; without one they are taken
    for TickDB's. `run` returns when the source is at its end or was stopped, and raises when it
    cannot go on.
    """

    name: str

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it is expected to carry; empty means whatever comes."""

    @property
    def connected(self) -> bool:
        """Whether messages can arrive now."""

    @property
    def stale_for(self) -> float:
        """Seconds that a connected source has been silent beyond its tolerance, else 0.0."""

    def clock_ns(self) -> int:
        """The present in the time of `received_ns`: the wall clock, or a recording's."""

    async def run(self, sink: Sink) -> None:
        """Deliver until the end."""

    def stop(self) -> None:
        """Ask `run` to return soon; messages in hand are still delivered."""


def codec_of_source(source: Source) -> Codec:
    """Return what a source's messages mean."""
    codec: Codec = getattr(source, "codec", DEFAULT)
    return codec
