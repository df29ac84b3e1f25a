"""Where every message went.

At every instant, for every symbol and channel:

    received = processed + dropped + conflated + dead_lettered + invalid
             + queued + spilled + in_flight

The last three are where messages are now, the others where they ended. Each count is kept by
the part that moves the message, never derived from the others, so that the equation can fail
and `Ledger.imbalance` can say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ENDED = ("processed", "dropped", "conflated", "dead_lettered", "invalid")
WAITING = ("queued", "spilled", "in_flight")
COLUMNS = ("received", *ENDED, *WAITING)

_values = attrgetter(*COLUMNS)


class Counts:
    """What became of the messages of one symbol and channel since the session began.

    `channel` is "depth", or "depth:rest" for what the REST service gave of it: counted apart.
    """

    __slots__ = ("channel", "symbol", *COLUMNS)

    def __init__(self, symbol: str, channel: str) -> None:
        self.symbol = symbol
        self.channel = channel
        self.received = 0
        self.processed = 0
        self.dropped = 0
        self.conflated = 0
        self.dead_lettered = 0
        self.invalid = 0
        self.queued = 0
        self.spilled = 0
        self.in_flight = 0

    def imbalance(self) -> int:
        """Return received minus the sum of everything else: 0 unless a message was lost."""
        ended = self.processed + self.dropped + self.conflated + self.dead_lettered + self.invalid
        return self.received - ended - self.queued - self.spilled - self.in_flight

    def __repr__(self) -> str:
        counts = " ".join(f"{name}={getattr(self, name)}" for name in COLUMNS)
        return f"<{type(self).__name__} {self.symbol or '-'} {self.channel}: {counts}>"


class Ledger:
    """The counts of a session, by symbol and channel."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}

    def add(self, counts: Counts) -> None:
        """Show counts that somebody else keeps; no symbol and channel has two."""
        key = (counts.symbol, counts.channel)
        if key in self._counts:
            raise ValueError(f"{key} is counted already")
        self._counts[key] = counts

    def counts(self, symbol: str, channel: str) -> Counts:
        """Return the counts of a symbol and channel, all zero when first asked for."""
        found = self._counts.get((symbol, channel))
        if found is None:
            found = Counts(symbol, channel)
            self.add(found)
        return found

    def __iter__(self) -> Iterator[Counts]:
        return iter(self._counts.values())

    @property
    def waits(self) -> bool:
        """Whether a message is queued, spilled or in flight."""
        return any(a.queued or a.spilled or a.in_flight for a in self._counts.values())

    def totals(self) -> dict[str, int]:
        """Return the sum over all of them for each column."""
        values = [_values(counts) for counts in self._counts.values()]
        sums = map(sum, zip(*values, strict=True)) if values else [0] * len(COLUMNS)
        return dict(zip(COLUMNS, sums, strict=True))

    def imbalance(self) -> list[Counts]:
        """Return those whose equation does not hold: always empty, or mdkit has a bug."""
        return [counts for counts in self._counts.values() if counts.imbalance()]

    def frame(self) -> pd.DataFrame:
        """Return one row a symbol and channel (the index), one int64 column a count."""
        import pandas as pd

        from mdkit.frames.display import Table

        rows = sorted(self._counts.values(), key=lambda a: (a.symbol, a.channel))
        index = pd.MultiIndex.from_tuples(
            [(a.symbol, a.channel) for a in rows], names=["symbol", "channel"]
        )
        data = {name: [getattr(a, name) for a in rows] for name in COLUMNS}
        return Table(data, index=index, columns=list(COLUMNS), dtype="int64")
