"""TickDB's messages: bytes to events and back, both dialects.

Nothing outside `mdkit.wire` knows the service's field names. Decoding goes in two steps so
that a message can be queued by symbol and channel without being parsed: `Router.route` reads
only the head of a message, `Route.decode` reads all of it, later, in the lane.
"""

from __future__ import annotations

from mdkit.wire.commands import (
    PING_COMMAND,
    Answer,
    Dialect,
    connection_url,
    dialect_of,
    read_answer,
    subscribe_command,
)
from mdkit.wire.encoding import encode, rest_message, via_rest
from mdkit.wire.reading import MAX_MESSAGE_BYTES, stub
from mdkit.wire.router import SEVERAL, Router, decode, is_symbol
from mdkit.wire.routes import ANSWER, CHANNELS, LIVE, REST, UNREADABLE, Read, Route, invalid_route
from mdkit.wire.salvage import SomeEvents

__all__ = [
    "ANSWER",
    "CHANNELS",
    "LIVE",
    "MAX_MESSAGE_BYTES",
    "PING_COMMAND",
    "REST",
    "SEVERAL",
    "UNREADABLE",
    "Answer",
    "Dialect",
    "Read",
    "Route",
    "Router",
    "SomeEvents",
    "connection_url",
    "decode",
    "dialect_of",
    "encode",
    "invalid_route",
    "is_symbol",
    "read_answer",
    "rest_message",
    "stub",
    "subscribe_command",
    "via_rest",
]
