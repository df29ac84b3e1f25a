"""The numbers that messages hold, as msgspec checks them: prices, sizes, times."""

from __future__ import annotations

import sys
from typing import Annotated

from msgspec import Meta

_MAX = sys.float_info.max
MAX_MILLIS = 9_223_372_036_854
"""The last millisecond since 1970 that fits 64 bits as nanoseconds."""
# msgspec checks these while it parses, which costs a tenth of checking afterwards; a finite
# upper bound is what keeps "inf" out, and any bound keeps "nan" out.
Price = Annotated[float, Meta(gt=0, le=_MAX)]
Size = Annotated[float, Meta(ge=0, le=_MAX)]
LevelSize = Annotated[float, Meta(gt=0, le=_MAX)]
Figure = Annotated[float, Meta(ge=-_MAX, le=_MAX)]
Millis = Annotated[int, Meta(ge=0, le=MAX_MILLIS)]
