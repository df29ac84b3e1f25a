"""A place in recordings: what comes next, and when it is due."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from mdkit.recording.reading.files import Happening, Run, due_ns
from mdkit.sources.connection import RawMessage

_time = itemgetter(1)


class Cursor:
    """Recordings from one place on, taken piece by piece.

    Attributes:
        passed_ns: when what was taken last was due, in recorded ns; 0 at the beginning.
    """

    def __init__(self, runs: Iterator[Run]) -> None:
        self.passed_ns = 0
        self._runs = runs
        self._run: Run | None = next(runs, None)
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more."""
        return self._run is None

    @property
    def due_ns(self) -> int:
        """When the next piece is due, in recorded ns; of nothing, when the last one was."""
        run = self._run
        if run is None:
            return self.passed_ns
        return due_ns(run[self._at] if isinstance(run, list) else run, self.passed_ns)

    def take(self, most: int, until_ns: int | None = None) -> list[RawMessage] | Happening:
        """Take the next messages, at most so many, or what happened before the next message.

        Messages that are due after `until_ns` stay. Whether there is anything, and whether its
        beginning is due, is for the caller to see.
        """
        run = self._run
        assert run is not None
        if not isinstance(run, list):
            self.passed_ns = due_ns(run, self.passed_ns)
            self._run = next(self._runs, None)
            return run
        messages: list[RawMessage] = []
        # Files are read in pieces that are smaller than a good batch.
        while isinstance(run, list) and len(messages) < most:
            end = min(len(run), self._at + most - len(messages))
            if until_ns is not None:
                end = next((i for i in range(self._at, end) if run[i][1] > until_ns), end)
            messages += run[self._at : end]
            self._at = end
            if end < len(run):
                break
            run = self._run = next(self._runs, None)
            self._at = 0
        self.passed_ns = max(self.passed_ns, *map(_time, messages))
        return messages
