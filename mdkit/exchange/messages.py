"""A message on its way out: encoded once, framed once, whoever receives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from mdkit.errors import InvalidMessage
from mdkit.events import Event, MarketEvent, Trade
from mdkit.exchange.dialects import CODECS, Dialect
from mdkit.venues.registry import DEFAULT

Key = tuple[str, str]
"""Channel and symbol."""


def text_frame(payload: bytes) -> bytes:
    """Return a server's WebSocket frame: one unfragmented, uncompressed, unmasked text message.

    RFC 6455, section 5.2. Valid beside permessage-deflate too, which is decided frame by frame.
    """
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def frame_texts(frames: bytes) -> Iterator[bytes]:
    """Yield the texts of frames made by `text_frame`."""
    at = 0
    while at < len(frames):
        wide = {126: 2, 127: 8}.get(frames[at + 1], 0)
        begin = at + 2 + wide
        size = int.from_bytes(frames[at + 2 : begin], "big") if wide else frames[at + 1]
        at = begin + size
        yield frames[begin:at]


class Message:
    """Something to push to the subscribers of `key`; to everybody where `key` is None.

    `offset` is in seconds since the scenario or the playback began.
    """

    __slots__ = ("_frames", "_texts", "events", "key", "offset")

    def __init__(self, offset: float, key: Key | None, events: Sequence[Event] = ()) -> None:
        self.offset = offset
        self.key = key
        self.events = events
        self._texts: dict[Dialect, tuple[bytes, ...]] = {}
        self._frames: dict[Dialect, bytes] = {}

    @classmethod
    def verbatim(cls, offset: float, key: Key | None, raw: bytes, *dialects: Dialect) -> Message:
        """Return a message whose text in these dialects is `raw`, untouched."""
        message = cls(offset, key)
        for dialect in dialects:
            message._texts[dialect] = (raw,)
        return message

    def texts(self, dialect: Dialect) -> tuple[bytes, ...]:
        """Return the message's texts: one, or in the `flat` dialect one for each trade."""
        texts = self._texts.get(dialect)
        if texts is None:
            texts = self._texts[dialect] = self._encode(dialect)
        return texts

    def frames(self, dialect: Dialect) -> bytes:
        """Return the same as WebSocket frames, joined."""
        frames = self._frames.get(dialect)
        if frames is None:
            frames = b"".join([text_frame(text) for text in self.texts(dialect)])
            self._frames[dialect] = frames
        return frames

    def shifted(self, nanoseconds: int) -> Message:
        """Return the same message telling another time; itself where it tells none."""
        moved = [
            msgspec.structs.replace(event, exchange_ns=max(0, event.exchange_ns + nanoseconds))
            for event in self.told()
            if isinstance(event, MarketEvent)
        ]
        return Message(self.offset, self.key, moved) if moved else self

    def withheld(self) -> Message | None:
        """Return what is left of the message for those who were not sent it: nothing."""
        return None

    def told(self) -> Sequence[Event]:
        """Return what the message tells, as far as it can be read."""
        return self.events

    def _encode(self, dialect: Dialect) -> tuple[bytes, ...]:
        events = self.events
        trades = [event for event in events if isinstance(event, Trade)]
        if trades and dialect == "realtime":
            return (CODECS[dialect].encode(trades),)
        return tuple([CODECS[dialect].encode(event) for event in events])


class Recorded(Message):
    """A message of a recording: verbatim in its own dialect, translated into the other."""

    __slots__ = ("raw",)

    def __init__(self, offset: float, key: Key | None, raw: bytes) -> None:
        super().__init__(offset, key)
        self.raw = raw

    def told(self) -> Sequence[Event]:
        """Return what the message tells, as far as it can be read."""
        try:
            return DEFAULT.decode(self.raw)
        except InvalidMessage:
            return ()

    def _encode(self, dialect: Dialect) -> tuple[bytes, ...]:
        own: Dialect = "realtime" if self.raw.lstrip().startswith(b'{"cmd"') else "flat"
        if dialect == own or self.key is None:
            return (self.raw,)
        try:
            self.events = DEFAULT.decode(self.raw)
        except InvalidMessage:
            return (self.raw,)
        return super()._encode(dialect)
