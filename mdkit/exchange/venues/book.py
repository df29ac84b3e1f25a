"""A venue's whole order book of one symbol: deep, numbered, and remembered for a while.

Its best levels are those of the simulated market; those behind them are its own. Prices are whole
ticks and sizes whole units (see `Instrument`). What changed is kept, so that the book can be shown
as it stood after any recent update.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from itertools import islice
from random import Random
from typing import NamedTuple

from mdkit.errors import ExchangeError
from mdkit.events import Depth
from mdkit.exchange.market.instruments import Instrument

Level = tuple[int, int]
"""A price in ticks and a size in units; 0 units remove the level."""
_REMEMBERED = 8192
"""Updates; at 100 a second those of more than a minute."""
_BEHIND = 2
"""Levels behind the simulated ones that an update changes, a side."""


class Change(NamedTuple):
    """What one update changed: its ids (both inclusive), its time and the levels."""

    first_id: int
    last_id: int
    ns: int
    bids: list[Level]
    asks: list[Level]
    is_top: bool
    """Whether the best price or the size there changed, on either side."""


class Past(NamedTuple):
    """What undoes an update: (side, ticks, units before)."""

    before_id: int
    before_ns: int
    last_id: int
    ns: int
    undo: list[tuple[int, int, int]]


class Snapshot(NamedTuple):
    """A book as it stood: levels best first, and the last update in it."""

    last_id: int
    ns: int
    bids: list[Level]
    asks: list[Level]


class Side:
    """One side of a book; `sign` is 1 for bids, whose best is the highest, -1 for asks."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, int] = {}
        self.holes: set[int] = set()
        """Prices near the best at which nobody quotes."""
        self._keys: list[int] = []  # sign * ticks, ascending: the best is last

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def best(self) -> int:
        """The best price in ticks."""
        return self.sign * self._keys[-1]

    @property
    def worst(self) -> int:
        """The worst price in ticks."""
        return self.sign * self._keys[0]

    def put(self, ticks: int, units: int) -> int:
        """Set a level, or remove it where `units` is 0; return what stood there."""
        before = self.levels.get(ticks, 0)
        key = self.sign * ticks
        if units:
            self.levels[ticks] = units
            if not before:
                insort(self._keys, key)
        elif before:
            del self.levels[ticks]
            del self._keys[bisect_left(self._keys, key)]
        return before

    def add_behind(self, levels: list[Level]) -> None:
        """Add levels, each of which is worse than all before it."""
        self.levels.update(levels)
        self._keys[:0] = [self.sign * ticks for ticks, _ in reversed(levels)]

    def top(self, count: int | None = None) -> list[Level]:
        """Return the best levels, best first; all where `count` is None."""
        keys = self._keys if count is None else self._keys[-count:] if count else []
        levels, sign = self.levels, self.sign
        return [(sign * key, levels[sign * key]) for key in reversed(keys)]

    def top_with(self, changed: dict[int, int], count: int | None = None) -> list[Level]:
        """Return the best levels as they were if some had other sizes, 0 where they were not."""
        levels, sign = self.levels, self.sign
        stayed = (sign * key for key in reversed(self._keys) if sign * key not in changed)
        found = [(ticks, levels[ticks]) for ticks in islice(stayed, count)]
        found += [item for item in changed.items() if item[1]]
        return sorted(found, reverse=sign > 0)[:count]

    def nth(self, count: int) -> int:
        """Return the price in ticks of the level that is `count`th from the best, or the worst."""
        return self.sign * self._keys[-min(count, len(self._keys))]

    def between(self, worse: int, better: int) -> list[int]:
        """Return the prices of the levels from one to another, both included."""
        keys, sign = self._keys, self.sign
        begin, end = bisect_left(keys, sign * worse), bisect_right(keys, sign * better)
        return [sign * key for key in keys[begin:end]]

    def not_behind(self, ticks: int) -> list[int]:
        """Return the prices at `ticks` and better."""
        return [self.sign * key for key in self._keys[bisect_left(self._keys, self.sign * ticks) :]]


