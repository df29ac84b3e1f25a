"""What a recording tells beside the messages: JSON objects that begin `{"mdkit":`, a line each.

Markers that tell of messages do so by number, apart for each symbol and channel: `Refused` by
the number of its arrival, the others by the number among those that were admitted to the queue
(arrivals less refused ones); both count from 1, over all parts of a recording. They may tell of
messages that stand earlier in the file, or in an earlier part.
"""

from __future__ import annotations

from typing import get_args

import msgspec
from msgspec import Struct

from mdkit.events import Gap
from mdkit.redaction import safe_text
from mdkit.venues.assembly.assembler import AssemblerState

VERSION = 1
MARK = b'{"mdkit"'
"""What a marker line begins with."""


class Marker(Struct, frozen=True, tag_field="mdkit"):
    """The root of all markers."""


class Header(Marker, frozen=True, tag="recording"):
    """Begins every part of a recording; all parts share the same random `id`."""

    version: int = VERSION
    at: int = 0
    id: str = ""
    part: int = 0
    source: str = ""
    symbols: tuple[str, ...] = ()
    allow_nonpositive: bool = False
    venue: str = "tickdb"


class Base(Marker, frozen=True, tag="base"):
    """How many messages had been received and admitted before the next one that is recorded."""

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
    Where it is the one that was to replace another, that other goes on."""

    feed: str


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


class UnseenMarker(Marker, frozen=True):
    """Messages that no strategy saw: `count` of them, from number `first` on."""

    symbol: str
    channel: str
    first: int
    count: int


class Refused(UnseenMarker, frozen=True, tag="refused"):
    """Dropped on arrival; `first` counts arrivals."""

    kind: str = "dropped"


class Dropped(UnseenMarker, frozen=True, tag="dropped"):
    """Dropped from the queue; `first` counts admitted messages."""


class Conflated(UnseenMarker, frozen=True, tag="conflated"):
    """Replaced by a newer snapshot; `first` counts admitted messages."""


class Left(UnseenMarker, frozen=True, tag="left"):
    """Not handled when the session stopped; `first` counts admitted messages."""


class Lost(Marker, frozen=True, tag="lost"):
    """Messages that came here but could not be written."""

    count: int
    reason: str = ""


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
