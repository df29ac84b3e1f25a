"""What every indicator begins with: a checked period, and nan for a value not ready."""

from __future__ import annotations

import math
import operator
from typing import Any

from mdkit.errors import SettingsError

NAN = math.nan


def whole(period: Any, name: str, least: int = 1) -> int:
    """Return a period as an int; raise `SettingsError` unless it is whole and large enough."""
    try:
        count = operator.index(period)
    except TypeError:
        count = least - 1
    if count < least or isinstance(period, bool):
        raise SettingsError(
            f"{name}: period is {period!r}; give a whole number of at least {least}"
        ) from None
    return count
