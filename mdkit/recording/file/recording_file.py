"""A recording as a file: raw messages as they arrived, and beside them what happened.

A line is `<received_ns>\t<raw message>`, or a marker: a JSON object that begins `{"mdkit":`.
Blank lines and lines that begin with `#` are passed over, and so are markers of kinds not known
here. A message alone, without a time, is accepted. Line breaks within messages are written as
spaces, which JSON does not mind. The file may be compressed (`.gz`, `.zst`). See `markers`.
"""

from __future__ import annotations

import contextlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from operator import itemgetter
from pathlib import Path

import msgspec

from mdkit.errors import RecordingError
from mdkit.recording.file.compression import GZIP_MAGIC, ZSTD_MAGIC, read_chunks
from mdkit.recording.file.lines import LineCount, MessageRun
from mdkit.recording.format import (
    MARK,
    VERSION,
    End,
    Header,
    Lost,
    Marker,
    read_marker,
)
from mdkit.recording.moments import moment
from mdkit.sources.connection import MAX_INCOMING_BYTES, RawMessage

_MOST_NS = 1 << 63
_MOST_LINE_BYTES = MAX_INCOMING_BYTES + 64
_PATIENCE = 100
_MOST_PASSED = 100_000
"""Lines that are no messages, after which a file is not read on: they could go on for hours."""
_SHOWN_BYTES = 40
_BINARY = {
    b"PAR1": "a Parquet file, as md.to_parquet writes for other programs (pandas.read_parquet)",
    b"ARROW1": "an Arrow file",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"\xfd7zXZ": "compressed with xz",
    b"BZh": "compressed with bzip2",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"%PDF": "a PDF document",
}
"""What other files begin with, and what they are."""
_EXPECTED = (
    "expected a time in nanoseconds, a tab and a message, or a message alone, and a line for each"
)


@dataclass(frozen=True, slots=True)
class Damage:
    """Stands in the place of lines that cannot be read."""

    lines: int


_read_times = msgspec.json.Decoder(list[int]).decode
# Of a line that begins with a time of 19 digits.
_head = itemgetter(slice(0, 20))
_body = itemgetter(slice(20, -1))


