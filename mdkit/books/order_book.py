"""`OrderBook`: the price levels of both sides, as updates change them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from mdkit.events import Level

_LOWEST = float("-inf")
_MANY = 256
"""Levels at once that are sorted together: put in one by one, each moves half of the others."""


class BookSide:
    """The levels of one side; the best is the highest bid, or the lowest ask.

    Args:
        sign: 1 for bids, -1 for asks.

    Attributes:
        unknown_removed: how many levels were removed that were not there, as venues often do.
    """

    __slots__ = ("_keys", "_sign", "_sizes", "_texts", "unknown_removed")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        # Keys are prices by their sign, ascending, so that the best, which change most, are last.
        self._keys: list[float] = []
        self._sizes: dict[float, float] = {}
        self._texts: dict[float, bytes] = {}
        self.unknown_removed = 0

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, levels: Sequence[Level], texts: Sequence[bytes] | None = None) -> None:
        """Set the levels, in any order; whatever was there before is gone.

        Args:
            levels: (price, size); those of size 0 are none.
            texts: what a level looked like on the wire, for checksums; as many as levels.
        """
        self._keys.clear()
        self._sizes.clear()
        self._texts.clear()
        self.change(levels, texts)

    def change(
        self, levels: Sequence[Level], texts: Sequence[bytes] | None = None, top: int = 1
    ) -> bool:
        """Set levels to new sizes, 0 removes one; return whether any of the best `top` changed."""
        if not levels:
            return False
        if len(levels) > _MANY:
            return self._change_many(levels, texts, top)
        keys, sizes, sign = self._keys, self._sizes, self._sign
        edge = keys[-top] if len(keys) >= top else _LOWEST
        changed = False
        for number, (price, size) in enumerate(levels):
            key = sign * price
            if size:
                if key not in sizes:
                    insort(keys, key)
                sizes[key] = size
                if texts is not None:
                    self._texts[key] = texts[number]
            elif key in sizes:
                del sizes[key]
                del keys[bisect_left(keys, key)]
                if texts is not None:
                    self._texts.pop(key, None)
            else:
                self.unknown_removed += 1
                continue
            if key >= edge:
                changed = True
        return changed

    def _change_many(
        self, levels: Sequence[Level], texts: Sequence[bytes] | None, top: int
    ) -> bool:
        """Do as `change` does, in a time that hardly depends on the order of the levels."""
        keys, sizes, sign = self._keys, self._sizes, self._sign
        edge = keys[-top] if len(keys) >= top else _LOWEST
        changed = False
        added: set[float] = set()
        for number, (price, size) in enumerate(levels):
            key = sign * price
            if size:
                if key not in sizes:
                    added.add(key)
                sizes[key] = size
                if texts is not None:
                    self._texts[key] = texts[number]
            elif sizes.pop(key, None) is not None:
                added.discard(key)
                self._texts.pop(key, None)
            else:
                self.unknown_removed += 1
                continue
            changed = changed or key >= edge
        keys[:] = [key for key in keys if key in sizes and key not in added]
        keys += added
        keys.sort()
        return changed

    def truncate(self, depth: int) -> None:
        """Forget all but the best `depth` levels."""
        for key in self._keys[:-depth]:
            del self._sizes[key]
            self._texts.pop(key, None)
        del self._keys[:-depth]

    def best(self, count: int) -> tuple[Level, ...]:
        """Return the best levels, best first."""
        sizes = self._sizes
        best = self._keys[: -count - 1 : -1]
        if self._sign > 0:
            return tuple([(key, sizes[key]) for key in best])
        return tuple([(-key, sizes[key]) for key in best])

    def texts(self, count: int) -> list[bytes]:
        """Return what the best levels looked like on the wire, best first; b"" if unknown."""
        texts = self._texts
        return [texts.get(key, b"") for key in self._keys[: -count - 1 : -1]]

    def count_within(self, price: float) -> int:
        """Return how many levels are as good as a price or better."""
        return len(self._keys) - bisect_left(self._keys, self._sign * price)

    @property
    def has_texts(self) -> bool:
        """Whether it is known what each level looked like on the wire."""
        return len(self._texts) == len(self._keys) > 0

    @property
    def worst_price(self) -> float | None:
        """The price of the last level; None where there is none."""
        return self._sign * self._keys[0] if self._keys else None


class OrderBook:
    """Both sides of a book of any depth."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookSide(1)
        self.asks = BookSide(-1)

    def best(self, count: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Return the best bids and the best asks, best first."""
        return self.bids.best(count), self.asks.best(count)

    def truncate(self, depth: int) -> None:
        """Forget all but the best `depth` levels of each side."""
        for side in (self.bids, self.asks):
            if len(side._keys) > depth:
                side.truncate(depth)

    @property
    def crossing(self) -> tuple[float, float] | None:
        """The best bid and ask where somebody bids as much as another asks; None elsewhere."""
        bids, asks = self.bids._keys, self.asks._keys
        if bids and asks and bids[-1] >= -asks[-1]:
            return bids[-1], -asks[-1]
        return None
