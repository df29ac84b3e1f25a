"""Recordings' bytes on disk: plain, gzip or Zstandard, written in flushes, read as far as they go.

Writing goes by the file's suffix, reading by its first bytes. A file that was cut off or
damaged is read up to there, and what was wrong is told in a sentence rather than raised.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from mdkit.errors import RecordingError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_GZIP = 31  # zlib's number for a window of 32 KiB with a gzip header
_READ_BYTES = 1 << 16
_MOST_BYTES = 1 << 15
"""Of text at a time: what is made of it should still be in the caches when it is used."""
_PIECE_BYTES = 256


class Compressor(Protocol):
    """Turns text into the bytes of a file."""

    def compress(self, data: bytes) -> bytes:
        """Return what can be written already, which may be nothing."""

    def flush(self) -> bytes:
        """Return all that was held back, so that it can be read even if nothing follows."""

    def finish(self) -> bytes:
        """Return the end of the stream."""


def compressor(path: Path) -> Compressor:
    """Return the compressor for a file's suffix; raise `RecordingError` if it is not installed."""
    if path.suffix == ".gz":
        return _Gzip()
    if path.suffix == ".zst":
        return _Zstd(path)
    return _Plain()


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""


class _Gzip:
    def __init__(self) -> None:
        # The same format; isal (mdkit[fast]) takes a quarter of the time.
        self._stream: Any = (_isal() or zlib).compressobj(1, zlib.DEFLATED, _GZIP)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._stream.compress(data))

    def flush(self) -> bytes:
        return bytes(self._stream.flush(zlib.Z_SYNC_FLUSH))

    def finish(self) -> bytes:
        return bytes(self._stream.flush())


class _Zstd:
    def __init__(self, path: Path) -> None:
        self._library = _zstandard(path)
        self._stream = self._library.ZstdCompressor(level=1).compressobj()

    def compress(self, data: bytes) -> bytes:
        return bytes(self._stream.compress(data))

    def flush(self) -> bytes:
        return bytes(self._stream.flush(self._library.COMPRESSOBJ_FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._stream.flush())


def _zstandard(path: Path) -> Any:
    try:
        return import_module("zstandard")
    except ImportError:
        raise RecordingError(
            f"{path} needs a library for Zstandard: pip install zstandard, or choose a name that "
            "ends in .gz."
        ) from None


def read_chunks(path: Path, faults: list[str]) -> Iterator[bytes]:
    """Yield a file's text in chunks, in constant memory; append to `faults` what is missing.

    Raises `RecordingError` when there is no such file, it cannot be opened, or it needs a
    library that is not installed.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise RecordingError(f"There is no recording {path}; check the path.") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}); check it.") from None
    with file:
        start = file.read(_READ_BYTES)
        blocks = _blocks(file, start, path, faults)
        if start.startswith(GZIP_MAGIC):
            yield from _gunzip(file, blocks, path, faults)
        elif start.startswith(ZSTD_MAGIC):
            library = _zstandard(path)
            yield from _inflate(blocks, lambda: _ZstdStream(library), faults)
        else:
            yield from blocks


def _gunzip(file: Any, blocks: Iterator[bytes], path: Path, faults: list[str]) -> Iterator[bytes]:
    """Yield a gzip file's text: by isal where that is there, which takes half of the time.

    Where that finds damage zlib begins anew, because it can be made to give the last bytes.
    """
    given = 0
    library = _isal()
    if library is not None:
        try:
            for text in _inflate(blocks, lambda: _IsalStream(library), faults):
                given += len(text)
                yield text
            return
        except library.error:
            file.seek(0)
            blocks = _blocks(file, file.read(_READ_BYTES), path, faults)
    for text in _inflate(blocks, _GzipStream, faults):
        yield text[given:]
        given = max(0, given - len(text))


def _isal() -> Any:
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return None


def _blocks(file: Any, start: bytes, path: Path, faults: list[str]) -> Iterator[bytes]:
    block = start
    while block:
        yield block
        try:
            block = file.read(_READ_BYTES)
        except OSError as error:
            faults.append(f"reading failed at byte {file.tell():,} ({error.strerror})")
            return


class _Stream(Protocol):
    """One compressed stream; a file may hold several, one behind the other."""

    @property
    def ended(self) -> bool:
        """Whether its end has been read."""

    @property
    def unused(self) -> bytes:
        """What of the last block lies behind its end."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield the text of a block; raise `_DamagedError` behind the last that is readable."""


class _DamagedError(Exception):
    pass


class _IsalStream:
    def __init__(self, library: Any) -> None:
        self._stream = library.decompressobj(_GZIP)

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused(self) -> bytes:
        return bytes(self._stream.unused_data)

    def feed(self, block: bytes) -> Iterator[bytes]:
        yield from _pieces(self._stream, block)


def _pieces(stream: Any, block: bytes) -> Iterator[bytes]:
    """Yield the text of a block a piece at a time.

    A full piece may leave text inside the stream although all of the block went in.
    """
    text, rest = stream.decompress(block, _MOST_BYTES), stream.unconsumed_tail
    yield text
    while not stream.eof and (rest or len(text) == _MOST_BYTES):
        text, rest = stream.decompress(rest, _MOST_BYTES), stream.unconsumed_tail
        yield text


class _GzipStream:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def unused(self) -> bytes:
        return self._stream.unused_data

    def feed(self, block: bytes) -> Iterator[bytes]:
        before, given = self._stream.copy(), 0
        try:
            for text in _pieces(self._stream, block):
                given += len(text)
                yield text
        except zlib.error as error:
            yield _salvage(before, block)[given:]
            raise _DamagedError(str(error)) from None


def _salvage(stream: Any, block: bytes) -> bytes:
    """Return the text before an error, which zlib takes along unless fed byte by byte."""
    text = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(len(block)):
            text += stream.decompress(block[at : at + 1])
    return bytes(text)


class _ZstdStream:
    def __init__(self, library: Any) -> None:
        self._stream = library.ZstdDecompressor().decompressobj()
        self._error = library.ZstdError
        self.unused = b""

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof)

    def feed(self, block: bytes) -> Iterator[bytes]:
        # In small pieces: an error takes the text of the piece it is in along.
        text = bytearray()
        for at in range(0, len(block), _PIECE_BYTES):
            try:
                text += self._stream.decompress(block[at : at + _PIECE_BYTES])
            except self._error as error:
                yield bytes(text)
                raise _DamagedError(str(error)) from None
            if self.ended:
                self.unused = self._stream.unused_data + block[at + _PIECE_BYTES :]
                break
            if len(text) >= _MOST_BYTES:
                yield bytes(text)
                text.clear()
        yield bytes(text)


def _inflate(
    blocks: Iterator[bytes], open_stream: Callable[[], _Stream], faults: list[str]
) -> Iterator[bytes]:
    stream = open_stream()
    offset = 0
    for block in blocks:
        rest = block
        while rest:
            if stream.ended:
                stream = open_stream()
            try:
                yield from stream.feed(rest)
            except _DamagedError as error:
                faults.append(
                    f"its compression is damaged behind byte {offset:,} ({error}), and nothing "
                    "from there on can be read"
                )
                return
            rest = stream.unused if stream.ended else b""
        offset += len(block)
    if not stream.ended:
        faults.append(f"its compression breaks off after byte {offset:,}")
