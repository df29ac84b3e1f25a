"""What a builder tells of its book, and all that it knows."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from mdkit.events import Level
from mdkit.venues.assembly.parsed import BestQuote, BookUpdate

State = Literal["waiting", "in step", "out of step"]


class Built(NamedTuple):
    """The best levels of a book that is in step, after an update that changed them."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    exchange_ns: int


class Stretch(NamedTuple):
    """The book was out of step for a while, in ns of receipt, and why."""

    reason: str
    from_ns: int
    to_ns: int


class BuilderState(Struct, omit_defaults=True):
    """All that a builder knows, so that another can go on from there."""

    state: State
    since_ns: int
    reason: str = ""
    good_ns: int = 0
    was_in_step: bool = False
    is_crossed: bool = False
    book: BookUpdate | None = None
    published: tuple[tuple[Level, ...], tuple[Level, ...]] | None = None
    sure: tuple[float | None, float | None] | None = None
    kept: tuple[BookUpdate, ...] = ()
    quotes: tuple[BestQuote, ...] = ()
    rule: tuple[int, bool] = (0, False)
