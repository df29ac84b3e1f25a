"""What a recording tells beside the messages: JSON objects that begin `{"mdkit":`, a line each.

A file is lines of text, in plain or compressed (gzip, zstd). A line is `<received_ns>\t<raw
message>`, as it came off the socket, or a marker. Blank lines and lines that begin with `#` are
passed over, and so are markers of kinds not known here, so that kinds can be added.

**Lines are numbered** from 1 on, the header's being the first, over all parts of a recording: a
part's header says in `line` which number its own line has. Messages that could not be written
have numbers too, and the marker `Lost` that stands for them says the number of its own line. So
numbers stay right where a part is missing or a line is damaged, and where files are put together:
each header begins anew.

**What no strategy saw** is told by `Refused`, `Dropped`, `Conflated` and `Left`, which list lines.
They may stand long after those lines, in a later part too, so whoever wants to leave out what was
not seen reads the markers first. Where a line makes several messages, such as a list about several
symbols, or a frame of a venue of which books and trades are made, some of them may be unseen: then
`parts` lists `[line, number]`. A frame itself always has to be read, since later books are made of
it as well.

A drop is a gap to the strategies. A reader tells it before the next message of that symbol and
channel that was seen, and for that alone has to look whose messages the dropped ones are.

**Format 1** told by numbers too, but of messages, apart for each symbol and channel; see
`reading/counted.py`. Every reader had to count as the session had, a damaged line shifted all
that came behind it, and so did messages that waited to be queued when a recording began. Files of
format 1 are still read. An mdkit that knows format 1 alone reads files of format 2 as well, apart
from what no strategy saw: it says of each such marker that it is damaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self, get_args

import msgspec
from msgspec import Struct

from mdkit.events import Gap
from mdkit.queue.channel import LINE
from mdkit.redaction import safe_text
from mdkit.venues.assembly.assembler import AssemblerState

VERSION = 2
"""Of the format that is written. Format 1 is read as well."""
MARK = b'{"mdkit"'
"""What a marker line begins with."""
_MOST_NUMBERS = 1000
"""In a marker, so that no line is long."""


class Marker(Struct, frozen=True, tag_field="mdkit"):
    """The root of all markers."""


class Header(Marker, frozen=True, tag="recording"):
    """Begins every part of a recording; all parts share the same random `id`.

    `line` is the number of this line, which goes on from part to part; 0 in format 1.
    """

    version: int = 1
    at: int = 0
    id: str = ""
    part: int = 0
    source: str = ""
    symbols: tuple[str, ...] = ()
    allow_nonpositive: bool = False
    venue: str = "tickdb"
    line: int = 0


class Base(Marker, frozen=True, tag="base"):
    """How many messages had been received before the next one that is recorded.

    Where lines are missing before this, it tells how many messages of each symbol and channel were
    in them. `admitted` is what format 1 counts by: less those that were refused.
    """

    symbol: str
    channel: str
    received: int
    admitted: int


class Subscribed(Marker, frozen=True, tag="subscribed"):
    """The subscriptions changed: from here on, messages are about these symbols."""

    at: int
    symbols: tuple[str, ...]


class Connected(Marker, frozen=True, tag="connected"):
    """The source made a connection."""

    at: int


class FeedBegins(Marker, frozen=True, tag="feed"):
    """What a connection to a venue carries; see `Feed`. Told before its first frame, and again
    whenever it carries more.

    `after` names the connection that this one replaces: while both last, frames of both make the
    messages. `state` is what was known of its books where the recording, or a part of it, begins.
    """

    name: str
    venue: str
    natives: dict[str, str]
    levels: int
    depth: int
    after: str = ""
    state: AssemblerState | None = None


class FeedFrames(Marker, frozen=True, tag="frames"):
    """From here on, messages are what a venue sent on this connection; "" for those of mdkit."""

    feed: str


class FeedEnds(Marker, frozen=True, tag="feed ends"):
    """A connection has ended that is not made again: what it carried, the one has that replaces it.
    Where it is the one that was to replace another, that other goes on.

    Messages that were kept back until then are made of this line, whose number is `line`; `at` is
    when they were received.
    """

    feed: str
    line: int = 0
    at: int = 0


class Disconnected(Marker, frozen=True, tag="disconnected"):
    """The source lost its connection."""

    at: int
    reason: str = ""


class Missed(Marker, frozen=True, tag="gap"):
    """A gap, in its place among the messages."""

    symbol: str
    channel: str
    reason: str
    from_ns: int
    to_ns: int
    lost: int | None = None

    @classmethod
    def of(cls, gap: Gap) -> Missed:
        """Return the marker of a gap."""
        return cls(gap.symbol, gap.channel, gap.reason, gap.from_ns, gap.to_ns, gap.lost)

    def gap(self) -> Gap:
        """Return the gap."""
        symbol, channel, reason = map(safe_text, (self.symbol, self.channel, self.reason))
        return Gap(symbol, channel, reason, self.from_ns, self.to_ns, self.lost)


class UnseenMarker(Marker, frozen=True, omit_defaults=True):
    """Messages that no strategy saw.

    `lines` are numbers of lines of which it saw nothing, or `[first, last]` where they follow each
    other. `parts` are `[line, number]`: of the messages that were made of a line, the one of that
    number, from 1 on. The rest is format 1: `count` messages of a symbol and channel, from number
    `first` on.
    """

    symbol: str = ""
    channel: str = ""
    first: int = 0
    count: int = 0
    lines: tuple[int | tuple[int, int], ...] = ()
    parts: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if any(not 0 < first <= last for first, last in self._runs):
            raise ValueError("lines are numbered from 1 on, and runs of them go upwards")
        if any(line < 1 or not 0 < number < LINE for line, number in self.parts):
            raise ValueError(f"parts of a line are numbered from 1 on, to less than {LINE:,}")
        if self.symbol and (self.first < 1 or self.count < 0):
            raise ValueError("messages are numbered from 1 on")

    @classmethod
    def at(cls, places: Iterable[int]) -> Iterator[Self]:
        """Yield markers of the messages at these places; see `Message`."""
        lines: list[int | tuple[int, int]] = []
        parts: list[tuple[int, int]] = []
        last = None
        for place in sorted(set(places)):
            line, part = divmod(place, LINE)
            if part:
                parts.append((line, part))
            elif last is not None and line == last[1] + 1:
                last = lines[-1] = last[0], line
            else:
                last = line, line
                lines.append(line)
        for start in range(0, max(len(lines), len(parts)), _MOST_NUMBERS):
            some = slice(start, start + _MOST_NUMBERS)
            yield cls(lines=tuple(lines[some]), parts=tuple(parts[some]))

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The places of the messages: (first, end) of each run of them; see `Message`."""
        runs = [(first * LINE, (last + 1) * LINE) for first, last in self._runs]
        parts = [line * LINE + number for line, number in self.parts]
        return runs + [(place, place + 1) for place in parts]

    @property
    def messages(self) -> int:
        """How many messages they are, where each of the lines is one."""
        return sum(last - first + 1 for first, last in self._runs) + len(self.parts) + self.count

    @property
    def _runs(self) -> Iterator[tuple[int, int]]:
        for line in self.lines:
            yield line if isinstance(line, tuple) else (line, line)


