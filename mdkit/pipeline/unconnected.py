"""Says why a feed was never connected to: nothing else would, since it is tried for ever."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from mdkit.errors import FeedError, MdkitError, ServiceError
from mdkit.sources.source import Source
from mdkit.sources.venue import VenueSource

_logger = logging.getLogger("mdkit")
_MOST_TOLD = 8


def why_never_connected(source: Source) -> str:
    """Return why connections of a source have not been made even once; "" where all were.

    Of several venues, each is named, with one reason: the others may have brought what they have.
    """
    reasons = dict(_never_connected(source))
    if not isinstance(source, VenueSource) or len(source.venues) < 2:
        return next(iter(reasons.values()), "")
    return "; ".join(f"{venue}: {reason}" for venue, reason in reasons.items())


def _never_connected(source: Source) -> Iterator[tuple[str, str]]:
    """Yield the venue, and why, of each connection that was tried and has never been made."""
    sockets: list[tuple[str, object]] = [("", source)]
    if isinstance(source, VenueSource):
        sockets = [(each.venue.title, each.socket) for each in source.connections]
    for venue, socket in sockets:
        reason = getattr(socket, "why_not_connected", "")
        if reason and not getattr(socket, "connects", 1):
            yield venue, reason


class UnconnectedWarnings:
    """Logs each reason once. After a first connection a lost one is a gap, and is told as such."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._told: set[str] = set()

    def problem(self, error: MdkitError) -> None:
        """Log the trouble where it is why a connection has never been made."""
        text = str(error)
        # A reason goes on with how often it was tried.
        reasons = (why.rpartition(", try ")[0] or why for _, why in _never_connected(self._source))
        if (
            not isinstance(error, FeedError | ServiceError)
            or text in self._told
            or len(self._told) >= _MOST_TOLD
            or not any(reason in text for reason in reasons)
        ):
            return
        self._told.add(text)
        _logger.warning(
            "mdkit: %s It is tried again until the session stops. session.explain() tells how it "
            "stands, python -m mdkit doctor --online which venues answer here.",
            text if text.endswith(".") else f"{text}.",
        )
