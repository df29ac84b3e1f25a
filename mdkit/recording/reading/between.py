"""What lies between recordings that are played as one: nobody recorded it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mdkit.events import Gap
from mdkit.recording.reading.unseen import NOT_RECORDED, Key
from mdkit.venues.routes import ANSWER, LIVE, SEVERAL, Route, Router


@dataclass(slots=True)
class _Track:
    """One symbol and channel: when it was heard last, and in which recordings so far."""

    symbol: str
    channel: str
    last_ns: int = 0
    sessions: set[int] = field(default_factory=set)


class RecordingJoins:
    """Tells a gap where a recording begins on a symbol and channel after all others have ended.

    Recordings are known by their numbers, and their messages come merged by time. `router` must
    be nobody else's.

    Attributes:
        ended: the recordings of which nothing comes any more.
    """

    def __init__(self, router: Router[_Track]) -> None:
        self.ended: set[int] = set()
        self._router = router
        self._tracks: dict[Key, _Track] = {}

    def expect(self, symbols: Iterable[str]) -> None:
        """RecordedSession note that messages are about these symbols from now on."""
        self._router.expect(symbols)

    def gaps(self, session: int, raw: bytes, due_ns: int) -> Sequence[Gap]:
        """Return what is missing before a message of a recording."""
        route = self._router.route(raw)
        track = route.place
        if track is not None and session in track.sessions:  # as for nearly all
            if route.origin == LIVE:
                track.last_ns = due_ns
            return ()
        if route is SEVERAL:
            parts = [part for part, _ in self._router.split(raw)]
            return [gap for part in parts for gap in self._gap(session, part, due_ns)]
        return () if route.channel == ANSWER else list(self._gap(session, route, due_ns))

    def _gap(self, session: int, route: Route[_Track], due_ns: int) -> Iterator[Gap]:
        track = route.place
        if track is None:
            key = route.symbol, route.channel
            track = route.place = self._tracks.setdefault(key, _Track(*key))
        if session not in track.sessions:
            if track.last_ns and route.symbol and track.sessions <= self.ended:
                yield Gap(track.symbol, track.channel, NOT_RECORDED, track.last_ns, due_ns)
            track.sessions.add(session)
        if route.origin == LIVE:
            track.last_ns = due_ns
