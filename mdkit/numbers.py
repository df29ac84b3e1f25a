"""Whether a value is a number to compute with."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any


def is_finite(value: Any) -> bool:
    """Whether a value is a finite real number; True and False are none."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False