class VenueBook:
    """The order book of `spec` with about `size` levels a side, beginning as `depth` shows it.

    The ids of an update follow those of the one before, or up to `id_gap` later.
    """

    def __init__(
        self,
        spec: Instrument,
        depth: Depth,
        size: int,
        random: Random,
        first_id: int,
        ns: int,
        id_gap: int = 0,
    ) -> None:
        self.spec = spec
        self.size = size
        self.id = first_id
        self.ns = ns
        self.bids, self.asks = Side(1), Side(-1)
        self.crossed_for = 0
        self._id_gap = id_gap
        self._random = random
        self._past: deque[Past] = deque(maxlen=_REMEMBERED)
        self.move(depth, ns)
        self._past.clear()

    def move(self, depth: Depth, ns: int) -> Change:
        """Follow the simulated market to `depth`; return what changed."""
        return self._commit(
            [
                *self._follow(self.bids, depth.bids),
                *self._follow(self.asks, depth.asks),
                *self._cross(depth),
            ],
            ns,
        )

    def deepen(self, levels: int, ns: int) -> Change:
        """Grow to `levels` a side at once; return the change, which is as large."""
        self.size = max(self.size, levels)
        return self._commit([*self._refill(self.bids), *self._refill(self.asks)], ns)

    def restart_ids(self) -> None:
        """Let the next update have lower ids, as after a venue's maintenance."""
        self.id //= 2

    def top(self, levels: int | None = None) -> Snapshot:
        """Return the book as it stands, with so many levels a side."""
        return Snapshot(self.id, self.ns, self.bids.top(levels), self.asks.top(levels))

    def at(
        self, update_id: int | None = None, ns: int | None = None, levels: int | None = None
    ) -> Snapshot:
        """Return the book after the last update up to an id, or up to a time.

        It is whole, or the best `levels` of each side. Raises `ExchangeError` for one that is
        forgotten, or still to come.
        """
        if update_id is None and ns is None:
            return self.top(levels)
        last_id, last_ns = self.id, self.ns
        if (update_id is not None and update_id > last_id) or (ns is not None and ns > last_ns):
            raise ExchangeError(
                f"The book of {self.spec.symbol} has not come to {update_id or ns} yet; it is "
                f"at update {last_id}, time {last_ns} ns."
            )
        undone: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for past in reversed(self._past):
            if (update_id is not None and past.last_id <= update_id) or (
                ns is not None and past.ns <= ns
            ):
                break
            for side, ticks, units in reversed(past.undo):
                undone[side][ticks] = units
            last_id, last_ns = past.before_id, past.before_ns
        if (update_id is not None and last_id > update_id) or (ns is not None and last_ns > ns):
            raise ExchangeError(
                f"The book of {self.spec.symbol} at {update_id or ns} is forgotten; the oldest "
                f"that is known is of update {last_id}, time {last_ns} ns."
            )
        return Snapshot(
            last_id,
            last_ns,
            self.bids.top_with(undone[0], levels),
            self.asks.top_with(undone[1], levels),
        )

    @property
    def oldest_ns(self) -> int:
        """The time of the oldest state that is remembered."""
        return self._past[0].before_ns if self._past else self.ns

    def _commit(self, steps: list[tuple[Side, int, int]], ns: int) -> Change:
        """Number and remember the steps that were taken: (side, ticks, units before)."""
        before_id, before_ns = self.id, self.ns
        # Times name updates where a venue has no numbers: distinct, in whole microseconds, and
        # rounded up, since what was pushed at the last whole one is without this update.
        self.ns = -(-max(ns, before_ns + 1_000) // 1_000) * 1_000
        first_id = before_id + 1 + int(self._random.random() * self._id_gap)
        self.id = first_id + len(steps) + int(self._random.random() * 4)
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        firsts: dict[tuple[int, int], int] = {}
        for side, ticks, before in steps:
            which = 0 if side is self.bids else 1
            (asks if which else bids)[ticks] = side.levels.get(ticks, 0)
            firsts.setdefault((which, ticks), before)
        undo = [(which, ticks, units) for (which, ticks), units in firsts.items()]
        self._past.append(Past(before_id, before_ns, self.id, self.ns, undo))
        # Some that stood for a moment only are told as removed: nobody has ever seen them.
        changed_bids = [(t, u) for t, u in bids.items() if not u or firsts[0, t] != u]
        changed_asks = [(t, u) for t, u in asks.items() if not u or firsts[1, t] != u]
        is_top = any(t >= self.bids.best for t, _ in changed_bids) or any(
            t <= self.asks.best for t, _ in changed_asks
        )
        return Change(first_id, self.id, self.ns, changed_bids, changed_asks, is_top)

    def _follow(
        self, side: Side, shown: tuple[tuple[float, float], ...]
    ) -> list[tuple[Side, int, int]]:
        spec = self.spec
        fresh = {spec.ticks(price): max(1, spec.units(size)) for price, size in shown}
        edge = (min if side.sign > 0 else max)(fresh)
        self._leave_holes(side, fresh)
        steps = [(side, t, side.put(t, 0)) for t in side.not_behind(edge) if t not in fresh]
        for ticks, units in fresh.items():
            if side.levels.get(ticks) != units:
                steps.append((side, ticks, side.put(ticks, units)))
        if len(side) > len(fresh):
            steps += self._stir(side, edge)
        steps += self._refill(side)
        while len(side) > self.size and side.worst not in fresh:
            steps.append((side, side.worst, side.put(side.worst, 0)))
        return steps

    def _leave_holes(self, side: Side, fresh: dict[int, int]) -> None:
        """Take levels out of a simulated side, which has one at every tick; the best one stays.

        So levels behind a venue's depth come into it, and may be gone when it comes back to them.
        """
        _, *others = fresh
        side.holes.intersection_update(others)
        if others:
            ticks = others[int(self._random.random() * len(others))]
            if ticks in side.holes:
                side.holes.discard(ticks)
            elif self._random.random() < 0.5:
                side.holes.add(ticks)
        for ticks in side.holes:
            del fresh[ticks]

    def _stir(self, side: Side, edge: int) -> list[tuple[Side, int, int]]:
        """Change some levels behind the simulated ones, more often the nearer they are."""
        rnd, steps = self._random.random, []
        room = abs(side.worst - edge)
        for _ in range(_BEHIND):
            ticks = edge - side.sign * (1 + int(rnd() * rnd() * room))
            if ticks < 1:
                continue
            is_there, chance = ticks in side.levels, rnd()
            units = 0 if is_there and chance < 0.4 else self._fresh_units()
            if not is_there and chance < 0.2:
                units = 0  # came and went within the update
            steps.append((side, ticks, side.put(ticks, units)))
        return steps

    def _refill(self, side: Side) -> list[tuple[Side, int, int]]:
        added: list[Level] = []
        ticks = side.worst
        while len(side) + len(added) < self.size:
            ticks -= side.sign * (1 + int(self._random.random() * 2.2))
            if ticks < 1:
                break
            added.append((ticks, self._fresh_units()))
        side.add_behind(added)
        return [(side, ticks, 0) for ticks, _ in added]

    def _fresh_units(self) -> int:
        return max(1, int(self.spec.size * (0.1 + 2.4 * self._random.random() ** 2)))

    def _cross(self, depth: Depth) -> list[tuple[Side, int, int]]:
        """While the venue's own book is crossed, have a bid stand above the best ask."""
        if not self.crossed_for:
            return []
        self.crossed_for -= 1
        ticks = self.spec.ticks(depth.asks[0][0]) + 1
        return [(self.bids, ticks, self.bids.put(ticks, self._fresh_units()))]
