"""Recorded frames of venues made into messages again, as the session made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mdkit.errors import InvalidMessage, SettingsError
from mdkit.events import Gap
from mdkit.recording.file.lines import LineCount, MessageRun
from mdkit.recording.file.recording_file import Damage
from mdkit.recording.format import (
    Connected,
    FeedBegins,
    FeedEnds,
    FeedFrames,
    Lost,
    Marker,
    Missed,
)
from mdkit.redaction import safe_text
from mdkit.sources.connection import RawMessage
from mdkit.sources.feed import Feed
from mdkit.venues.assembly.assembler import Assembler, AssemblerState
from mdkit.venues.assembly.handover import Handover, HandoverState
from mdkit.venues.registry import venue_of

Piece = MessageRun | Marker | Damage


class RecordedFeeds:
    """Makes messages of recorded frames; what is no frame passes as it is.

    Attributes:
        faults: sentences on what could not be read.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._assemblers: dict[str, Assembler | None] = {}
        self._venues: dict[str, str] = {}
        self._replaced: dict[str, str] = {}  # which connection each is to replace
        self._feed = ""
        self._torn: set[str] = set()
        self._last_ns: dict[str, int] = {}

    def pieces(self, pieces: Iterable[Piece], lines: LineCount) -> Iterator[Piece]:
        """Yield messages in the place of frames, and gaps where books fall out of step.

        `lines` is of the file that the pieces are read from.
        """
        for piece in pieces:
            if isinstance(piece, MessageRun):
                if self._feed:
                    yield from self._messages(piece)
                else:
                    yield piece
                continue
            if isinstance(piece, FeedBegins):
                self._begin(piece)
                continue
            if isinstance(piece, FeedFrames):
                self._go_to(piece.feed)
                continue
            if isinstance(piece, FeedEnds):
                yield from self._end(piece, lines)
                continue
            if isinstance(piece, Damage | Lost):
                # What is missing may have been frames of any connection.
                self._torn.update(self._assemblers)
            elif isinstance(piece, Connected) and self._feed:
                self._connect()
            yield piece

    def interrupt(self) -> None:
        """Mark that frames may be missing here, as between the parts of a recording."""
        self._torn.update(self._assemblers)

    def end(self) -> Iterator[Missed]:
        """Yield the stretches in which books were out of step at the end."""
        for name, assembler in self._assemblers.items():
            if assembler is not None:
                for gap in assembler.end(self._last_ns.get(name, 0)):
                    yield Missed.of(gap)

    def _go_to(self, feed: str) -> None:
        self._feed = feed
        if feed and feed not in self._assemblers:
            self.faults.append(f"frames of a connection {safe_text(feed)!r} have no beginning")
            self._assemblers[feed] = None

    def _begin(self, begins: FeedBegins) -> None:
        feed = Feed(begins.name, begins.venue, begins.natives, begins.levels, begins.depth)
        assembler = self._assemblers.get(feed.name)
        self._replaced[feed.name] = begins.after
        if feed.name not in self._assemblers:
            try:
                assembler = feed.assembler()
            except SettingsError as error:
                self.faults.append(f"frames of {safe_text(begins.venue)} cannot be read: {error}")
            self._assemblers[feed.name] = assembler
            self._venues[feed.name] = begins.venue
            if assembler is not None and begins.state is not None:
                self._restore(assembler, begins.state)
                self._go_on_replacing(assembler, begins.after, begins.state)
            return
        if assembler is None:
            return
        if begins.venue != self._venues[feed.name]:
            self.faults.append(f"the connection {safe_text(feed.name)!r} changes its venue")
            return
        assembler.expect(venue_of(begins.venue).by_native(begins.natives))
        if begins.state is not None and feed.name in self._torn:
            self._torn.discard(feed.name)
            self._restore(assembler, begins.state)
            if assembler.handover is not None:
                assembler.handover.detach()
            self._go_on_replacing(assembler, begins.after, begins.state)

    def _connect(self) -> None:
        """Begin on a new connection; if it is to replace another, it begins to."""
        assembler = self._assemblers.get(self._feed)
        if assembler is not None:
            assembler.connected()
            self._replace(assembler, self._replaced.get(self._feed, ""))

    def _go_on_replacing(self, assembler: Assembler, replaced: str, state: AssemblerState) -> None:
        if state.handover is not None:
            self._replace(assembler, replaced, state.handover)

    def _replace(
        self, assembler: Assembler, replaced: str, state: HandoverState | None = None
    ) -> None:
        """Have a connection replace another, if that is there, and it has not begun to."""
        old = self._assemblers.get(replaced)
        if old is not None and old is not assembler and assembler.handover is None:
            if old.handover is not None:
                old.handover.detach()
            Handover(old, assembler, state)

    def _end(self, ends: FeedEnds, lines: LineCount) -> Iterator[Piece]:
        """End a feed: what it has not handed over goes to the one that replaces it."""
        assembler = self._assemblers.get(ends.feed)
        handover = assembler.handover if assembler is not None else None
        if handover is not None and handover.new is assembler:
            handover.detach()
            return
        self._assemblers.pop(ends.feed, None)
        if handover is None:
            return
        messages = [(raw, ends.at) for raw in handover.finish()]
        if messages:
            first = lines.place_of(ends.line) + 1
            yield MessageRun(messages, range(first, first + len(messages)))

    def _restore(self, assembler: Assembler, state: AssemblerState) -> None:
        try:
            assembler.restore(state)
        except InvalidMessage as error:
            self.faults.append(f"what was known of books cannot be used: {error}")

    def _messages(self, frames: MessageRun) -> Iterator[Piece]:
        assembler = self._assemblers.get(self._feed)
        if assembler is None:
            return
        messages: list[RawMessage] = []
        places: list[int] = []
        for (raw, received_ns), place in zip(frames, frames.places, strict=True):
            part = place
            for output in assembler.take(raw, received_ns):
                if isinstance(output, bytes):
                    part += 1
                    messages.append((output, received_ns))
                    places.append(part)
                elif isinstance(output, Gap):
                    if messages:
                        yield MessageRun(messages, places)
                        messages, places = [], []
                    yield Missed.of(output)
        self._last_ns[self._feed] = frames[-1][1]
        if messages:
            yield MessageRun(messages, places)
