"""`Parser`: from a venue's frames to what they say; and frames that mdkit makes itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.venues.assembly.parsed import Parsed
from mdkit.venues.reading.messages import BROKEN, MAX_MESSAGE_BYTES, json_decoder, why_broken

REST_HEAD = b'{"via":"rest","get":'
"""How a frame begins that mdkit made of an answer of REST; no frame of a socket may."""


class Parser(Protocol):
    """Reads the frames of one venue.

    Attributes:
        book_mark: stands near the beginning of every frame that changes a book; empty where each
            book is whole, so that none is missed for long.
    """

    book_mark: bytes

    def parse(self, raw: bytes) -> Sequence[Parsed]:
        """Return what a frame says; raise `InvalidMessage` with the reason if it says nothing."""

    def parse_rest(self, request: str, body: bytes) -> Sequence[Parsed]:
        """Return what an answer of the venue's REST service says, as far as it is about books."""


class _RestAnswer(Struct, gc=False):
    get: str
    asked_ns: int
    body: Raw


_read_rest = json_decoder(_RestAnswer)


def rest_frame(request: str, asked_ns: int, body: bytes) -> bytes:
    """Return an answer of a REST service as a frame that can stand among those of the socket.

    `request` is the path with its parameters. Raises `InvalidMessage` for a body that is no JSON.
    Raises it for one that is larger than any book as well.
    """
    if len(body) > MAX_MESSAGE_BYTES:
        raise InvalidMessage(f"REST answered with {len(body):,} bytes, which no book needs")
    try:
        msgspec.json.decode(body)
    except BROKEN as error:
        raise InvalidMessage(f"REST answered with no JSON: {why_broken(error)}") from None
    head = msgspec.json.encode(request)
    return b'{"via":"rest","get":%b,"asked_ns":%d,"body":%b}' % (head, asked_ns, body)


def parsed(parser: Parser, raw: bytes) -> Sequence[Parsed]:
    """Return what a frame says, of the socket's or of REST's; raise `InvalidMessage` if nothing."""
    if raw.startswith(REST_HEAD):
        answer = _read_rest(raw)
        return parser.parse_rest(answer.get, bytes(answer.body))
    return parser.parse(raw)
