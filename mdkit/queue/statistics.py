"""What a look at the queue shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BufferStatistics:
    """A look at the buffer.

    Attributes:
        depth: messages waiting in memory now.
        maxsize: how many may.
        peak: the largest depth so far.
        waiting_producers: `put` calls suspended now.
        oldest_age: seconds since the oldest waiting message was received; 0.0 when empty.
        spilled: messages waiting on disk now.
        spilled_bytes: their size.
        blocked_seconds: how long producers have been suspended, in all.
        overflows: how many times a message met a full queue.
    """

    depth: int
    maxsize: int
    peak: int
    waiting_producers: int
    oldest_age: float
    spilled: int
    spilled_bytes: int
    blocked_seconds: float
    overflows: int

    @property
    def utilisation(self) -> float:
        """Depth over maxsize; above 1.0 while messages wait on disk as well."""
        return (self.depth + self.spilled) / self.maxsize
