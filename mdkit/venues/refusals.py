"""Why a venue refuses, in words: what it says itself is cut and cleaned."""

from __future__ import annotations

from collections.abc import Sequence

from mdkit.redaction import safe_text

CLOSED = (403, 451)
"""HTTP statuses of venues that do not serve a place."""
SLOWER = (418, 429)
"""HTTP statuses of venues that want to be asked less often."""
_MOST_SAID = 200
_ANSWERING = ("kraken", "coinbase", "binance.us")
"""Venues that answer in places which others refuse."""


def beginning(said: str) -> str:
    """Return as much of a venue's own words as may be repeated."""
    return safe_text(said[:_MOST_SAID]).strip()


def elsewhere(venue: str) -> tuple[str, ...]:
    """Return the venues to name where this one refuses the place that it is asked from."""
    return tuple(name for name in _ANSWERING if name != venue)


def does_not_serve(title: str, offered: Sequence[str], status: int, said: str = "") -> str:
    """Return the sentence for a refusal by place, with venues that may serve it."""
    others = " or ".join(f'source="{name}"' for name in offered)
    words = f": {beginning(said).rstrip('.')}" if said else ""
    return (
        f"{title} does not serve this place (HTTP {status}){words}; "
        f"trying again does not help. {others} may."
    )
