"""The overflow policies: what happens to a message that meets a full queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from mdkit.errors import SettingsError

Overflow = Literal["block", "drop_oldest", "drop_newest", "conflate", "spill"]
POLICIES: tuple[Overflow, ...] = get_args(Overflow)
LOSSLESS: tuple[Overflow, ...] = ("block", "spill")
"""Those under which every message is handled: there is a place on disk for what has none here."""


def check_overflow(overflow: str | Mapping[str, str]) -> dict[str, Overflow]:
    """Return the policy by channel ("*" for all others), or raise `SettingsError`."""
    by_channel = {"*": overflow} if isinstance(overflow, str) else {"*": "block", **overflow}
    checked: dict[str, Overflow] = {}
    for channel, policy in by_channel.items():
        if policy not in POLICIES:
            where = "" if channel == "*" else f" for channel {channel!r}"
            raise SettingsError(
                f"overflow={policy!r}{where} is not a policy: choose one of {', '.join(POLICIES)}."
            )
        checked[channel] = policy
    return checked


def check_bounds(maxsize: object, block_timeout: object) -> None:
    """Raise `SettingsError` for a size, or a time in seconds, that a queue cannot have."""
    if not (isinstance(maxsize, int) and maxsize >= 1):
        raise SettingsError(
            f"maxsize={maxsize!r} is not usable: give the number of messages that the queue "
            "holds, at least 1."
        )
    if block_timeout is not None and not (
        isinstance(block_timeout, int | float) and block_timeout >= 0
    ):
        raise SettingsError(
            f"block_timeout={block_timeout!r} is not usable: it is in seconds, or None."
        )
