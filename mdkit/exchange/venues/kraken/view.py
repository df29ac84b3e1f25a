"""The best levels of a book's side as a venue shows them, followed change by change."""

from __future__ import annotations

from collections.abc import Iterable

from mdkit.exchange.venues.book import Level, Side


class BookView:
    """The best `depth` levels of a side, and what those who hold them must be told.

    A level that leaves the view since better ones came is not told of: clients truncate. One that
    comes into it is told, whether or not it has been there before.
    """

    def __init__(self, side: Side, depth: int) -> None:
        self._side = side
        self._depth = depth
        self._shown = dict(side.top(depth))
        self._edge = side.nth(depth)

    def levels(self) -> list[Level]:
        """Return the levels in view, best first."""
        return self._side.top(self._depth)

    def follow(self, changed: Iterable[Level]) -> list[Level]:
        """Return what is to be told of a change of the side, removals as size 0."""
        side, shown, sign = self._side, self._shown, self._side.sign
        edge = side.nth(self._depth)
        told: list[Level] = []
        for ticks, _ in changed:
            units, before = side.levels.get(ticks, 0), shown.get(ticks)
            if units and sign * ticks >= sign * edge:
                if units != before:
                    shown[ticks] = units
                    told.append((ticks, units))
            elif before is not None:
                del shown[ticks]
                if not units:
                    told.append((ticks, 0))
        if sign * edge < sign * self._edge:
            for ticks in side.between(edge, self._edge):
                if ticks not in shown:
                    shown[ticks] = side.levels[ticks]
                    told.append((ticks, shown[ticks]))
        else:
            for ticks in side.between(self._edge, edge):
                if ticks != edge:
                    shown.pop(ticks, None)
        self._edge = edge
        return told
