"""Prices and sizes as venues write them: from whole ticks and units, never through a float."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_NS_PER_SECOND = 1_000_000_000
_KEPT = 1 << 16
"""Numbers whose text is kept: those of two deep books, which are written again and again."""


def fixed(value: int, decimals: int, places: int | None = None) -> str:
    """Return `value / 10**decimals` with `places` digits behind the point (None: `decimals`)."""
    places = decimals if places is None else places
    digits = str(value * 10 ** (places - decimals)) if places >= decimals else str(value)
    if not places:
        return digits
    digits = digits.rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


@lru_cache(_KEPT)
def trimmed(value: int, decimals: int, least: int = 0) -> str:
    """Return `value / 10**decimals` without trailing zeros, but with `least` digits at least."""
    if not value and not least:
        return "0"
    whole, _, rest = fixed(value, decimals).partition(".")
    rest = rest.rstrip("0").ljust(least, "0")
    return f"{whole}.{rest}" if rest else whole


def rfc3339(ns: int, digits: int) -> str:
    """Return a time as 2026-08-02T03:35:51.660084Z, with so many digits of a second."""
    seconds, rest = divmod(ns, _NS_PER_SECOND)
    moment = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
    return f"{moment}.{rest:09d}"[: len(moment) + 1 + digits] + "Z"
