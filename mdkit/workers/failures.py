"""Where strategies fail, and which failure is the commonest: a thousand dead letters in a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from traceback import walk_tb
from types import CodeType
from typing import Protocol

_CALLERS = (
    "mdkit.workers.",
    "mdkit.channels.",
    "mdkit.backtesting.",
    "mdkit.strategies.contract",
)
"""The modules through which strategies are called."""
_MOST_KINDS = 200
_LONGEST = 300
"""Characters of an error in a sentence; its dead letter has all of them."""


class Letter(Protocol):
    """What is to know of a dead letter here."""

    @property
    def strategy(self) -> str: ...  # noqa: D102
    @property
    def where(self) -> str: ...  # noqa: D102
    @property
    def error(self) -> str: ...  # noqa: D102


def is_users(code: CodeType) -> bool:
    """Whether code is of interest: neither the standard library's nor an installed package's."""
    name = code.co_filename
    return "site-packages" not in name and not name.startswith(
        ("<frozen", sys.prefix, sys.base_prefix)
    )


def line_of(code: CodeType, number: int) -> str:
    """Return a line of code as it is named in messages: "my_file.py:12 in lean"."""
    return f"{PurePath(code.co_filename).name}:{number} in {code.co_name}"


def where_failed(error: BaseException) -> str:
    """Return the innermost line of a strategy's own code that an error went through; "" if none.

    What a library raised deep inside is told by the line that called the library.
    """
    found = ""
    for frame, number in walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__"))
        if not name.startswith(_CALLERS) and (is_users(frame.f_code) or name.startswith("mdkit.")):
            found = line_of(frame.f_code, number)
    return found


@dataclass(slots=True)
class Failure:
    """A strategy that fails in one line with one type of error: how often, and the newest."""

    count: int
    newest: Letter

    def __str__(self) -> str:
        letter = self.newest
        at = f" at {letter.where}" if letter.where else ""
        by = f"strategy {letter.strategy}{at}: " if letter.strategy else ""
        short = letter.error if len(letter.error) <= _LONGEST else f"{letter.error[:_LONGEST]}..."
        return f"{by}{short}"


class Failures:
    """Counts dead letters by strategy, line and type of error; bounded."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Failure] = {}

    def __iter__(self) -> Iterator[Failure]:
        yield from self._found.values()

    def add(self, letter: Letter) -> bool:
        """Count a dead letter; return whether it is the first of its strategy."""
        key = (letter.strategy, letter.where, letter.error.partition(":")[0])
        failure = self._found.get(key)
        if failure is not None:
            failure.count += 1
            failure.newest = letter
            return False
        is_first = all(strategy != letter.strategy for strategy, *_ in self._found)
        if len(self._found) < _MOST_KINDS:
            self._found[key] = Failure(1, letter)
        return is_first

    @property
    def commonest(self) -> str:
        """The failure that came most often, in a sentence's part; "" when there was none."""
        found = max(self._found.values(), key=lambda failure: failure.count, default=None)
        if found is None:
            return ""
        return str(found) if len(self._found) == 1 else f"{found} ({found.count:,} times)"
