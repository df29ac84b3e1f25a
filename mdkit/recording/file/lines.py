"""Where the lines of a recording stand, and the messages in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mdkit.queue.channel import LINE
from mdkit.recording.format import Header, Lost, Marker, UnseenMarker
from mdkit.sources.connection import RawMessage

_MOST_LINES = 1 << 48
_MOST_PART_LINES = 1 << 30


class MessageRun(list[RawMessage]):
    """Messages that stand together in a recording; `places` is where, see `Message`.

    Places go up through a recording. Those of another recording in the same file are higher.
    """

    __slots__ = ("places",)

    def __init__(self, messages: Iterable[RawMessage], places: Sequence[int]) -> None:
        super().__init__(messages)
        self.places = places


class LineCount:
    """Numbers the lines of a file as the recorder did.

    Places of lines go up through all parts of a recording, and those of another recording behind
    it in the same file lie above them.

    Args:
        recordings: the numbers of recordings by their ids, which grow; files that are parts of one
            recording share them.
    """

    def __init__(self, recordings: dict[str, int] | None = None) -> None:
        self.recordings = {} if recordings is None else recordings
        self.begin()

    def begin(self) -> None:
        """Begin with a file: what comes before its header is of no recording."""
        self._base = -_MOST_LINES
        self._shift = self._base  # from a line's number in the file

    def note(self, marker: Marker, number: int = 0) -> None:
        """Take into account what a marker in line `number` of the file tells of lines."""
        if isinstance(marker, Header):
            own = self.recordings.setdefault(marker.id, len(self.recordings))
            self._base = own * _MOST_LINES
            # Format 1 numbers no lines, and its parts have to be told apart all the same.
            told = marker.line - number if marker.line else marker.part * _MOST_PART_LINES
            self._shift = self._base + told
        elif isinstance(marker, Lost) and marker.line:
            self._shift = self._base + marker.line - number

    def place(self, number: int) -> int:
        """Return the place of a line of the file."""
        return (number + self._shift) * LINE

    def place_of(self, line: int) -> int:
        """Return the place of a line by the number that the recorder gave it."""
        return (self._base + line) * LINE

    def places(self, number: int, count: int) -> range:
        """Return the places of so many lines of the file from one on."""
        first = self.place(number)
        return range(first, first + count * LINE, LINE)

    def spans(self, marker: UnseenMarker) -> list[tuple[int, int]]:
        """Return the places of a marker's messages: (first, end) of each run."""
        base = self._base * LINE
        return [(first + base, end + base) for first, end in marker.spans]
