"""JSON into the types of `bodies`, and why some of it cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mdkit.errors import InvalidMessage

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over bytes that do not hold what they should."""
MAX_MESSAGE_BYTES = 1 << 20
"""Larger messages are not decoded: no market message comes near."""
_TOO_LARGE = f"message is larger than {MAX_MESSAGE_BYTES:,} bytes"
_STUB = b"\x00too large\x00"


def stub(raw: bytes) -> bytes:
    """Return what stands for a message that is too large: it goes the same way, and no decoder
    takes it or fails to say why."""
    return raw[:512] + _STUB


def json_decoder(kind: Any, most_bytes: int | None = None) -> Callable[[bytes], Any]:
    """Return a function from bytes to `kind`, which raises `InvalidMessage` with the reason.

    `most_bytes` is for what has not been measured yet: frames of venues.
    """
    decode = msgspec.json.Decoder(kind, strict=False).decode

    def checked(raw: bytes) -> Any:
        try:
            return decode(raw)
        except BROKEN as error:
            raise unreadable(raw, error) from None

    if most_bytes is None:
        return checked

    def measured(raw: bytes) -> Any:
        if len(raw) > most_bytes:
            raise InvalidMessage(_TOO_LARGE)
        return checked(raw)

    return measured


def unreadable(raw: bytes, error: Exception) -> InvalidMessage:
    """Return the error of a message that could not be read, from what reading it raised."""
    return InvalidMessage(_TOO_LARGE if raw.endswith(_STUB) else why_broken(error))


def why_broken(error: Exception) -> str:
    """Return why bytes could not be read, from what reading them raised."""
    if isinstance(error, UnicodeDecodeError):
        return "text is not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).replace("`", "")
