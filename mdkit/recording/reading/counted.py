"""Format 1: messages that no strategy saw are told by their numbers, which are made into places.

Numbers count the messages of each symbol and channel apart. `Refused` goes by the number of the
arrival, the others by the number among those that were admitted to the queue (arrivals less
refused ones). Both count from 1, over all parts of a recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from mdkit.recording.file.lines import MessageRun
from mdkit.recording.format import Base, Dropped, Header, Marker, Refused, Subscribed, UnseenMarker
from mdkit.recording.reading.unseen import Hole, Key, Spans, Unseen
from mdkit.venues.routes import ANSWER, SEVERAL, Route, Router

_Spans = list[tuple[int, int, bool]]


@dataclass(slots=True)
class _Count:
    """One symbol and channel: how far it was counted, and what was given up of it."""

    recording: str
    refused: Spans
    given_up: Spans
    received: int = 0
    admitted: int = 0

    def next(self) -> bool | None:
        """Count a message; return whether it was lost, None where strategies saw it."""
        self.received += 1
        if self.received >= self.refused.next:
            is_loss = self.refused.find(self.received)
            if is_loss is not None:
                return is_loss
        self.admitted += 1
        return self.given_up.find(self.admitted) if self.admitted >= self.given_up.next else None


class _Counts:
    """The counts of one recording after the other."""

    def __init__(self, counted: Iterable[tuple[str, UnseenMarker]]) -> None:
        self.recording = ""
        self._counts: dict[tuple[str, Key], _Count] = {}
        self._refused: dict[tuple[str, Key], _Spans] = {}
        self._given_up: dict[tuple[str, Key], _Spans] = {}
        for recording, marker in counted:
            kinds = self._refused if isinstance(marker, Refused) else self._given_up
            own = kinds.setdefault((recording, (marker.symbol, marker.channel)), [])
            is_loss = isinstance(marker, Refused | Dropped)
            own.append((marker.first, marker.first + marker.count, is_loss))

    def of(self, key: Key) -> _Count:
        """Return the count of a symbol and channel in the present recording."""
        own = self.recording, key
        found = self._counts.get(own)
        if found is None:
            refused, given_up = self._refused.get(own, []), self._given_up.get(own, [])
            found = self._counts[own] = _Count(
                self.recording, Spans(sorted(refused)), Spans(sorted(given_up))
            )
        return found


def locate(
    unseen: Unseen, pieces: Iterable[MessageRun | Marker | Hole], router: Router[_Count]
) -> None:
    """Add to `unseen` the places of what its markers of format 1 count, by counting again.

    `pieces` is everything in the recording, and `router` must be nobody else's.
    """
    counts = _Counts(unseen.counted)

    def count(route: Route[_Count], place: int) -> None:
        found = route.place
        if found is None or found.recording != counts.recording:
            found = route.place = counts.of((route.symbol, route.account))
        is_loss = found.next()
        if is_loss is not None:
            unseen.add(place, place + 1, is_loss=is_loss)

    for item in pieces:
        if isinstance(item, MessageRun):
            for (raw, _), place in zip(item, item.places, strict=True):
                route = router.route(raw)
                if route is SEVERAL:
                    for number, (part, _) in enumerate(router.split(raw), 1):
                        count(part, place + number)
                elif route.channel != ANSWER:
                    count(route, place)
        elif isinstance(item, Base):
            found = counts.of((item.symbol, item.channel))
            found.received, found.admitted = item.received, item.admitted
            found.refused.next = found.given_up.next = -inf
        elif isinstance(item, Subscribed):
            router.expect(item.symbols)
        elif isinstance(item, Header):
            counts.recording = item.id
