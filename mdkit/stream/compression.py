"""Recordings' bytes on disk: plain, gzip or Zstandard, written in flushes, read as far as they go.

Writing goes by the file's suffix, reading by its first bytes. A file that was cut off or
damaged is read up to there, and what was wrong is told in a sentence rather than raised.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from isal import isal_zlib

from mdkit.errors import RecordingError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_GZIP = 31  # zlib's number for a window of 32 KiB with a gzip header
_ZSTD_WINDOW = 17
"""Its size as a power of two: 128 KiB fit into the caches, and books repeat within them."""
_CHUNK_BYTES = 1 << 15
"""Of a file, and of text, at a time: what is made of it should be in the caches when it is used."""


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
        # The same format as zlib's, in a quarter of the time.
        self._stream = isal_zlib.compressobj(1, zlib.DEFLATED, _GZIP)

    def compress(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstd:
    def __init__(self, path: Path) -> None:
        self._library = _zstandard(path)
        settings = self._library.ZstdCompressionParameters.from_level(1, window_log=_ZSTD_WINDOW)
        self._stream = self._library.ZstdCompressor(compression_params=settings).compressobj()

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


_Quick = tuple[Callable[[], _Stream], type[Exception]]
"""What opens a stream, and the error by which that tells damage."""


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
        start = file.read(len(ZSTD_MAGIC))
        blocks = partial(_blocks, file, faults)
        if start.startswith(GZIP_MAGIC):
            yield from _decompress(blocks, _QUICK_GZIP, _CarefulGzipStream, faults)
        elif start.startswith(ZSTD_MAGIC):
            library = _zstandard(path)
            quick = partial(_ZstdStream, library), library.ZstdError
            yield from _decompress(blocks, quick, partial(_CarefulZstdStream, library), faults)
        else:
            yield from blocks()


def _blocks(file: Any, faults: list[str]) -> Iterator[bytes]:
    """Yield a file from its beginning."""
    file.seek(0)
    try:
        while block := file.read(_CHUNK_BYTES):
            yield block
    except OSError as error:
        faults.append(f"reading failed at byte {file.tell():,} ({error.strerror})")


def _decompress(
    blocks: Callable[[], Iterator[bytes]],
    quick: _Quick,
    careful: Callable[[], _Stream],
    faults: list[str],
) -> Iterator[bytes]:
    """Yield a compressed file's text.

    Where the quick stream meets damage, the careful one, which can be made to give the last
    bytes before it, begins anew.
    """
    given = 0
    open_stream, damage = quick
    try:
        for text in _inflate(blocks(), open_stream, faults):
            given += len(text)
            yield text
        return
    except damage:
        pass
    for text in _inflate(blocks(), careful, faults):
        yield text[given:]
        given = max(0, given - len(text))


class _DamagedError(Exception):
    pass


def _pieces(stream: Any, block: bytes) -> Iterator[bytes]:
    """Yield the text of a block a piece at a time.

    A full piece may leave text inside the stream although all of the block went in.
    """
    text, rest = stream.decompress(block, _CHUNK_BYTES), stream.unconsumed_tail
    yield text
    while not stream.eof and (rest or len(text) == _CHUNK_BYTES):
        text, rest = stream.decompress(rest, _CHUNK_BYTES), stream.unconsumed_tail
        yield text


class _GzipStream:
    def __init__(self, library: Any = isal_zlib) -> None:
        self._stream: Any = library.decompressobj(_GZIP)

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused(self) -> bytes:
        return bytes(self._stream.unused_data)

    def feed(self, block: bytes) -> Iterator[bytes]:
        yield from _pieces(self._stream, block)


_QUICK_GZIP: _Quick = _GzipStream, cast(type[Exception], isal_zlib.error)


class _CarefulGzipStream(_GzipStream):
    def __init__(self) -> None:
        super().__init__(zlib)  # isal's cannot be copied

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
    piece_bytes = 1 << 11

    def __init__(self, library: Any) -> None:
        self._stream = library.ZstdDecompressor().decompressobj()
        self.unused = b""

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof)

    def feed(self, block: bytes) -> Iterator[bytes]:
        # A piece at a time: its text may be a thousand times as long.
        for at in range(0, len(block), self.piece_bytes):
            end = at + self.piece_bytes
            text = self._stream.decompress(block[at:end])
            for start in range(0, len(text), _CHUNK_BYTES):
                yield text[start : start + _CHUNK_BYTES]
            if self.ended:
                self.unused = self._stream.unused_data + block[end:]
                return


class _CarefulZstdStream(_ZstdStream):
    piece_bytes = 1 << 8  # an error takes the text of the piece it is in along

    def __init__(self, library: Any) -> None:
        super().__init__(library)
        self._error = library.ZstdError

    def feed(self, block: bytes) -> Iterator[bytes]:
        try:
            yield from super().feed(block)
        except self._error as error:
            raise _DamagedError(str(error)) from None


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
