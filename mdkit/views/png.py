"""RGBA pixels as PNG, quickly.

A picture that is seen for a quarter of a second need not be small, it must not hold the loop.
Pillow tries every filter on every row of an RGBA picture, whatever the level of compression
(4 ms for 560 by 190 pixels); charts are flat areas, which deflate well without any filter: a
third of the time, for the same number of bytes.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS, _RGBA = 8, 6
_FASTEST = 1


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return pixels, shape (height, width, 4), as a PNG of the same pixels."""
    height, width, channels = pixels.shape
    # A row begins with the number of its filter: 0, none.
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, _EIGHT_BITS, _RGBA, 0, 0, 0)
    body = zlib.compress(rows.data, _FASTEST)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
