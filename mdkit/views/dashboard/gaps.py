"""What was not seen of one symbol, for charts over time.

A burst can leave thousands of gaps a second, each of some milliseconds. Only those that are new
are looked at, and those of one reason that lie closer than a pixel are kept joined.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mdkit.canvas.rings import MS
from mdkit.events import SET_BACK

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline

MOST = 300
"""Stretches kept."""


class Stretch(NamedTuple):
    """A stretch of time of which something, or everything, was not seen."""

    from_ns: int
    to_ns: int
    reason: str
    lost: int
    """How many messages are known to be missing; 0 where nobody can know."""


class RecentGaps:
    """The newest gaps of one symbol (None: of all), joined where they lie within `apart_ns`.

    Those that were filled in are left out. For one pipeline, and to be called in its loop.
    """

    def __init__(self, symbol: str | None = None, apart_ns: int = 50_000_000) -> None:
        self.stretches: list[Stretch] = []
        self.rows: list[tuple[float, float, str, int]] = []
        """The same for the page: from and to in ms since the epoch, reason, messages lost."""
        self._symbol = symbol
        self._apart_ns = apart_ns
        self._counted = 0

    def look(self, pipeline: Pipeline) -> bool:
        """Take in new gaps; False where none of them matters here."""
        latest = islice(reversed(pipeline.gaps), max(0, pipeline.gap_count - self._counted))
        self._counted = pipeline.gap_count
        new = [
            Stretch(gap.from_ns, gap.to_ns, gap.reason, gap.lost or 0)
            for gap in latest
            if gap.lost != 0  # 0: what was missed has been filled in
            and (self._symbol is None or gap.symbol in ("", self._symbol))
            and gap.channel.partition(":")[0] != "bar"
            and not gap.reason.startswith(SET_BACK)
        ]
        if not new:
            return False
        joined: list[Stretch] = []
        places: dict[str, int] = {}
        for gap in sorted((*self.stretches, *new)):
            at = places.get(gap.reason)
            if at is not None and gap.from_ns <= joined[at].to_ns + self._apart_ns:
                old = joined[at]
                joined[at] = old._replace(to_ns=max(old.to_ns, gap.to_ns), lost=old.lost + gap.lost)
            else:
                places[gap.reason] = len(joined)
                joined.append(gap)
        self.stretches = joined[-MOST:]
        self.rows = [(s.from_ns / MS, s.to_ns / MS, s.reason, s.lost) for s in self.stretches]
        return True
