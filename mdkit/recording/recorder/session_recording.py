"""Writes into a recorder everything that a replay needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

from mdkit.channels.channel import Channel
from mdkit.channels.channels import Channels
from mdkit.errors import MdkitError
from mdkit.events import Gap
from mdkit.queue.channel import LINE, Loss
from mdkit.recording import format as markers
from mdkit.recording.recorder.recorder import Recorder
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

    Args:
        after: the lines of the session's recordings before this one: places count over all.
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
        after: int = 0,
    ) -> None:
        self.recorder = recorder
        self._after = after
        self._end: int | None = None  # of the places in it, once it takes no more
        self._connections = connections
        self._feed = ""
        self._channels = channels
        self._unseen: dict[Loss, list[int]] = {}
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

    def places(self, count: int) -> Iterable[int]:
        """Return the places of the messages that `write` takes next; zeros if it takes none."""
        first = self._next("")
        return range(first, first + count * LINE, LINE) if first else repeat(0)

    def write(self, batch: Sequence[RawMessage]) -> None:
        """Take messages as they arrived, before they are queued, at the places just told."""
        if not self.recorder.closed:
            self.recorder.write_lines(batch)

    def frames(self, feed: Feed, frames: Sequence[RawMessage]) -> int:
        """Take what a venue sent on a connection; return the place of the first frame."""
        first = self._next(feed.name)
        self.write(frames)
        return first

    def _next(self, feed: str) -> int:
        """Return the place of what comes next on a connection; 0 for none."""
        if self._unseen:
            self._flush()
        if self.recorder.closed:
            return 0
        self._go_to(feed)
        return (self._after + self.recorder.next_line()) * LINE

    @property
    def lines(self) -> int:
        """How many lines this and the session's recordings before it have by now."""
        return self._after + self.recorder.lines

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

    def feed_ended(self, feed: Feed, at: int) -> int:
        """Write that another feed carries what this one carried; return the place of what was
        kept back until then, and received at `at`."""
        place = self._next(self._feed)
        line = place // LINE - self._after
        is_written = place and self._put(markers.FeedEnds(feed.name, line, at))
        return place + 1 if is_written else 0

    def _feeds(self) -> Iterator[markers.Marker]:
        """Yield what a part has to begin with: what each connection carries, and knows."""
        for feed, assembler in self._connections():
            yield _begins(feed, assembler.save())
        if self._feed:
            yield markers.FeedFrames(self._feed)

    def lost(self, what: Loss, places: Iterable[int]) -> None:
        """Keep which messages no strategy will see, as far as they are recorded here."""
        first, end = (self._after + 1) * LINE, self._end
        own = [place for place in places if first <= place and (end is None or place < end)]
        if own:
            self._unseen.setdefault(what, []).extend(own)

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
        self._end = (self.lines + 1) * LINE

    def wait_for_queued(self) -> None:
        """Have `waits` say so until what is queued by now was handled."""
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
        """Write what is left to be written."""
        self._flush()

    def _flush(self) -> None:
        """Write which messages no strategy will see."""
        if self.recorder.closed:
            self._unseen.clear()
        for what, places in list(self._unseen.items()):
            own = [place - self._after * LINE for place in places]
            told = [self._put(marker) for marker in _MARKERS[what].at(own)]  # each of them
            if all(told):
                del self._unseen[what]  # else they are written once there is room

    def _put(self, marker: markers.Marker) -> bool:
        return self.recorder.closed or self.recorder.mark(marker)

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
