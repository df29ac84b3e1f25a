"""The files of one recording, written part by part. What cannot be written is counted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from io import FileIO
from pathlib import Path

import msgspec

from mdkit.errors import RecordingError, SettingsError
from mdkit.recording.file.compression import Compressor, compressor
from mdkit.recording.format import End, Header, Marker, encode_marker

_PRIVATE = 0o600
_COMPRESSIONS = (".gz", ".zst")


def part_path(path: Path, number: int) -> Path:
    """Return the name of a further part: `morning.jsonl.gz` becomes `morning.1.jsonl.gz`."""
    name, compression = path.name, ""
    if path.suffix in _COMPRESSIONS:
        name, compression = path.stem, path.suffix
    stem, extension = os.path.splitext(name)
    return path.with_name(f"{stem}.{number}{extension}{compression}")


class RecordingWriter:
    """Writes lines into the present part. For one thread; the figures may be read by others.

    When writing fails, the file is cut back to the last flush, so that it holds exactly the
    messages that are not counted as lost, and everything given from then on is lost.

    Attributes:
        paths: the files begun.
        part: the number of the present one.
        part_bytes, total_bytes: on the disk, in the present file and in all.
        flushed: messages that a sudden end of the process cannot take away any more.
        lost: messages given that are in no file.
        failed: whether writing has ended for good.
    """

    def __init__(self, path: Path, header: Header, overwrite: bool) -> None:
        self.path = path
        self.paths: list[Path] = []
        self.part = 0
        self.part_bytes = self.total_bytes = 0
        self.flushed = 0
        self.lost = 0
        self.failed = False
        self._header = header
        self._overwrite = overwrite
        self._file: FileIO | None = None
        self._compressor: Compressor
        self._messages = self._flushed_messages = 0
        self._flushed_bytes = 0
        self._is_dirty = False
        self._part_lost = 0

    def open(self, at_ns: int, bases: Iterable[Marker] = ()) -> None:
        """Begin the first part; raise `RecordingError` when that fails."""
        try:
            self._open(self.path, at_ns, bases)
        except OSError as error:
            self.give_up()
            raise _trouble(self.path, error) from None

    def next_part(self, at_ns: int, bases: Iterable[Marker], line: int = 1) -> None:
        """Finish the present part and begin the next, the header of which is line `line` of all.

        Raises `RecordingError` when that fails.
        """
        if self.failed:
            return
        self.finish(continued=True)
        number = self.part + 1
        path = part_path(self.path, number)
        while path.exists() and not self._overwrite:
            number += 1
            path = part_path(self.path, number)
        self.part_bytes = 0
        self.part += 1
        try:
            self._open(path, at_ns, bases, line)
        except OSError as error:
            self.give_up()
            raise _trouble(path, error) from None

    def write(self, lines: Sequence[bytes], messages: int) -> None:
        """Write whole lines, which hold so many messages; raise `RecordingError` on failure."""
        if self.failed:
            self.lost += messages
            return
        try:
            self._put(self._compressor.compress(b"".join(lines)))
        except OSError as error:
            self.lost += messages
            self.give_up()
            raise _trouble(self.paths[-1], error) from None
        self._messages += messages
        self._is_dirty = True

    def note_symbols(self, symbols: tuple[str, ...]) -> None:
        """Have the headers of the parts to come tell these."""
        self._header = msgspec.structs.replace(self._header, symbols=symbols)

    def note_lost(self, count: int) -> None:
        """Count messages that never came here towards what the end marker tells."""
        self._part_lost += count

    def flush(self) -> None:
        """Make all that was written readable; raise `RecordingError` on failure."""
        if self.failed or not self._is_dirty:
            return
        try:
            self._put(self._compressor.flush())
        except OSError as error:
            self.give_up()
            raise _trouble(self.paths[-1], error) from None
        self._flushed()

    def finish(self, *, continued: bool = False) -> None:
        """Write the end marker and close the file; raise `RecordingError` on failure."""
        if self.failed or self._file is None:
            return
        self.flush()
        end = End(self._messages, self._part_lost, continued)
        try:
            self._put(self._compressor.compress(_line(end)) + self._compressor.finish())
        except OSError as error:
            self.give_up()
            raise _trouble(self.paths[-1], error) from None
        self._file.close()
        self._file = None

    def give_up(self) -> None:
        """End for good: cut the file back to the last flush and close it."""
        self.failed = True
        self.lost += self._messages - self._flushed_messages
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.truncate(self._flushed_bytes)
            self.total_bytes -= self.part_bytes - self._flushed_bytes
            self.part_bytes = self._flushed_bytes
        with contextlib.suppress(OSError):
            self._file.close()
        self._file = None

    def _open(self, path: Path, at_ns: int, bases: Iterable[Marker], line: int = 1) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "w" if self._overwrite else "x"
        self._file = FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, _PRIVATE))
        self.paths.append(path)
        self._compressor = compressor(path)
        self._messages = self._flushed_messages = self._flushed_bytes = self._part_lost = 0
        header = msgspec.structs.replace(self._header, at=at_ns, part=self.part, line=line)
        lines = b"".join([_line(marker) for marker in (header, *bases)])
        self._put(self._compressor.compress(lines) + self._compressor.flush())
        self._flushed()

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        while data:
            written = self._file.write(data)
            self.part_bytes += written
            self.total_bytes += written
            data = data[written:]

    def _flushed(self) -> None:
        self.flushed += self._messages - self._flushed_messages
        self._flushed_bytes, self._flushed_messages = self.part_bytes, self._messages
        self._is_dirty = False


def _line(marker: Marker) -> bytes:
    return encode_marker(marker) + b"\n"


def _trouble(path: Path, error: OSError) -> RecordingError:
    return RecordingError(
        f"The recording {path} ended because it could not be written ({error.strerror or error}): "
        "what arrives from now on is counted as lost to it. Free some space or check the folder, "
        "then record into a new file."
    )


def check_is_free(path: Path, overwrite: bool) -> None:
    """Raise `SettingsError` where a file exists that may not be written over."""
    if path.exists() and not overwrite:
        raise SettingsError(
            f"{path} exists, and a recording never writes over a file: choose another name, or "
            f"have it replaced with md.Recorder({str(path)!r}, overwrite=True), on the command "
            "line --overwrite."
        )
