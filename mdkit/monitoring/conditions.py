"""What an alert waits for: a word, a comparison, or a function of the session."""

from __future__ import annotations

import inspect
import operator
import re
from collections.abc import Callable
from typing import Any, Protocol

from mdkit.errors import SettingsError
from mdkit.monitoring.figures import NUMBERS, Figures
from mdkit.redaction import safe_text
from mdkit.strategies.contract import is_async
from mdkit.suggestions import instead

When = str | Callable[[Any], Any]
"""A condition as users write it; see `condition`."""

_LEVELS: dict[str, Callable[[Figures], str]] = {
    "disconnected": lambda now: "" if now.connected else "there is no connection",
    "stale": lambda now: f"the feed has been silent for {now.stale:.1f} s" if now.stale else "",
    "failing": lambda now: "most of the last messages became dead letters" if now.failing else "",
    "blocked": lambda now: f"the event loop was late by {now.lag:.1f} s" if now.lag > 0.5 else "",
    "failed": lambda now: f"the session failed: {now.failed}" if now.failed else "",
    "ended": lambda now: "the session has ended" if now.ended else "",
}
"""What holds for a while, by the word for it; what is said of it, or an empty text."""
_EVENTS: dict[str, tuple[str, str, str]] = {
    "gap": ("gaps", "gap", "gaps"),
    "loss": ("lost", "message dropped or conflated", "messages dropped or conflated"),
    "dead_letter": ("dead_letters", "dead letter", "dead letters"),
}
"""What happens at a moment, by the word for it: the figure that counts it, and its names."""
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    **{">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne},
    **{">": operator.gt, "<": operator.lt},
}
_COMPARISON = re.compile(r"\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")


class Condition(Protocol):
    """Looks at a session some times a second."""

    text: str

    def __call__(self, now: Figures) -> str:
        """Return what is to be said, or an empty text where the condition does not hold."""

    def was_told(self, now: Figures) -> bool:
        """Begin to count anew after it was told; return whether there was anything to count."""


class Level:
    """A condition that holds for a while, such as a full queue."""

    def __init__(self, text: str, says: Callable[[Figures], str]) -> None:
        self.text = text
        self._says = says

    def __call__(self, now: Figures) -> str:
        """Return what is to be said, or an empty text where the condition does not hold."""
        return self._says(now)

    def was_told(self, now: Figures) -> bool:
        """Return False: it holds until it does not."""
        return False


class Event:
    """A condition of moments, such as a gap: it holds from the first one until it is told."""

    def __init__(self, word: str, now: Figures) -> None:
        self.text = word
        self._figure, self._one, self._many = _EVENTS[word]
        self._told = getattr(now, self._figure)

    def __call__(self, now: Figures) -> str:
        """Return how many there were since it was last told, or an empty text for none."""
        count = getattr(now, self._figure) - self._told
        if count < 1:
            return ""
        said = f"{count:,} {self._one if count == 1 else self._many}"
        return f"{said}, the last of {now.last_gap}" if self.text == "gap" else said

    def was_told(self, now: Figures) -> bool:
        """Count anew from here."""
        self._told = getattr(now, self._figure)
        return True


def condition(when: When, session: Any, now: Figures) -> Condition:
    """Return the condition that a word, a comparison or a function means.

    Raises `SettingsError`, with near matches, for what means nothing.
    """
    if callable(when):
        name = getattr(when, "__name__", type(when).__name__)
        if is_async(when):
            raise SettingsError(
                f"{name} is a coroutine function, and a condition is looked at without waiting: "
                "give a plain function."
            )
        return Level(name, lambda _: _answer(when(session), name))
    if not isinstance(when, str):
        raise SettingsError(
            f"when={when!r} is no condition: give a word such as 'gap', a comparison such as "
            "'queue > 0.8', or a function of the session."
        )
    word = when.strip()
    if word in _LEVELS:
        return Level(word, _LEVELS[word])
    if word in _EVENTS:
        return Event(word, now)
    found = _COMPARISON.fullmatch(when)
    if found is None:
        choice = instead(word, [*_EVENTS, *_LEVELS])
        raise SettingsError(
            f"when={when!r} is no condition: {choice}; or a comparison such as 'queue > 0.8'."
        )
    return _comparison(*found.groups())


def _comparison(name: str, sign: str, number: str) -> Level:
    if name not in NUMBERS:
        raise SettingsError(f"{name!r} is no figure of a session: {instead(name, NUMBERS)}.")
    try:
        limit = float(number)
    except ValueError:
        limit = float("nan")
    if limit != limit:
        raise SettingsError(f"{number!r} is no number to compare {name} with, such as 0.8.")
    compare = _OPERATORS[sign]

    def says(now: Figures) -> str:
        value = getattr(now, name)
        return f"{name} is {value:,.6g}" if compare(value, limit) else ""

    return Level(f"{name} {sign} {limit:g}", says)


def _answer(answer: Any, name: str) -> str:
    """Return what a function's answer says: a text says itself."""
    if isinstance(answer, str):
        return safe_text(answer)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise SettingsError(f"{name} answers with something to wait for: give a plain function.")
    return f"{name} holds" if answer else ""
