"""What strategies did not see of a recording, as its markers tell, and what the recording lacks.

The markers stand behind the messages that they are about, so they are read first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from mdkit.events import DROPPED, Gap
from mdkit.queue.channel import LINE
from mdkit.recording.file.lines import LineCount, MessageRun
from mdkit.recording.format import (
    Base,
    Header,
    Lost,
    Marker,
    Missed,
    Subscribed,
    UnseenMarker,
)
from mdkit.sources.connection import RawMessage
from mdkit.venues.routes import ANSWER, SEVERAL, Route, Router

Key = tuple[str, str]
"""(symbol, channel), as the ledger names its accounts."""

NOT_RECORDED = "not recorded"
"""The reason of a gap that is one of the recording alone: it lacks messages that had come."""

_LOSSES = ("refused", "dropped")
"""What makes a gap; what is conflated was replaced, and what is left at the end has no end."""


class Unseen:
    """An index of the messages that no strategy saw, by their places.

    Attributes:
        counts: messages by marker: "refused", "dropped", "conflated", "left".
        not_recorded: messages that could not be written.
        counted: markers of format 1, which tell no places, each with the id of its recording.
    """

    def __init__(self, markers: Iterable[Marker] = ()) -> None:
        self.counts: dict[str, int] = {}
        self.not_recorded = 0
        self.counted: list[tuple[str, UnseenMarker]] = []
        self._spans: list[tuple[int, int, bool]] = []
        self.read(markers, LineCount())

    def __bool__(self) -> bool:
        return bool(self.counts)

    def read(self, markers: Iterable[Marker], lines: LineCount) -> None:
        """Take the markers of a file into account; `lines` stands at its beginning."""
        recording = ""
        for marker in markers:
            lines.note(marker)
            if isinstance(marker, UnseenMarker):
                tag = str(marker.__struct_config__.tag)
                self.counts[tag] = self.counts.get(tag, 0) + marker.messages
                if marker.symbol:
                    self.counted.append((recording, marker))
                for first, end in lines.spans(marker):
                    self.add(first, end, is_loss=tag in _LOSSES)
            elif isinstance(marker, Lost):
                self.not_recorded += marker.count
            elif isinstance(marker, Header):
                recording = marker.id

    def add(self, first: int, end: int, *, is_loss: bool) -> None:
        """Add the messages at places [first, end); those that are lost make a gap."""
        self._spans.append((first, end, is_loss))

    def spans(self) -> Spans:
        """Return the places for a look at them in order."""
        return Spans(sorted(set(self._spans)))


class Spans:
    """Places of unseen messages, looked up in the order of a recording.

    Attributes:
        next: no place below this, and from the one asked for last on, is among them.
    """

    __slots__ = ("_firsts", "_spans", "next")

    def __init__(self, spans: Sequence[tuple[int, int, bool]]) -> None:
        self._spans = spans
        self._firsts = [first for first, _, _ in spans]
        self.next: float = -inf

    def find(self, place: int) -> bool | None:
        """Return whether the message at a place was lost; None where strategies saw it."""
        at = bisect_right(self._firsts, place)
        if at:
            _, end, is_loss = self._spans[at - 1]
            if place < end:
                self.next = place
                return is_loss
        self.next = self._firsts[at] if at < len(self._firsts) else inf
        return None


@dataclass(slots=True)
class _Seen:
    """One symbol and channel: how far it was read, and the gaps not told yet."""

    symbol: str
    channel: str
    is_wanted: bool
    received: int = 0
    last_ns: int = 0
    absent: int = 0
    is_torn: bool = False  # messages may be absent, and nobody counted them
    is_miscounted: bool = False  # since the counts were told last
    drops: list[int] = field(default_factory=list)  # first and last time of receipt, and how many

    def gaps(self, received_ns: int) -> Iterator[Gap]:
        """Yield what is to be told before a message received then, and forget it."""
        if self.absent or self.is_torn:
            yield Gap(
                self.symbol,
                self.channel,
                NOT_RECORDED,
                self.last_ns,
                received_ns,
                lost=None if self.is_torn else self.absent,
            )
            self.absent = 0
            self.is_torn = False
        yield from self.dropped()

    def dropped(self) -> Iterator[Gap]:
        """Yield the drops that were not told yet."""
        if self.drops:
            first_ns, last_ns, count = self.drops
            yield Gap(self.symbol, self.channel, DROPPED, first_ns, last_ns, lost=count)
            self.drops = []


class Hole(NamedTuple):
    """Something may be missing here.

    `miscounted` where it is lines that later counts know; `is_end` where another recording begins
    in the same file.
    """

    miscounted: bool = False
    is_end: bool = False


class SeenFilter:
    """Lets the messages of one recording pass that its strategies saw, and gaps for the others.

    Args:
        unseen: the others.
        router: must know the symbols that the session's did, and be nobody else's.
        symbols: lets only those through.
        follows: whether messages are followed by symbol and channel, so that there is a gap where
            some had come that the recording lacks. Without it most are let through unread.
    """

    def __init__(
        self,
        unseen: Unseen,
        router: Router[_Seen],
        symbols: Iterable[str] | None = None,
        *,
        follows: bool = False,
    ) -> None:
        self.follows = follows or symbols is not None
        self._spans = unseen.spans()
        self._router = router
        self._symbols = None if symbols is None else set(symbols)
        self._channels: dict[Key, _Seen] = {}
        self._dropped: set[Key] = set()  # of which gaps are not told yet
        self._last: float = -inf

    def messages(self, run: MessageRun) -> Iterator[MessageRun | list[RawMessage] | Gap]:
        """Yield what is seen of messages, some of it perhaps in parts, and gaps in their places."""
        places, spans = run.places, self._spans
        if places[0] < self._last:  # as where parts are given in another order
            spans.next = -inf
        self._last = places[-1]
        if not (self.follows or self._dropped) and places[-1] + LINE <= spans.next:
            yield run
            return
        route_of = self._router.route
        seen: list[RawMessage] = []
        for message, place in zip(run, places, strict=True):
            raw, received_ns = message
            route = route_of(raw)
            channel = route.place
            views: Sequence[RawMessage] = (message,)
            gaps: Sequence[Gap] = ()
            if channel is None:
                if route.channel == ANSWER:
                    if self._symbols is not None:
                        continue
                elif route is SEVERAL:
                    views, gaps = self._parts(message, place)
                else:
                    channel = self._place(route)
            if channel is not None:
                channel.received += 1
                if place >= spans.next and not self._is_seen(channel, place, received_ns):
                    continue
                if not channel.is_wanted:
                    continue
                if channel.absent or channel.is_torn or channel.drops:
                    gaps = list(self._gaps(channel, received_ns))
                channel.last_ns = received_ns
            for gap in gaps:
                if seen:
                    yield seen
                    seen = []
                yield gap
            seen += views
        if seen:
            yield seen

    def _parts(self, message: RawMessage, place: int) -> tuple[Sequence[RawMessage], Sequence[Gap]]:
        """Return what is seen of a message about several symbols, and the gaps before it."""
        raw, received_ns = message
        parts = list(self._router.split(raw))
        seen: list[RawMessage] = []
        gaps: list[Gap] = []
        for number, (route, part) in enumerate(parts, 1):
            channel = route.place or self._place(route)
            channel.received += 1
            if not self._is_seen(channel, place + number, received_ns) or not channel.is_wanted:
                continue
            gaps += self._gaps(channel, received_ns)
            channel.last_ns = received_ns
            seen.append((part, received_ns))
        return (message,) if len(seen) == len(parts) else seen, gaps

    def _is_seen(self, channel: _Seen, place: int, received_ns: int) -> bool:
        """Return whether strategies saw a message; keep it for the next gap where it was lost."""
        is_loss = self._spans.find(place)
        if is_loss is None:
            return True
        if is_loss:
            if channel.drops:
                channel.drops[1] = received_ns
                channel.drops[2] += 1
            else:
                channel.drops = [received_ns, received_ns, 1]
                self._dropped.add((channel.symbol, channel.channel))
        return False

    def _gaps(self, channel: _Seen, received_ns: int) -> Iterator[Gap]:
        self._dropped.discard((channel.symbol, channel.channel))
        return channel.gaps(received_ns)

    def marker(self, marker: Marker) -> Iterator[Gap]:
        """Yield the gaps that a marker stands for, and take new counts into account."""
        if isinstance(marker, Missed):
            if self._wants(marker.symbol):
                channel = self._channels.get((marker.symbol, marker.channel))
                # A gap that REST has filled is none to the strategies, and parts no run of drops.
                if channel is not None and marker.lost != 0:
                    self._dropped.discard((marker.symbol, marker.channel))
                    yield from channel.dropped()
                yield marker.gap()
        elif isinstance(marker, Base):
            if self.follows:
                self._take_counts(marker)
        elif isinstance(marker, Subscribed):
            self._router.expect(marker.symbols)

    def _take_counts(self, base: Base) -> None:
        channel = self._channel((base.symbol, base.channel))
        # The counts tell how many are absent, but not where lines could not be read.
        if channel.received and not channel.is_miscounted:
            channel.absent += max(0, base.received - channel.received)
            channel.is_torn = False
        channel.is_miscounted = False
        channel.received = base.received

    def interrupt(self, *, miscounted: bool = False, is_end: bool = False) -> None:
        """Mark that messages of any channel may be absent here.

        Counts that follow say which and how many, unless this made them wrong (`miscounted`), or
        what was recorded ends here and they are those of something else (`is_end`).
        """
        for channel in self._channels.values():
            channel.is_miscounted = channel.is_miscounted or miscounted
            if is_end:
                channel.received = 0
            # What REST filled in is counted apart, and is no stretch of its own.
            if channel.symbol and channel.last_ns and ":" not in channel.channel:
                channel.is_torn = True

    def end(self) -> Iterator[Gap]:
        """Yield the gaps that nothing came after."""
        for channel in self._channels.values():
            if channel.is_wanted:
                yield from channel.dropped()

    def _place(self, route: Route[_Seen]) -> _Seen:
        channel = route.place = self._channel((route.symbol, route.account))
        return channel

    def _channel(self, key: Key) -> _Seen:
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Seen(*key, self._wants(key[0]))
        return channel

    def _wants(self, symbol: str) -> bool:
        return self._symbols is None or symbol in self._symbols