class Refused(UnseenMarker, frozen=True, tag="refused"):
    """Dropped on arrival. In format 1 `first` counts arrivals."""


class Dropped(UnseenMarker, frozen=True, tag="dropped"):
    """Dropped from the queue. In format 1 `first` counts admitted messages, as it does below."""


class Conflated(UnseenMarker, frozen=True, tag="conflated"):
    """Replaced by a newer snapshot."""


class Left(UnseenMarker, frozen=True, tag="left"):
    """Not handled when the session stopped."""


class Lost(Marker, frozen=True, tag="lost"):
    """Messages that came here but could not be written; this line's number counts theirs too."""

    count: int
    reason: str = ""
    line: int = 0


class End(Marker, frozen=True, tag="end"):
    """The file was finished: how many messages it holds, and how many were lost on the way.

    `continued` says that the recording goes on in a further part.
    """

    messages: int
    lost: int = 0
    continued: bool = False


AnyMarker = (
    Header
    | Base
    | Subscribed
    | Connected
    | FeedBegins
    | FeedFrames
    | FeedEnds
    | Disconnected
    | Missed
    | Refused
    | Dropped
    | Conflated
    | Left
    | Lost
    | End
)

encode_marker = msgspec.json.Encoder().encode
_read_marker = msgspec.json.Decoder(AnyMarker).decode
_read_tag = msgspec.json.Decoder(dict[str, object]).decode
_KNOWN_TAGS = {kind.__struct_config__.tag for kind in get_args(AnyMarker)}


def read_marker(line: bytes) -> Marker | None:
    """Return the marker in a line, None if its kind is unknown; `ValueError` if it is damaged."""
    try:
        marker: AnyMarker = _read_marker(line)
        return marker
    except msgspec.ValidationError:
        try:
            tag = _read_tag(line).get("mdkit")
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if tag in _KNOWN_TAGS:
            raise
        return None
    except RecursionError:
        raise ValueError("nested too deeply") from None
