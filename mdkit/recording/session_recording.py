"""Keeps a recorder told of everything that a replay needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mdkit.channels.channel import Channel
from mdkit.channels.channels import Channels
from mdkit.errors import MdkitError
from mdkit.events import Gap
from mdkit.queue.channel import Loss
from mdkit.recording import format as markers
from mdkit.recording.recorder import Recorder
from mdkit.sources.connection import RawMessage
from mdkit.sources.feed import Feed
from mdkit.venues.assembly.assembler import Assembler, AssemblerState

_MARKERS: dict[Loss, type[markers.UnseenMarker]] = {
    "refused": markers.Refused,
    "dropped": markers.Dropped,
    "conflated": markers.Conflated,
    "left": markers.Left,
}


class SessionRecording:
    """Writes a pipeline's messages and losses into a recorder, in the order they happen.

    Nothing happens any more once the recorder was closed, by whomever.
    """

    def __init__(
        self,
        recorder: Recorder,
        channels: Channels,
        *,
        source: str,
        symbols: Sequence[str],
        venue: str,
        on_problem: Callable[[MdkitError], None],
        connections: Callable[[], Iterable[tuple[Feed, Assembler]]] = tuple,
    ) -> None:
        self.recorder = recorder
        self._connections = connections
        self._feed = ""
        self._channels = channels
        self._runs: dict[tuple[Channel, Loss], list[int]] = {}
        self._last: dict[Channel, int] | None = None  # of each channel, the last message taken
        self._due: dict[Channel, int] = {}  # how many will have been handled when that one is
        recorder.start(
            source,
            symbols,
            allow_nonpositive=channels.router.allow_nonpositive,
            venue=venue,
            counts=self._counts,
            feeds=self._feeds,
            on_problem=on_problem,
        )

    def write(self, batch: Sequence[RawMessage]) -> None:
        """Take messages as they arrived, before they are queued."""
        self._write("", batch)

    def frames(self, feed: Feed, frames: Sequence[RawMessage]) -> None:
        """Take what a venue sent on a connection."""
        self._write(feed.name, frames)

    def _write(self, feed: str, batch: Sequence[RawMessage]) -> None:
        self._flush()
        if not self.recorder.closed:
            self._go_to(feed)
            self.recorder.write(batch)

    def _go_to(self, feed: str) -> None:
        if feed != self._feed:
            self._feed = feed
            self._put(markers.FeedFrames(feed))

    def feed_changed(self, feed: Feed) -> None:
        """Write what a connection to a venue carries from here on."""
        self._put(_begins(feed))

    def feed_opened(self, feed: Feed, at: int) -> None:
        """Write that a feed's connection was made."""
        self.feed_changed(feed)
        self._go_to(feed.name)
        self.connected(at)

    def feed_closed(self, feed: Feed, at: int, reason: str) -> None:
        """Write that a feed's connection ended."""
        self._go_to(feed.name)
        self.disconnected(at, reason)

    def feed_ended(self, feed: Feed) -> None:
        """Write that another feed carries what this one carried."""
        self._put(markers.FeedEnds(feed.name))

    def _feeds(self) -> Iterator[markers.Marker]:
        """Yield what a part has to begin with: what each connection carries, and knows."""
        for feed, assembler in self._connections():
            yield _begins(feed, assembler.save())
        if self._feed:
            yield markers.FeedFrames(self._feed)

    def lost(self, channel: Channel, what: Loss, first: int, count: int) -> None:
        """Count messages that no strategy will see."""
        if self._last is not None:
            if what == "refused":
                return
            count = min(count, self._last.get(channel, 0) - first + 1)
            if count <= 0:
                return
        run = self._runs.get((channel, what))
        if run is not None and run[0] + run[1] == first:
            run[1] += count
            return
        if run is not None:
            self._mark(channel, what, run)
        self._runs[channel, what] = [first, count]

    def gap(self, gap: Gap) -> None:
        """Write a gap, in its place among the messages."""
        self._flush()
        self._put(markers.Missed.of(gap))

    def subscribed(self, at: int, symbols: Sequence[str]) -> None:
        """Write a change of subscriptions."""
        self._put(markers.Subscribed(at, tuple(symbols)))

    def connected(self, at: int) -> None:
        """Write that a connection was made."""
        self._put(markers.Connected(at))

    def disconnected(self, at: int, reason: str) -> None:
        """Write that a connection ended."""
        self._put(markers.Disconnected(at, reason))

    def take_no_more(self) -> None:
        """Write no more messages; go on to write what becomes of those written so far."""
        self._last = {
            channel: channel.admitted
            for channel in self._channels
            if channel.admitted > channel.left or channel.in_flight
        }

    @property
    def waits(self) -> bool:
        """Whether messages taken are still queued, or being handled."""
        if self.recorder.closed:
            return False
        for channel, last in (self._last or {}).items():
            if channel.left < last:
                return True
            # A channel's messages are handled in order, so these are before what left later.
            handled = _handled(channel)
            if handled < self._due.setdefault(channel, handled + channel.in_flight):
                return True
        return False

    def end(self) -> None:
        """Mark what still waits as never handled."""
        self._flush()
        last = self._last
        for channel in self._channels if last is None else last:
            count = (channel.admitted if last is None else last[channel]) - channel.left
            if count > 0:
                self._mark(channel, "left", (channel.left + 1, count))

    def _flush(self) -> None:
        for (channel, what), run in self._runs.items():
            self._mark(channel, what, run)
        self._runs.clear()

    def _mark(self, channel: Channel, what: Loss, run: Sequence[int]) -> None:
        self._put(_MARKERS[what](channel.symbol, channel.channel, *run))

    def _put(self, marker: markers.Marker) -> None:
        if not self.recorder.closed:
            self.recorder.mark(marker)

    def _counts(self) -> Iterator[tuple[str, str, int, int]]:
        for channel in self._channels:
            arrived = channel.admitted + channel.refused
            yield channel.symbol, channel.channel, arrived, channel.admitted


def _begins(feed: Feed, state: AssemblerState | None = None) -> markers.FeedBegins:
    return markers.FeedBegins(
        feed.name, feed.venue, dict(feed.natives), feed.levels, feed.depth, feed.after, state
    )


def _handled(channel: Channel) -> int:
    return channel.processed + channel.dead_lettered + channel.invalid
