"""What messages hold, as msgspec checks it: prices, sizes, times, counters, ids."""

from __future__ import annotations

import sys
from typing import Annotated

from msgspec import Meta

_MAX = sys.float_info.max
MAX_MILLIS = 9_223_372_036_854
"""The last millisecond since 1970 that fits 64 bits as nanoseconds."""
_MOST_BITS = (1 << 63) - 1
# msgspec checks these while it parses, which costs a tenth of checking afterwards; a finite
# upper bound is what keeps "inf" out, and any bound keeps "nan" out.
Price = Annotated[float, Meta(gt=0, le=_MAX)]
Size = Annotated[float, Meta(ge=0, le=_MAX)]
LevelSize = Annotated[float, Meta(gt=0, le=_MAX)]
Figure = Annotated[float, Meta(ge=-_MAX, le=_MAX)]
Millis = Annotated[int, Meta(ge=0, le=MAX_MILLIS)]
Counter = Annotated[int, Meta(ge=-1, le=_MOST_BITS)]
"""A number of changes, trades or frames; -1 for none before. JSON has integers of any length."""
Checksum = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 32)]
"""A CRC-32, which some venues send with a sign."""
Id = Annotated[str, Meta(max_length=64)]
"""What names a trade."""
