"""What a view is where nothing but text can be shown: a line that says what to do."""

from __future__ import annotations


def hint(what: str, instead: str) -> str:
    """Return the line for `what` a notebook would show; `instead` is what works in a terminal."""
    return f"<{what}: it is shown in a notebook (python -m mdkit lab); in a terminal {instead}>"
