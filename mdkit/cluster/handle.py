"""One shard as the notebook knows it: where it is, and what was last seen of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from mdkit.cluster.shard import Remains, Snapshot

MOST_LOSSES = 5
"""Of workers, in a minute: what ends every process must not go through the whole cluster."""


@dataclass(eq=False)
class ShardHandle:
    """One shard: its symbols, the worker that reads them now, and what was last seen of it.

    Attributes:
        heard_at: when it last answered, or was given to its worker.
        seen_ns: the worker's clock at the last snapshot that found it connected, 0 before.
        blind_since_ns: since when nobody reads the symbols of a lost worker; 0 when they are
            read.
        remains: its tables, once it has ended.
        trouble: why it could not be looked at the last time.
        lost_at: when it lost its last workers.
    """

    number: int
    symbols: tuple[str, ...]
    worker: str = ""
    future: Any = None
    actor: Any = None
    answer: Any = None
    snapshot: Snapshot | None = None
    heard_at: float = 0.0
    asked_at: float = 0.0
    seen_ns: int = 0
    blind_since_ns: int = 0
    blind_reason: str = ""
    is_told_to_stop: bool = False
    remains: Remains | None = None
    trouble: str = ""
    lost_at: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_LOSSES))

    @property
    def absence(self) -> str:
        """Say why it does not answer, where something of it was seen; else nothing."""
        if self.snapshot is None and not self.lost_at:
            return ""
        named = ", ".join(self.symbols[:3]) + (", ..." if len(self.symbols) > 3 else "")
        why = (
            "was lost, and no other has taken over" if self.snapshot is None else "does not answer"
        )
        return f"shard {self.number} ({named}) on {self.worker} {why}"

    @property
    def seen(self) -> tuple[int, int]:
        """How many signals and gaps of the present shard have been seen."""
        snapshot = self.snapshot
        return (
            (snapshot.signal_count, snapshot.gaps_from + len(snapshot.gaps)) if snapshot else (0, 0)
        )

    @property
    def ended(self) -> bool:
        """Whether the session on the worker has come to its end."""
        return self.snapshot is not None and self.snapshot.receipt is not None
