"""Steps that read well."""

from __future__ import annotations

import math


def nice_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least `least`."""
    scale = 10.0 ** math.floor(math.log10(least))
    return next(n * scale for n in (1, 2, 5, 10) if n * scale >= least)
