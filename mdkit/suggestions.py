"""Names that are nearly the one that was given, for messages about what does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_LISTED = 12


def near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return up to three known names that may have been meant, the likeliest first.

    Upper and lower case are alike, and so is a symbol without its market ("AAPL" for "AAPL.US").
    """
    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    wanted = name.casefold()
    begun = [key for key in folded if wanted and key.startswith((f"{wanted}.", f"{wanted}_"))]
    close = get_close_matches(wanted, list(folded), n=3, cutoff=0.6)
    return tuple(folded[key] for key in dict.fromkeys([*begun, *close]))[:3]


def instead(name: str, known: Iterable[str]) -> str:
    """Return how a sentence on an unknown name goes on: what may have been meant, and what is."""
    names = tuple(known)
    meant = " or ".join(map(repr, near(name, names)))
    listed = ", ".join(names[:_MOST_LISTED]) + (", ..." if names[_MOST_LISTED:] else "")
    there = f"there is {listed}" if len(names) == 1 else f"there are {listed}"
    if not names:
        return "there is none"
    return f"did you mean {meant}? T{there[1:]}" if meant else there