class RecordingFile:
    """One file of a recording, read as a stream in constant memory.

    Iterating yields messages as `(raw, received_ns)`, 0 where a line has no time, and markers.
    It raises `RecordingError` when there is no such file or it is no recording. Each iteration
    reads the file anew and, at its end, has set:

    Attributes:
        header, end: these markers, or None where the file has none.
        messages: how many messages the file holds.
        text_bytes: how long its text is.
        damaged: how many lines were passed over because they cannot be read.
        passed: those, and blank lines and comments among others.
        damage: the first of them, as the end of a sentence; empty if there was none.
        faults: what is missing or damaged, as parts of a sentence.
    """

    def __init__(self, path: str | Path, recordings: dict[str, int] | None = None) -> None:
        self.path = Path(path).expanduser()
        self.lines = LineCount(recordings)
        self._begin()

    def _begin(self) -> None:
        self.header: Header | None = None
        self.end: End | None = None
        self.messages = 0
        self.text_bytes = 0
        self.damaged = 0
        self.damage = ""
        self.faults: list[str] = []
        self.passed = 0
        self._lost = 0
        self.lines.begin()

    def __repr__(self) -> str:
        return f"<RecordingFile {self.path}>"

    def __iter__(self) -> Iterator[RawMessage | Marker]:
        for item in self.runs():
            if isinstance(item, list):
                yield from item
            elif not isinstance(item, Damage):
                yield item

    @property
    def is_cut(self) -> bool:
        """Whether messages are missing in places that nothing marks; once everything was read."""
        end = self.end
        return end is None or end.messages > self.messages + self.damaged

    def runs(self) -> Iterator[MessageRun | Marker | Damage]:
        """Yield the same with the messages that stand together as lists, which costs far less.

        In the place of lines that cannot be read there is a `Damage`.
        """
        self._begin()
        number = last_ns = 0
        others = False
        rest = b""
        for chunk in _text(self.path, self.faults):
            if not self.text_bytes:
                self._refuse_binary(chunk)
            self.text_bytes += len(chunk)
            text = rest + chunk
            end = text.rfind(b"\n") + 1
            text, rest = text[:end], text[end:]
            if self.passed > _MOST_PASSED:
                break
            if text.isspace():
                number += text.count(b"\n")
                continue
            if messages := _timed_messages(text):
                lines = len(messages)
                self.messages += lines
                last_ns = messages[-1][1]
                yield MessageRun(messages, self.lines.places(number + 1, lines))
            else:
                lines = text.count(b"\n")
                for item in self._read(text, number):
                    if isinstance(item, list):
                        self.messages += len(item)
                        last_ns = item[-1][1] or last_ns
                    elif isinstance(item, Marker):
                        others = True
                    yield item
            number += lines
            if len(rest) > _MOST_LINE_BYTES:
                raise self._refusal(f"line {number + 1} does not end")
            if self.damaged >= _PATIENCE and not self.messages and not others:
                raise self._refusal(self.damage)
        if self.passed > _MOST_PASSED:
            self.faults.append(
                f"it was not read on behind line {number:,}: {self.passed:,} lines are no messages"
            )
            rest = b""
        last = self._read_last(rest, number + 1)
        if isinstance(last, tuple):
            self.messages += 1
            yield MessageRun((last,), self.lines.places(number + 1, 1))
        elif isinstance(last, Marker):
            others = True
            yield last
        if self.damaged and not self.messages and not others:
            raise self._refusal(self.damage)
        self._judge(last_ns)

    def markers(self) -> Iterator[Marker]:
        """Yield the markers alone, at a fraction of the cost of everything. Sets nothing."""
        rest, is_long = b"\n", False
        for chunk in _text(self.path, []):
            if is_long:  # no marker is so long: its end is looked for, and nothing kept
                at = chunk.find(b"\n")
                if at < 0:
                    continue
                rest, chunk, is_long = b"", chunk[at:], False
            text = rest + chunk
            end = text.rfind(b"\n")
            at = text.find(b"\n" + MARK)
            while 0 <= at < end:
                stop = text.find(b"\n", at + 1)
                yield from _marker_in(text[at + 1 : stop])
                at = text.find(b"\n" + MARK, stop)
            rest = text[end:]
            if len(rest) > _MOST_LINE_BYTES:
                rest, is_long = b"", True
        yield from _marker_in(rest[1:])

    def read_header(self) -> Header:
        """Return the header, or an empty one where the file does not begin with one.

        Raises `RecordingError` as iterating does.
        """
        for item in self:
            return item if isinstance(item, Header) else Header()
        return Header()

    def _read(self, text: bytes, before: int) -> Iterator[MessageRun | Marker | Damage]:
        """Yield what is in whole lines of any kind, before which there were `before` others."""
        run: list[RawMessage] = []
        numbers: list[int] = []
        damaged = 0
        for number, line in enumerate(BytesIO(text), before + 1):
            line = line[:-1].rstrip(b"\r")
            item = _timed_message(line) or self._read_other(line, number)
            if item is None or isinstance(item, Damage):
                self.passed += 1
                if self.passed > _MOST_PASSED:
                    break
            if item is None:
                continue
            if damaged and not isinstance(item, Damage):
                yield Damage(damaged)
                damaged = 0
            if isinstance(item, tuple):
                run.append(item)
                numbers.append(self.lines.place(number))
                continue
            if run:
                yield MessageRun(run, numbers)
                run, numbers = [], []
            if isinstance(item, Damage):
                damaged += item.lines
            else:
                self.lines.note(item, number)
                yield item
        if run:
            yield MessageRun(run, numbers)
        if damaged:
            yield Damage(damaged)

    def _read_other(self, line: bytes, number: int) -> RawMessage | Marker | Damage | None:
        """Return what a line without a time is; None for nothing."""
        line = line.strip()
        if not line or line.startswith(b"#"):
            return None
        if line.startswith(MARK):
            try:
                marker = read_marker(line)
            except (ValueError, RecursionError):
                return self._note_damage(line, number)
            return self._note(marker)
        if line.startswith((b"{", b"[")):
            return line, 0
        return self._note_damage(line, number)

    def _read_last(self, line: bytes, number: int) -> RawMessage | Marker | Damage | None:
        """Return what a line without an end is, if it is whole."""
        timed = _timed_message(line.rstrip(b"\r"))
        if timed is not None and _is_json(timed[0]):
            return timed
        if timed is None and _is_json(line.rstrip(b"\r")):
            return self._read_other(line, number)
        if line.strip() and not line.startswith(b"#"):
            if line[:1].isdigit() or line.startswith((b"{", b"[")) or _is_cut_magic(line):
                self.faults.append(f"its last line was cut off after {len(line):,} bytes")
            else:
                self._note_damage(line, number)
        return None

    def _note(self, marker: Marker | None) -> Marker | None:
        if isinstance(marker, Header):
            if marker.version > VERSION:
                raise RecordingError(
                    f"{self.path} is a recording of format {marker.version}, and this mdkit reads "
                    f"formats 1 to {VERSION}: update mdkit."
                )
            self.header = self.header or marker
        elif isinstance(marker, End):
            self.end = marker
        elif isinstance(marker, Lost):
            self._lost += marker.count
        return marker

    def _note_damage(self, line: bytes, number: int) -> Damage:
        self.damaged += 1
        if not self.damage:
            self.damage = f"line {number:,} is not a market message ({_shown(line)})"
        return Damage(1)

    def _refuse_binary(self, start: bytes) -> None:
        """Raise `RecordingError` for a file that is of another kind, by how it begins."""
        for magic, kind in _BINARY.items():
            if start.startswith(magic):
                raise self._refusal(f"it is {kind}")

    def _refusal(self, found: str) -> RecordingError:
        return RecordingError(f"{self.path} is not a recording: {found}; {_EXPECTED}.")

    def _judge(self, last_ns: int) -> None:
        if self.damaged:
            lines = "1 line was" if self.damaged == 1 else f"{self.damaged:,} lines were"
            self.faults.append(f"{lines} damaged and passed over: {self.damage}")
        if self._lost:
            self.faults.append(f"{self._lost:,} messages could not be written when it was made")
        if self.end is not None:
            missing = self.end.messages - self.messages
            if missing > 0:
                self.faults.append(f"{missing:,} of {self.end.messages:,} messages are missing")
        elif self.header is not None and self.header.id:
            after = f"after {moment(last_ns)} " if last_ns else ""
            self.faults.append(
                "it has no end marker, so its recorder was killed or is still at work: about a "
                f"second of messages {after}may be missing"
            )


