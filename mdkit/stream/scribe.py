"""Keeps a recorder told of everything that a replay needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mdkit.errors import MdkitError
from mdkit.events import Gap
from mdkit.stream import markers
from mdkit.stream.connection import RawMessage
from mdkit.stream.ledger import Account
from mdkit.stream.places import Places
from mdkit.stream.record import Recorder
from mdkit.stream.slots import Loss, Slot

_MARKERS: dict[Loss, type[markers.Unseen]] = {
    "refused": markers.Refused,
    "dropped": markers.Dropped,
    "conflated": markers.Conflated,
    "left": markers.Left,
}


class Scribe:
    """Writes a pipeline's messages and losses into a recorder, in the order they happen.

    Nothing happens any more once the recorder was closed, by whomever.
    """

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
        self._last: dict[Slot, int] | None = None  # of each slot, the last message taken
        self._due: dict[Slot, int] = {}  # how many will have been handled when that one is
        recorder.start(
            source,
            symbols,
            allow_nonpositive=places.router.allow_nonpositive,
            counts=self._counts,
            on_problem=on_problem,
        )

    def write(self, batch: Sequence[RawMessage]) -> None:
        """Take messages as they arrived, before they are queued."""
        self._flush()
        if not self.recorder.closed:
            self.recorder.write(batch)

    def lost(self, slot: Slot, what: Loss, first: int, count: int) -> None:
        """Take note of messages that no strategy will see."""
        if self._last is not None:
            if what == "refused":
                return
            count = min(count, self._last.get(slot, 0) - first + 1)
            if count <= 0:
                return
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
        self._put(markers.Missed.of(gap))

    def subscribed(self, at: int, symbols: Sequence[str]) -> None:
        """Take note of a change in what is subscribed to."""
        self._put(markers.Subscribed(at, tuple(symbols)))

    def connected(self, at: int) -> None:
        """Take note of a connection."""
        self._put(markers.Connected(at))

    def disconnected(self, at: int, reason: str) -> None:
        """Take note of the end of a connection."""
        self._put(markers.Disconnected(at, reason))

    def take_no_more(self) -> None:
        """Go on to take note of what becomes of the messages taken so far, and of nothing else."""
        self._last = {
            slot: slot.admitted
            for slot in self._places
            if slot.admitted > slot.left or slot.account.in_flight
        }

    @property
    def waits(self) -> bool:
        """Whether messages taken are still queued, or being handled."""
        if self.recorder.closed:
            return False
        for slot, last in (self._last or {}).items():
            if slot.left < last:
                return True
            # A slot's messages are handled in order, so these are before what left later.
            handled = _handled(slot.account)
            if handled < self._due.setdefault(slot, handled + slot.account.in_flight):
                return True
        return False

    def end(self) -> None:
        """Take note of what still waits: it was never handled."""
        self._flush()
        last = self._last
        for slot in self._places if last is None else last:
            count = (slot.admitted if last is None else last[slot]) - slot.left
            if count > 0:
                self._mark(slot, "left", (slot.left + 1, count))

    def _flush(self) -> None:
        for (slot, what), run in self._runs.items():
            self._mark(slot, what, run)
        self._runs.clear()

    def _mark(self, slot: Slot, what: Loss, run: Sequence[int]) -> None:
        self._put(_MARKERS[what](slot.symbol, slot.account.channel, *run))

    def _put(self, marker: markers.Marker) -> None:
        if not self.recorder.closed:
            self.recorder.mark(marker)

    def _counts(self) -> Iterator[tuple[str, str, int, int]]:
        for slot in self._places:
            arrived = slot.admitted + slot.refused
            yield slot.symbol, slot.account.channel, arrived, slot.admitted


def _handled(account: Account) -> int:
    return account.processed + account.dead_lettered + account.invalid
