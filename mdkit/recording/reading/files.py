"""Which files make up which recordings, and what they hold, merged by time."""

from __future__ import annotations

import glob
import heapq
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from os import PathLike, fspath
from pathlib import Path

from mdkit.errors import RecordingError
from mdkit.events import Gap
from mdkit.recording.file.lines import LineCount, MessageRun
from mdkit.recording.file.recording_file import Damage, RecordingFile
from mdkit.recording.file.writer import part_path
from mdkit.recording.format import (
    Connected,
    Disconnected,
    Header,
    Lost,
    Marker,
    Missed,
    Subscribed,
)
from mdkit.recording.reading.between import RecordingJoins
from mdkit.recording.reading.counted import locate
from mdkit.recording.reading.feeds import RecordedFeeds
from mdkit.recording.reading.unseen import Hole, SeenFilter, Unseen
from mdkit.sources.connection import RawMessage
from mdkit.venues.registry import codec_of
from mdkit.venues.routes import is_symbol

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
"""A file, a pattern such as `data/*.jsonl.gz`, or several of either."""

Happening = Gap | Connected | Disconnected | Subscribed
"""What a recording tells of beside the messages."""

Run = list[RawMessage] | Happening
"""Messages that stand together, never none; or what happened between them."""

_Timed = tuple[int, int, RawMessage | Happening]
"""What is due when, and the number of the recording that it is from."""

_MOST_TOGETHER = 256


class RecordedSession:
    """One recording: its parts in order.

    `symbols` are those that the session was subscribed to when a part began; empty where the
    file does not say.
    """

    def __init__(self, parts: Sequence[tuple[Header, RecordingFile]]) -> None:
        ordered = sorted(parts, key=lambda part: part[0].part)
        self.headers = tuple(header for header, _ in ordered)
        self.files = tuple(file for _, file in ordered)
        named = (symbol for header in self.headers for symbol in header.symbols)
        self.symbols = tuple(dict.fromkeys(filter(is_symbol, named)))
        self.allow_nonpositive = any(header.allow_nonpositive for header in self.headers)
        self.codec = codec_of(self.headers[0].venue)
        self._numbers: dict[str, int] = {}
        for file in self.files:
            file.lines = LineCount(self._numbers)
        self._unseen: Unseen | None = None
        self._has_holes = False  # as far as it was played
        self._feed_faults: list[str] = []

    def __repr__(self) -> str:
        return f"<RecordedSession of {', '.join(str(file.path) for file in self.files)}>"

    def losses(self) -> Unseen:
        """Return what the markers tell of messages that no strategy saw; reads all files."""
        unseen = Unseen()
        for file in self.files:
            unseen.read(file.markers(), LineCount(self._numbers))
        return unseen

    def unseen(self) -> Unseen:
        """Return what no strategy saw; reads all files when first asked."""
        if self._unseen is None:
            self._unseen = self.losses()
            if self._unseen.counted:
                pieces = self._pieces(self._copies(), RecordedFeeds())
                locate(self._unseen, pieces, self.codec.router(self.symbols))
        return self._unseen

    @property
    def is_miscounted(self) -> bool:
        """Whether `unseen`, if they were asked for, tell of other messages than they mean."""
        has_counts = self._unseen is not None and bool(self._unseen.counted)
        return has_counts and any(file.damaged for file in self.files)

    def absent_parts(self) -> list[str]:
        """Return a sentence part for each stretch of parts that is not there."""
        found = [header.part for header in self.headers]
        first = self.files[0].path
        told = list(self._feed_faults)
        if found[0] > 0:
            told.append(f"it begins with part {found[0]}; what came before is not in {first.name}")
        for before, after in pairwise(found):
            if after > before + 1:
                told.append(f"between its parts {before} and {after} something is missing")
        end = self.files[-1].end
        if end is not None and end.continued:
            told.append(f"it goes on after {self.files[-1].path.name}, in a part that is not here")
        return told

    def play(self, *, as_seen: bool = False, symbols: Iterable[str] | None = None) -> Iterator[Run]:
        """Yield what is in it, in order; `as_seen` what strategies saw, with gaps for the rest.

        There are gaps as well for what had come and is not in the files.
        """
        unseen = self.unseen() if as_seen else Unseen()
        feeds = RecordedFeeds()
        seen_filter = None
        if symbols is not None or unseen or self._has_holes:
            seen_filter = self._filter(unseen, symbols, follows=self._has_holes)
        for item in self._pieces(self.files, feeds):
            if isinstance(item, Hole):
                self._has_holes = True
                if seen_filter is None or not seen_filter.follows:
                    seen_filter = self._filter_of_beginning(unseen)
                seen_filter.interrupt(miscounted=item.miscounted, is_end=item.is_end)
            elif isinstance(item, MessageRun):
                if seen_filter is None:
                    yield item
                else:
                    yield from seen_filter.messages(item)
            else:
                if seen_filter is not None:
                    yield from seen_filter.marker(item)
                elif isinstance(item, Missed):
                    yield item.gap()
                if isinstance(item, Connected | Disconnected | Subscribed):
                    yield item
        self._feed_faults = feeds.faults
        if seen_filter is not None:
            yield from seen_filter.end()

    def _filter(
        self, unseen: Unseen, symbols: Iterable[str] | None = None, *, follows: bool
    ) -> SeenFilter:
        return SeenFilter(unseen, self.codec.router(self.symbols), symbols, follows=follows)

    def _filter_of_beginning(self, unseen: Unseen) -> SeenFilter:
        """Return a filter that has followed the channels up to the first hole.

        Reading that again costs the few recordings that have one; following the channels on the
        chance would cost all of them.
        """
        seen_filter = self._filter(unseen, follows=True)
        for item in self._pieces(self._copies(), RecordedFeeds()):
            if isinstance(item, Hole):
                break
            told = (
                seen_filter.messages(item)
                if isinstance(item, MessageRun)
                else seen_filter.marker(item)
            )
            deque(told, maxlen=0)
        return seen_filter

    def _copies(self) -> list[RecordingFile]:
        """Return the same files to be read while these are."""
        return [RecordingFile(file.path, self._numbers) for file in self.files]

    def _pieces(
        self, files: Sequence[RecordingFile], feeds: RecordedFeeds
    ) -> Iterator[MessageRun | Marker | Hole]:
        """Yield what is in the files, and a hole where something may be missing."""
        current = None
        for number, file in enumerate(files):
            if self._is_broken_before(number, files):
                feeds.interrupt()
                yield Hole()
            for item in feeds.pieces(file.runs(), file.lines):
                if isinstance(item, Damage):
                    yield Hole(miscounted=True)
                elif isinstance(item, Lost):
                    yield Hole()
                elif isinstance(item, Header):
                    if current is not None and item.id != current:  # files put together
                        feeds.interrupt()
                        yield Hole(is_end=True)
                        if item.symbols:
                            yield Subscribed(item.at, item.symbols)
                    current = item.id
                    yield item
                else:
                    yield item
        yield from feeds.end()

    def _is_broken_before(self, number: int, files: Sequence[RecordingFile]) -> bool:
        """Return whether something is missing between two files, the first of which was read."""
        if number == 0:
            return False
        before, after = self.headers[number - 1 : number + 1]
        return after.part > before.part + 1 or files[number - 1].is_cut


