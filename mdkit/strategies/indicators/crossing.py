"""When one value crosses another."""

from __future__ import annotations


class Crossover:
    """+1.0 on the update where the first value rises above the second, -1.0 where it falls below.

    0.0 otherwise. Equal values are on neither side: touching and turning back is no crossing,
    and a crossing that pauses at equality counts when it is completed. Ready once the two have
    differed.

    Example:
        >>> cross = md.Crossover()
        >>> for fast, slow in ((1.0, 2.0), (3.0, 2.0), (4.0, 2.0), (1.0, 2.0)):
        ...     cross.update(fast, slow)
        0.0
        1.0
        0.0
        -1.0
    """

    __slots__ = ("_side", "ready", "value")

    def __init__(self) -> None:
        self.ready = False
        self.value = 0.0
        self._side = 0.0

    def update(self, first: float, second: float) -> float:
        """Take the next pair; return +1.0, -1.0 or 0.0."""
        side = 1.0 if first > second else (-1.0 if first < second else 0.0)
        self.value = 0.0
        if side != 0.0:
            if self.ready and side != self._side:
                self.value = side
            self._side = side
            self.ready = True
        return self.value
