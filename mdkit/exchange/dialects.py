"""The dialects that the embedded exchange speaks, and what writes their messages."""

from __future__ import annotations

from typing import Literal

from mdkit.venues.codec import Codec
from mdkit.venues.registry import codec_of

Dialect = Literal["realtime", "flat"]
"""`realtime` subscribes by commands and wraps messages; `flat` subscribes in the URL."""

CODECS: dict[Dialect, Codec] = {"realtime": codec_of("tickdb"), "flat": codec_of("tickdb.flat")}
