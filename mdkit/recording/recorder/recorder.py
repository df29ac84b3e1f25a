"""A recorder: what arrives, written down as it arrives, beside the pipeline and never in its way.

The loop's thread makes one text of each batch and puts it on a deque; a thread of the recorder's
own compresses and writes it. That thread touches no message: one that two cores work on costs
both of them more than the text does. What is waiting is bounded. A disk that is too slow costs
messages of the recording, which are counted and told of, and never the session.
"""

from __future__ import annotations

import atexit
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mdkit.errors import MdkitError, RecordingError, SessionError, SettingsError
from mdkit.machine import in_browser
from mdkit.recording.file.compression import compressor
from mdkit.recording.file.recording_file import lines_of, size
from mdkit.recording.file.writer import RecordingWriter, check_is_free
from mdkit.recording.format import VERSION, Base, Header, Lost, Marker, Subscribed, encode_marker
from mdkit.sources.connection import RawMessage

Counts = Callable[[], Iterable[tuple[str, str, int, int]]]
"""Returns `(symbol, channel, received, admitted)` of every channel before the present batch."""

_CHUNK_BYTES = 1 << 20
_LINGER_SECONDS = 0.2
_FLUSH_SECONDS = 1.0
_MARKER_BYTES = 256
"""About what a marker that waits takes."""


class _NextPart:
    """In the queue: what follows goes into the next file."""

    def __init__(self, at_ns: int, bases: list[Marker], line: int) -> None:
        self.at_ns = at_ns
        self.bases = bases
        self.line = line


class _Text(NamedTuple):
    """In the queue: messages as whole lines."""

    lines: bytes
    messages: int


_Item = _Text | Marker | _NextPart


