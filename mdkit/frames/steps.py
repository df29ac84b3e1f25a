"""The last row of each step of time."""

from __future__ import annotations

import numpy as np

from mdkit.frames.live import Block


def last_rows(block: Block, step_ns: int) -> Block:
    """Return the last row of each step, with the flags of all rows of its step."""
    if not block.received.size:
        return block
    edges = np.flatnonzero(np.diff(block.received // step_ns)) + 1
    lasts = np.append(edges - 1, block.received.size - 1)
    flags = np.bitwise_or.reduceat(block.flags, np.append(0, edges))
    return Block(
        block.received[lasts],
        block.floats[:, lasts],
        block.times[:, lasts],
        block.objects[:, lasts],
        flags,
    )