def _shown(line: bytes) -> str:
    """Return the beginning of a line as it may stand in a message, or how long it is."""
    shown = line[:_SHOWN_BYTES].decode(errors="replace")
    if "\ufffd" in shown[:-1] or not shown.replace("\t", "").isprintable():
        return f"{len(line):,} bytes that are no text"
    return repr(shown)


def _text(path: Path, faults: list[str]) -> Iterator[bytes]:
    """Yield a file's text as `read_chunks` does, without the mark that some editors put first."""
    chunks = read_chunks(path, faults)
    for chunk in chunks:
        if chunk:
            yield chunk.removeprefix(BOM_UTF8)
            break
    yield from chunks


def lines_of(batch: Sequence[RawMessage]) -> bytes:
    """Return messages as lines of text.

    Raises `RecordingError` for what are no messages.
    """
    if not batch:
        return b""
    raws = [raw for raw, _ in batch]
    try:
        together = b"".join(raws)
    except TypeError as error:
        raise RecordingError(f"A recording takes (bytes, time in ns) pairs: {error}.") from None
    # Searching this costs a tenth of searching them one by one.
    if b"\n" in together or b"\r" in together:
        raws = [_one_line(raw) for raw in raws]
    stamps = [stamp for _, stamp in batch]
    if stamps.count(stamps[0]) == len(stamps):  # what came off the socket together
        head = b"%d\t" % stamps[0]
        return head + (b"\n" + head).join(raws) + b"\n"
    return b"".join([b"%d\t%b\n" % pair for pair in zip(stamps, raws, strict=True)])


def _one_line(raw: bytes) -> bytes:
    return raw.replace(b"\n", b" ").replace(b"\r", b" ")


def size(count: int) -> str:
    """Return a number of bytes as text: `12.3 kB`."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _timed_message(line: bytes) -> RawMessage | None:
    """Return the message of a line that begins with a time; None if it is of another kind."""
    head, tab, raw = line.partition(b"\t")
    if tab and len(head) < 20 and head.isdigit() and (received_ns := int(head)) < _MOST_NS:
        return raw, received_ns
    return None


def _timed_messages(text: bytes) -> list[RawMessage] | None:
    """As `_timed_message` for whole lines, at a fraction of the cost.

    Returns None unless each begins with a time of 19 digits, as those of this century have.
    """
    # A stream finds the ends of lines five times as fast as splitting does.
    heads = b"".join(map(_head, BytesIO(text)))
    count = len(heads) // 20
    stamps = heads.replace(b"\t", b"")
    if not (heads[19::20] == b"\t" * count and stamps.isdigit() and len(stamps) == 19 * count):
        return None
    if b"\r" in text:
        return None
    try:
        times = _read_times(b"[%b]" % heads.replace(b"\t", b",")[:-1])
    except msgspec.DecodeError:  # numbers that begin with 0
        return None
    if max(times) >= _MOST_NS:
        return None
    return list(zip(map(_body, BytesIO(text)), times, strict=True))


def _marker_in(line: bytes) -> Iterator[Marker]:
    if line.startswith(MARK):
        with contextlib.suppress(ValueError, RecursionError):
            marker = read_marker(line)
            if marker is not None:
                yield marker


def _is_json(text: bytes) -> bool:
    """Whether a text is a whole JSON object or list."""
    if not text.rstrip().endswith((b"}", b"]")):
        return False
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_cut_magic(start: bytes) -> bool:
    return GZIP_MAGIC.startswith(start) or ZSTD_MAGIC.startswith(start)
