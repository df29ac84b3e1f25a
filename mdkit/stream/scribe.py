"""Keeps a recorder told of everything that a replay needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mdkit.errors import MdkitError
from mdkit.events import Gap
from mdkit.stream import markers
from mdkit.stream.connection import RawMessage
from mdkit.stream.places import Places
from mdkit.stream.record import Recorder
from mdkit.stream.slots import Loss, Slot

_MARKERS: dict[Loss, type[markers.Unseen]] = {
    "refused": markers.Refused,
    "dropped": markers.Dropped,
    "conflated": markers.Conflated,
}


class Scribe:
    """Writes a pipeline's messages and losses into a recorder, in the order they happen."""

    def __init__(
        self,
        recorder: Recorder,
        places: Places,
        *,
        source: str,
        symbols: Sequence[str],
        on_problem: Callable[[MdkitError], None],
    ) -> None:
        self.recorder = recorder
        self._places = places
        self._runs: dict[tuple[Slot, Loss], list[int]] = {}
        recorder.start(source, symbols, counts=self._counts, on_problem=on_problem)

    def write(self, batch: Sequence[RawMessage]) -> None:
        """Take messages as they arrived, before they are queued."""
        self._flush()
        self.recorder.write(batch)

    def moved(self, places: Places) -> None:
        """Go on with other places, before anything has been counted."""
        self._places = places

    def lost(self, slot: Slot, what: Loss, first: int, count: int) -> None:
        """Take note of messages that no strategy will see."""
        run = self._runs.get((slot, what))
        if run is not None and run[0] + run[1] == first:
            run[1] += count
            return
        if run is not None:
            self._mark(slot, what, run)
        self._runs[slot, what] = [first, count]

    def gap(self, gap: Gap) -> None:
        """Take note of a gap, in its place among the messages."""
        self._flush()
        self.recorder.mark(markers.Missed.of(gap))

    def subscribed(self, at: int, symbols: Sequence[str]) -> None:
        """Take note of a change in what is subscribed to."""
        self.recorder.mark(markers.Subscribed(at, tuple(symbols)))

    def connected(self, at: int) -> None:
        """Take note of a connection."""
        self.recorder.mark(markers.Connected(at))

    def disconnected(self, at: int, reason: str) -> None:
        """Take note of the end of a connection."""
        self.recorder.mark(markers.Disconnected(at, reason))

    def end(self) -> None:
        """Take note of what still waits: it was never handled."""
        self._flush()
        for slot in self._places:
            if slot.admitted > slot.left:
                first, count = slot.left + 1, slot.admitted - slot.left
                self.recorder.mark(markers.Left(slot.symbol, slot.account.channel, first, count))

    def _flush(self) -> None:
        for (slot, what), run in self._runs.items():
            self._mark(slot, what, run)
        self._runs.clear()

    def _mark(self, slot: Slot, what: Loss, run: Sequence[int]) -> None:
        self.recorder.mark(_MARKERS[what](slot.symbol, slot.account.channel, *run))

    def _counts(self) -> Iterator[tuple[str, str, int, int]]:
        for slot in self._places:
            arrived = slot.admitted + slot.refused
            yield slot.symbol, slot.account.channel, arrived, slot.admitted
