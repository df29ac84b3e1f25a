"""Overflow to disk: an append-only temporary file, first in, first out."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mdkit.errors import SpillQuotaError

_HEADER = struct.Struct("<IQQI")
_SEGMENT_BYTES = 64 << 20


class SpillFile:
    """A queue of `(key, received_ns, raw, place)` records on disk, bounded by `quota_bytes`.

    Records live in segments of 64 MiB in a private temporary folder; a segment is deleted
    when its last record has been read, so the disk holds little more than what is unread.
    Nothing is created before the first record. `close()` removes everything.
    """

    def __init__(self, quota_bytes: int = 1 << 30) -> None:
        self.quota_bytes = quota_bytes
        self.unread_bytes = 0
        self.peak_bytes = 0
        self._count = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._segments: list[Path] = []
        self._serial = 0
        self._writer: BinaryIO | None = None
        self._reader: BinaryIO | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def folder(self) -> str | None:
        """The folder that holds the segments, or None before the first record."""
        return self._folder.name if self._folder else None

    def append(self, key: int, received_ns: int, raw: bytes, place: int = 0) -> None:
        """Add a record at the end; raise `SpillQuotaError` when it does not fit the quota."""
        size = _HEADER.size + len(raw)
        if self.unread_bytes + size > self.quota_bytes:
            raise SpillQuotaError(
                f"{self._count:,} messages ({self.unread_bytes:,} bytes) have overflowed to disk "
                f"and the quota of {self.quota_bytes:,} bytes is reached: make the strategies "
                "faster, subscribe to less, choose an overflow policy that drops, or raise "
                "SPILL_QUOTA_BYTES."
            )
        writer = self._writer
        if writer is None or writer.tell() >= _SEGMENT_BYTES:
            writer = self._next_segment()
        writer.write(_HEADER.pack(key, received_ns, place, len(raw)))
        writer.write(raw)
        self.unread_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.unread_bytes)
        self._count += 1

    def take(self, limit: int) -> Iterator[tuple[int, int, bytes, int]]:
        """Yield and remove up to `limit` records, oldest first."""
        if self._writer is not None:
            self._writer.flush()
        for _ in range(min(limit, self._count)):
            if self._reader is None:
                self._reader = self._segments[0].open("rb")
            header = self._reader.read(_HEADER.size)
            if not header:
                self._drop_segment()
                self._reader = self._segments[0].open("rb")
                header = self._reader.read(_HEADER.size)
            key, received_ns, place, size = _HEADER.unpack(header)
            raw = self._reader.read(size)
            self._count -= 1
            self.unread_bytes -= _HEADER.size + size
            yield key, received_ns, raw, place
        if not self._count:
            self._start_over()

    def places(self) -> Iterator[int]:
        """Yield the places of all records, oldest first, and remove none."""
        if self._writer is not None:
            self._writer.flush()
        start = self._reader.tell() if self._reader is not None else 0
        for segment in self._segments[:]:
            with segment.open("rb") as file:
                file.seek(start)
                start = 0
                while header := file.read(_HEADER.size):
                    _, _, place, size = _HEADER.unpack(header)
                    file.seek(size, os.SEEK_CUR)
                    yield place

    def close(self) -> None:
        """Remove the files; unread records are gone."""
        self._start_over()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _next_segment(self) -> BinaryIO:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix="mdkit-spill-", ignore_cleanup_errors=True
            )
        if self._writer is not None:
            self._writer.close()
        self._serial += 1
        path = Path(self._folder.name) / f"{self._serial:06d}.spill"
        self._segments.append(path)
        self._writer = path.open("wb", buffering=1 << 18)
        return self._writer

    def _drop_segment(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._segments.pop(0))

    def _start_over(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        while self._segments:
            self._drop_segment()
        self._count = self.unread_bytes = 0
