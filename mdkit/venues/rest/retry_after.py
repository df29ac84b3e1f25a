"""How long a server asks to wait: what a Retry-After header says (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 120.0
"""Seconds that mdkit waits at a server's word: more is mistaken, or longer than anybody watches."""
_SECONDS = re.compile(r"\d{1,30}(\.\d{1,30})?")


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number of them, or until a date.

    None where it says neither. `now` is in seconds since the epoch.
    """
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        if until.tzinfo is None:  # "-0000", which stands for UTC
            until = until.replace(tzinfo=UTC)
        return max(0.0, until.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def seconds(wait: float) -> str:
    """Return a wait as text: `2.5 s`, `99,999,999,999 s`."""
    return f"{wait:,.0f} s" if wait >= 100 else f"{wait:.3g} s"
