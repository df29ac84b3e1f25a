"""What a session on a cluster did, handed over when it stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mdkit.pipeline.receipt import Receipt, counted


@dataclass(frozen=True, slots=True)
class ClusterReceipt(Receipt):
    """A receipt over all shards.

    `totals` holds what lost workers were last seen to have done. `left_path` is None: files of
    unhandled messages are on the workers.

    Attributes:
        shards: how many there were at a time.
        losses: how often the worker of a shard was lost.
        left_paths: files, on the workers, in which unhandled messages were saved.
    """

    shards: int
    losses: int
    left_paths: Sequence[Path]

    def __str__(self) -> str:
        t = self.totals
        ended = ", ".join(
            f"{t[name]:,} {name.replace('_', ' ')}"
            for name in ("processed", "dropped", "conflated", "dead_lettered", "invalid")
            if t[name] or name == "processed"
        )
        left = f"{self.left:,} left unhandled" if self.left else "nothing left"
        if self.left_paths:
            left += f", saved on the workers in {', '.join(map(str, self.left_paths))}"
        workers = f"{self.shards} shard{'s' if self.shards != 1 else ''}"
        if self.losses:
            workers += f", {self.losses} of them lost on the way and taken over"
        balance = "the ledger balances" if self.balanced else "THE LEDGER DOES NOT BALANCE"
        return (
            f"{counted(t['received'], 'message')} in {self.seconds:.1f} s on {workers}: {ended}; "
            f"{left}; "
            f"{counted(self.signals, 'signal')}, {counted(self.gaps, 'gap')}; {balance} "
            f"({self.reason})."
            f"{self._failures}"
        )