class RecordingFiles:
    """Some recordings as one: parts put in order, recordings merged by time.

    Raises `RecordingError` when there is no such file. Of a recording that was rotated, the
    first file stands for all of its parts that lie beside it.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = find_files(paths)
        self.sessions = _group(self.paths)
        self.symbols = tuple(dict.fromkeys(s for session in self.sessions for s in session.symbols))
        self.allow_nonpositive = any(session.allow_nonpositive for session in self.sessions)
        self.codec = self.sessions[0].codec
        others = {session.codec.name for session in self.sessions} - {self.codec.name}
        if others:
            raise RecordingError(
                f"Recordings of {self.codec.name} and of {', '.join(sorted(others))} cannot be "
                "read as one: read those of each venue by themselves."
            )

    def __repr__(self) -> str:
        return f"<RecordingFiles of {len(self.sessions)} recordings in {len(self.files)} files>"

    @property
    def files(self) -> tuple[RecordingFile, ...]:
        """All files, recording by recording."""
        return tuple(file for session in self.sessions for file in session.files)

    @property
    def faults(self) -> list[str]:
        """Sentences on what is missing or damaged, once everything has been played."""
        told = [f"{file.path}: {'; '.join(file.faults)}." for file in self.files if file.faults]
        for session in self.sessions:
            absent = session.absent_parts()
            if session.is_miscounted:
                absent.append(
                    "its markers count messages, and the damaged lines are not among them: what "
                    "as_seen=True leaves out is not exactly what no strategy saw"
                )
            if absent:
                told.append(f"{session.files[0].path}: {'; '.join(absent)}.")
        return told

    def play(self, *, as_seen: bool = False, symbols: Iterable[str] | None = None) -> Iterator[Run]:
        """Yield what is in all recordings, as `RecordedSession.play` does; merged by `due_ns`.

        What lies between them is a gap.
        """
        wanted = None if symbols is None else tuple(symbols)
        streams = [session.play(as_seen=as_seen, symbols=wanted) for session in self.sessions]
        if len(streams) == 1:
            return streams[0]
        joins = RecordingJoins(self.codec.router(self.symbols))
        timed = (_timed(stream, number, joins) for number, stream in enumerate(streams))
        return _together(self._of_all(heapq.merge(*timed, key=itemgetter(0)), joins))

    def later_symbols(self) -> tuple[str, ...]:
        """Return what was subscribed to while recordings were made; reads all files."""
        markers = (marker for file in self.files for marker in file.markers())
        later = (m.symbols for m in markers if isinstance(m, Subscribed))
        return tuple(dict.fromkeys(symbol for symbols in later for symbol in symbols))

    def _of_all(
        self, items: Iterable[_Timed], joins: RecordingJoins
    ) -> Iterator[RawMessage | Happening]:
        """Yield what several recordings tell: what one of them subscribed to is not all."""
        known = dict.fromkeys(self.symbols)
        for due, number, item in items:
            if isinstance(item, Subscribed):
                known |= dict.fromkeys(item.symbols)
                joins.expect(known)
                yield Subscribed(item.at, tuple(known))
                continue
            if isinstance(item, tuple):
                yield from joins.gaps(number, item[0], due)
            yield item


def due_ns(item: RawMessage | Happening, before: int) -> int:
    """Return when something is due, which never decreases: `before` is when the last one was.

    It is the time of receipt, or of the event that a marker tells of; for what has none, and
    where the clock was set back, the time of what came before.
    """
    if isinstance(item, tuple):
        return max(before, item[1])
    return max(before, item.to_ns if isinstance(item, Gap) else item.at)


def _timed(runs: Iterable[Run], number: int, joins: RecordingJoins) -> Iterator[_Timed]:
    due = 0
    for run in runs:
        for item in run if isinstance(run, list) else (run,):
            due = due_ns(item, due)
            yield due, number, item
    joins.ended.add(number)


def _together(items: Iterable[RawMessage | Happening]) -> Iterator[Run]:
    """Yield the same with messages that follow each other as lists."""
    run: list[RawMessage] = []
    for item in items:
        if isinstance(item, tuple):
            run.append(item)
            if len(run) < _MOST_TOGETHER:
                continue
        if run:
            yield run
            run = []
        if not isinstance(item, tuple):
            yield item
    if run:
        yield run


def find_files(paths: Paths) -> list[Path]:
    """Return the files that paths and patterns name, each once; `RecordingError` if none."""
    given = [paths] if isinstance(paths, str | PathLike) else list(paths)
    found: list[Path] = []
    for entry in given:
        text = os.path.expanduser(fspath(entry))
        matches = [Path(text)]
        if glob.has_magic(text) and not matches[0].exists():
            matches = [Path(name) for name in sorted(glob.glob(text), key=_natural)]
            if not matches:
                raise RecordingError(f"No recording matches {text}; check the pattern.")
        found += matches
    if not found:
        raise RecordingError("There is no recording in an empty list; name at least one file.")
    for path in found:
        if not path.is_file():
            kind = "is a folder; name the files in it" if path.is_dir() else "check the path"
            raise RecordingError(f"There is no recording {path}: {kind}.")
    return list(dict.fromkeys(found))


def _group(paths: Iterable[Path]) -> tuple[RecordedSession, ...]:
    groups: dict[str, dict[Path, tuple[Header, RecordingFile]]] = {}
    for number, path in enumerate(paths):
        file = RecordingFile(path)
        header = file.read_header()
        group = groups.setdefault(header.id or f"file {number}", {})
        group[path] = header, file
        if header.id and header.part == 0:
            for sibling in _siblings(path):
                other = RecordingFile(sibling)
                found = other.read_header()
                if found.id == header.id and sibling not in group:
                    group[sibling] = found, other
    return tuple(RecordedSession(list(group.values())) for group in groups.values())


def _siblings(path: Path) -> list[Path]:
    """Return the files beside a recording whose names are those of its further parts."""
    head, _, tail = part_path(path, 0).name.rpartition(".0")
    pattern = re.compile(rf"{re.escape(head)}\.\d+{re.escape(tail)}")
    return [other for other in path.parent.iterdir() if pattern.fullmatch(other.name)]


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
