"""The last row of each step of time."""

from __future__ import annotations

import numpy as np

from mdkit.frames.live import Block


def last_rows(block: Block, step_ns: int) -> Block:
    """Return the last row of each step, with the flags of all rows of its step."""
    if not block.received.size:
        return block
    steps = block.received // step_ns
    ends = [*(np.flatnonzero(steps[1:] != steps[:-1]) + 1).tolist(), steps.size]
    lasts = [end - 1 for end in ends]
    flags = np.bitwise_or.reduceat(block.flags, [0, *ends[:-1]])
    return Block(
        block.received[lasts],
        block.floats[:, lasts],
        block.times[:, lasts],
        block.objects[:, lasts],
        flags,
    )
