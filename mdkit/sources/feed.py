"""`Feed`: what one connection to a venue carries, as recordings name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mdkit.venues.assembly.assembler import Assembler
from mdkit.venues.registry import venue_of


@dataclass(frozen=True)
class Feed:
    """One connection's part of a session.

    Attributes:
        name: of the connection, unique in the session: "kraken 1".
        venue: whose frames they are.
        natives: the venue's own name of each symbol.
        levels: of a book that are published, a side.
        depth: of the books that were asked for.
        after: the name of the connection that this one is about to replace; else "".
    """

    name: str
    venue: str
    natives: Mapping[str, str]
    levels: int
    depth: int
    after: str = ""

    def assembler(self) -> Assembler:
        """Return what makes books, trades and tickers of its frames."""
        return venue_of(self.venue).assembler(self.natives, self.levels, self.depth)
