"""Recordings' bytes on disk: plain, gzip or Zstandard, written in flushes, read as far as they go.

Writing goes by the file's suffix, reading by its first bytes. A file that was cut off is read to
its end; one whose compression is damaged to the piece of 2 KiB in which that shows. What was
wrong is told in a sentence rather than raised.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from mdkit.errors import RecordingError, SettingsError

try:
    from isal import isal_zlib as deflate  # the same formats as zlib's, in a quarter of the time
except ModuleNotFoundError:  # in a browser
    import zlib as deflate  # type: ignore[no-redef]

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_OTHERS = {".csv", ".tsv", ".parquet", ".feather", ".arrow", ".xlsx", ".h5", ".zip", ".xz", ".bz2"}

_GZIP = 31  # zlib's number for a window of 32 KiB with a gzip header
_ZSTD_WINDOW = 17
"""Its size as a power of two: 128 KiB fit into the caches, and books repeat within them."""
_CHUNK_BYTES = 1 << 15
"""Of a file, and of text, at a time: what is made of it should be in the caches when it is used."""
_PIECE_BYTES = 1 << 11


class Compressor(Protocol):
    """Turns text into the bytes of a file."""

    def compress(self, data: bytes) -> bytes:
        """Return what can be written already, which may be nothing."""

    def flush(self) -> bytes:
        """Return all that was held back, so that it can be read even if nothing follows."""

    def finish(self) -> bytes:
        """Return the end of the stream."""


def compressor(path: Path) -> Compressor:
    """Return the compressor for a file's suffix.

    Raises `RecordingError` if it is not installed, `SettingsError` for a suffix of other files.
    """
    if path.suffix.lower() in _OTHERS:
        raise SettingsError(
            f"{path} would not be {path.suffix}: a recording holds raw messages, a line each. Give "
            "a name such as market.jsonl.gz; tables come from md.read_recording(...).frame(...)."
        )
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
        self._stream = deflate.compressobj(1, zlib.DEFLATED, _GZIP)

    def compress(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstd:
    def __init__(self, path: Path) -> None:
        self._library = _zstandard(path)
        settings = self._library.ZstdCompressionParameters.from_level(
            1, window_log=_ZSTD_WINDOW, write_checksum=True
        )
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
        """What was fed and lies behind its end."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the text of a piece; raise the library's error at damage."""


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
        blocks = _blocks(file, faults)
        if start.startswith(GZIP_MAGIC):
            yield from _joined(_inflate(blocks, _GzipStream, _GZIP_ERROR, faults))
        elif start.startswith(ZSTD_MAGIC):
            library = _zstandard(path)
            stream = partial(_ZstdStream, library)
            yield from _joined(_inflate(blocks, stream, library.ZstdError, faults))
        else:
            yield from blocks


def _blocks(file: Any, faults: list[str]) -> Iterator[bytes]:
    """Yield a file from its beginning."""
    file.seek(0)
    try:
        while block := file.read(_CHUNK_BYTES):
            yield block
    except OSError as error:
        faults.append(f"reading failed at byte {file.tell():,} ({error.strerror})")


def _joined(texts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same in chunks: each costs its reader something, however little it holds."""
    parts: list[bytes] = []
    size = 0
    for text in texts:
        parts.append(text)
        size += len(text)
        if size >= _CHUNK_BYTES:
            yield b"".join(parts)
            parts.clear()
            size = 0
    if parts:
        yield b"".join(parts)


class _WithEnd:
    _stream: Any

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused(self) -> bytes:
        return bytes(self._stream.unused_data)


class _GzipStream(_WithEnd):
    def __init__(self) -> None:
        self._stream: Any = deflate.decompressobj(_GZIP)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        rest, is_full = piece, False
        # A full chunk may leave text inside the stream although all of the piece went in.
        while not self.ended and (rest or is_full):
            text = self._stream.decompress(rest, _CHUNK_BYTES)
            rest, is_full = self._stream.unconsumed_tail, len(text) == _CHUNK_BYTES
            yield text


_GZIP_ERROR = cast(type[Exception], deflate.error)


class _ZstdStream(_WithEnd):
    def __init__(self, library: Any) -> None:
        self._stream = library.ZstdDecompressor().decompressobj()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        text = self._stream.decompress(piece)
        for start in range(0, len(text), _CHUNK_BYTES):
            yield text[start : start + _CHUNK_BYTES]


def _inflate(
    blocks: Iterator[bytes],
    open_stream: Callable[[], _Stream],
    damage: type[Exception],
    faults: list[str],
) -> Iterator[bytes]:
    """Yield a compressed file's text as far as it can be read, the piece with damage left out."""
    stream = open_stream()
    offset = 0
    for block in blocks:
        # A piece at a time: its text may be a thousand times as long, and an error takes it along.
        for at in range(0, len(block), _PIECE_BYTES):
            rest = block[at : at + _PIECE_BYTES]
            while rest:
                if stream.ended:
                    stream = open_stream()
                try:
                    yield from stream.feed(rest)
                except damage as error:
                    faults.append(
                        f"its compression is damaged, which shows at byte {offset + at:,} "
                        f"({error}): nothing from there on can be read, and what is before may be "
                        "wrong in places"
                    )
                    return
                rest = stream.unused if stream.ended else b""
        offset += len(block)
    if not stream.ended:
        faults.append(f"its compression breaks off after byte {offset:,}")