class Recorder:
    """Writes raw messages and markers into a file, or with rotation into several.

    Args:
        path: where to; `.gz` and `.zst` compress. Folders are made, and the files are private.
            Rotation puts numbers into the name: `morning.jsonl.gz`, `morning.1.jsonl.gz`, ...
        rotate_bytes, rotate_seconds: begin the next file with the first batch after so many
            bytes were written to the disk, or so much time has passed; None for never.
        limit_bytes: memory for what waits to be written; beyond that messages are lost to the
            recording, and counted, until half of it is free again.
        overwrite: replace an existing file of that name.

    `start`, `write`, `mark` and `close` belong to one thread. Raises `SettingsError` when an
    argument cannot work or the file exists, `RecordingError` when `.zst` lacks its library.

    Example:
        >>> tape = md.Recorder("market.jsonl.gz", rotate_seconds=3600)
        >>> market = md.Simulated(["AAPL.US"], speed=None, count=100)
        >>> receipt = md.live(source=market, record=tape).run_blocking()
        >>> md.recording_info("market.jsonl.gz").messages
        100
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rotate_bytes: int | None = None,
        rotate_seconds: float | None = None,
        limit_bytes: int = 64 << 20,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path).expanduser()
        self.rotate_bytes = rotate_bytes
        self.rotate_seconds = rotate_seconds
        self.limit_bytes = limit_bytes
        self.overwrite = overwrite
        self.problem: MdkitError | None = None
        """The last trouble, or None."""
        for name in ("rotate_bytes", "rotate_seconds", "limit_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{name}={value!r} is not usable: give a positive number.")
        compressor(self.path)
        check_is_free(self.path, self.overwrite)
        self._queue: deque[tuple[int, _Item]] = deque()
        self._put_bytes = 0
        self._taken_bytes = 0
        self._received = 0
        self._left_out = 0
        self._stretch = 0
        self._is_losing = False
        self._parts = 0
        self._line = 1  # which is written next
        self._has_begun = False
        self._part_due = float("inf")
        self._counts: Counts | None = None
        self._feeds: Callable[[], Iterable[Marker]] = tuple
        self._on_problem: Callable[[MdkitError], None] | None = None
        self._untold: deque[MdkitError] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._is_started = False
        self._thread: threading.Thread | None = None  # there is none in a browser
        self._flush_due = 0.0
        self._is_finished = False
        self._writer: RecordingWriter | None = None

    @property
    def running(self) -> bool:
        """Whether what is given now will be written."""
        return self._is_started and not self._closing and not self._has_failed

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    @property
    def messages(self) -> int:
        """Messages given, less those lost; up to a second of them may not be on the disk yet."""
        return self._received - self.lost

    @property
    def flushed(self) -> int:
        """Messages on the disk, which a sudden end of this process cannot take away any more."""
        return self._writer.flushed if self._writer else 0

    @property
    def lines(self) -> int:
        """Lines given, those of messages that were lost among them."""
        return self._line - 1

    @property
    def lost(self) -> int:
        """Messages given that are not in the recording, because the disk was slow or full."""
        return self._left_out + (self._writer.lost if self._writer else 0)

    @property
    def bytes(self) -> int:
        """Bytes on the disk, in all files."""
        return self._writer.total_bytes if self._writer else 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of memory that wait to be written."""
        return self._put_bytes - self._taken_bytes

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in order."""
        return tuple(self._writer.paths) if self._writer else ()

    def __repr__(self) -> str:
        state = "closed" if self._closing else "running" if self._is_started else "not started"
        if self._has_failed:
            state = "failed"
        lost = f", {self.lost:,} lost" if self.lost else ""
        files = f" in {len(self.paths)} files" if len(self.paths) > 1 else ""
        return (
            f"<Recorder {self.path} {state}: {self.messages:,} messages, "
            f"{size(self.bytes)}{files}{lost}>"
        )

    @property
    def _has_failed(self) -> bool:
        return self._writer is not None and self._writer.failed

    # -- what the session calls --------------------------------------------------------------

    def start(
        self,
        source: str = "",
        symbols: Iterable[str] = (),
        *,
        allow_nonpositive: bool = False,
        venue: str = "tickdb",
        counts: Counts | None = None,
        feeds: Callable[[], Iterable[Marker]] = tuple,
        on_problem: Callable[[MdkitError], None] | None = None,
    ) -> None:
        """Create the file and begin.

        `source`, `symbols`, `allow_nonpositive` and `venue` go into the header. `counts` is asked
        for `Base` markers, before the first thing that is written and whenever a part begins or
        messages were lost: it must tell the counts before the batch that `write` is being given;
        `feeds` is asked for what connections to venues carry, in the same places. `on_problem` is
        told of trouble, within `write`, `mark` or `close`, once for each stretch of it.

        Raises `RecordingError` when the file cannot be made, `SettingsError` when it exists by
        now, `SessionError` when the recorder was started before.
        """
        if self._is_started:
            raise SessionError(f"The recorder of {self.path} was started before; make a new one.")
        check_is_free(self.path, self.overwrite)
        self._counts, self._on_problem, self._feeds = counts, on_problem, feeds
        header = Header(
            version=VERSION,
            id=secrets.token_hex(8),
            source=source,
            symbols=tuple(symbols),
            allow_nonpositive=allow_nonpositive,
            venue=venue,
        )
        writer = RecordingWriter(self.path, header, self.overwrite)
        writer.open(time.time_ns())
        self._line += 1
        self._writer = writer
        self._part_due = self._next_part_due()
        self._is_started = True
        if not in_browser():
            self._thread = threading.Thread(target=self._work, name="mdkit recorder", daemon=True)
            self._thread.start()
        atexit.register(self.close)

    def next_line(self) -> int:
        """Return the number of the line that the next message makes, the first of the file being 1.

        A further part begins here when it is due, so whoever has been told a line goes on to
        `write_lines`, and marks nothing between. The lines of messages that are lost count too.
        """
        writer = self._check_runs()
        if not self._has_begun:
            self._begin()
        if not writer.failed:
            if self._is_losing and self.waiting_bytes <= self.limit_bytes // 2:
                self._recover()
            if not self._is_losing and self._part_is_full(writer):
                self._begin_part()
        return self._line

    def write(self, batch: Sequence[RawMessage]) -> None:
        """Have messages recorded. Raises `RecordingError`, and records none, if one is none."""
        self.next_line()
        self.write_lines(batch)

    def write_lines(self, batch: Sequence[RawMessage]) -> None:
        """Have messages recorded from the line on that `next_line` gave; raises as `write`."""
        writer = self._writer
        assert writer is not None
        text = lines_of(batch)
        self._received += len(batch)
        waiting = self._put_bytes - self._taken_bytes
        if writer.failed:
            self._left_out += len(batch)
            return
        self._line += len(batch)
        if self._is_losing or waiting + len(text) > self.limit_bytes:
            self._lose(len(batch))
            return
        self._put(len(text), _Text(text, len(batch)))
        if waiting + len(text) > _CHUNK_BYTES and not self._wake.is_set():
            self._wake.set()
        if self._thread is None and (self._wake.is_set() or time.monotonic() >= self._flush_due):
            self._turn(writer)

    def mark(self, marker: Marker) -> bool:
        """Have a marker recorded in its place among the messages; return whether there was room."""
        self._check_runs()
        self._begin()
        # They are small and needed, so they may use more than messages, but not without bound.
        if self.waiting_bytes > 2 * self.limit_bytes:
            return False
        self._mark(marker)
        return True

    def close(self) -> None:
        """Write what waits and the end marker, and close the file. Closing twice is harmless.

        Takes as long as the disk needs for `waiting_bytes`: within a loop, await
        `asyncio.to_thread(recorder.close)`.
        """
        if not self._is_started:
            return
        if self._closing:
            self._join()
            return
        if self._is_losing:
            self._recover()
        self._closing = True
        self._wake.set()
        self._join()
        atexit.unregister(self.close)
        self._tell()

    def _check_runs(self) -> RecordingWriter:
        if self._writer is None or self._closing:
            raise SessionError(f"The recorder of {self.path} is not running; start it first.")
        self._tell()
        return self._writer

    def _join(self) -> None:
        """Wait until all is written; where there is no thread, write it."""
        if self._thread is not None:
            self._thread.join()
        elif self._writer is not None and not self._is_finished:
            self._turn(self._writer)

    def _bases(self) -> list[Marker]:
        if self._counts is None:
            return []
        bases = [Base(*row) for row in self._counts() if row[2] or row[3]]
        return [*bases, *self._feeds()]

    def _begin(self) -> None:
        """Put what the messages begin with before the first of all that is written."""
        if not self._has_begun:
            self._has_begun = True
            for base in self._bases():
                self._mark(base)

    def _begin_part(self) -> None:
        self._parts += 1
        self._part_due = self._next_part_due()
        bases = self._bases()
        self._line += 1  # which is the end marker's
        self._put(0, _NextPart(time.time_ns(), bases, self._line))
        self._line += 1 + len(bases)

    def _mark(self, marker: Marker) -> None:
        self._line += 1
        self._put(_MARKER_BYTES, marker)

    def _put(self, needed: int, item: _Item) -> None:
        self._put_bytes += needed
        self._queue.append((needed, item))

    def _next_part_due(self) -> float:
        return time.monotonic() + (self.rotate_seconds or float("inf"))

    def _part_is_full(self, writer: RecordingWriter) -> bool:
        if writer.part < self._parts:
            return False  # the next one is on its way
        if self.rotate_bytes is None and self.rotate_seconds is None:
            return False
        if self.rotate_bytes is not None and writer.part_bytes >= self.rotate_bytes:
            return True
        return time.monotonic() >= self._part_due

    def _lose(self, count: int) -> None:
        self._left_out += count
        self._stretch += count
        if self._is_losing:
            return
        self._is_losing = True
        self._wake.set()
        self._untold.append(
            RecordingError(
                f"The disk is too slow for the recording {self.path}: {self.waiting_bytes:,} of "
                f"{self.limit_bytes:,} bytes wait to be written, so messages are left out of it "
                "and counted as lost until half of that is free. Record fewer channels, use a "
                "faster disk, or raise limit_bytes."
            )
        )
        self._tell()

    def _recover(self) -> None:
        self._mark(Lost(self._stretch, "the disk was too slow", self._line))
        for base in self._bases():
            self._mark(base)
        self._is_losing = False
        self._stretch = 0

    def _tell(self) -> None:
        while self._untold:
            self.problem = self._untold.popleft()
            if self._on_problem is not None:
                self._on_problem(self.problem)

    # -- the recorder's own thread -----------------------------------------------------------

    def _work(self) -> None:
        writer = self._writer
        assert writer is not None
        while not self._is_finished:
            self._wake.wait(_LINGER_SECONDS)
            self._turn(writer)

    def _turn(self, writer: RecordingWriter) -> None:
        """Write what waits; the last time, once `_closing`, the end of the file as well."""
        self._wake.clear()
        closing = self._closing
        now = time.monotonic()
        try:
            self._drain(writer)
            if now >= self._flush_due:
                self._flush_due = now + _FLUSH_SECONDS
                writer.flush()
            if closing:
                writer.finish()
        except RecordingError as error:
            self._untold.append(error)
            self._drain(writer)
        except Exception as error:  # the compressor's, or a marker that cannot be encoded
            said = f"{type(error).__name__}: {error}"
            self._untold.append(RecordingError(f"The recording {self.path} ended with {said}."))
            writer.give_up()
            self._drain(writer)
        self._is_finished = closing

    def _drain(self, writer: RecordingWriter) -> None:
        """Write everything that waits, in chunks: few of them, since each waits for the GIL."""
        lines: list[bytes] = []
        taken_bytes = messages = 0
        try:
            while self._queue:
                needed, item = self._queue.popleft()
                taken_bytes += needed
                if writer.failed:
                    if isinstance(item, _Text):
                        writer.lost += item.messages
                elif isinstance(item, _NextPart):
                    taken, messages = messages, 0
                    writer.write(lines, taken)
                    lines = []
                    writer.next_part(item.at_ns, item.bases, item.line)
                elif isinstance(item, Marker):
                    lines.append(encode_marker(item) + b"\n")
                    if isinstance(item, Lost):
                        writer.note_lost(item.count)
                    elif isinstance(item, Subscribed):
                        writer.note_symbols(item.symbols)
                else:
                    lines.append(item.lines)
                    messages += item.messages
                if taken_bytes >= _CHUNK_BYTES:
                    taken, messages = messages, 0
                    writer.write(lines, taken)
                    lines = []
                    self._taken_bytes += taken_bytes
                    taken_bytes = 0
            writer.write(lines, messages)
        finally:
            self._taken_bytes += taken_bytes
