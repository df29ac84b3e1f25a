"""Says why a feed was never connected to: nothing else would, since it is tried for ever."""

from __future__ import annotations

import logging

from mdkit.errors import FeedError, MdkitError, ServiceError
from mdkit.sources.source import Source

_logger = logging.getLogger("mdkit")
_MOST_TOLD = 8


def why_never_connected(source: Source) -> str:
    """Return why connections of a source have not been made even once; "" where all were."""
    sockets = [each.socket for each in getattr(source, "connections", ())] or [source]
    reasons = [
        getattr(socket, "why_not_connected", "")
        for socket in sockets
        if not getattr(socket, "connects", 1)
    ]
    return "; ".join(dict.fromkeys(filter(None, reasons)))


class UnconnectedWarnings:
    """Logs each reason once. After a first connection a lost one is a gap, and is told as such."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._told: set[str] = set()

    def problem(self, error: MdkitError) -> None:
        """Log the trouble where it is one of connecting, and connecting has never succeeded."""
        text = str(error)
        if (
            not isinstance(error, FeedError | ServiceError)
            or text in self._told
            or len(self._told) >= _MOST_TOLD
            or not why_never_connected(self._source)
        ):
            return
        self._told.add(text)
        _logger.warning(
            "mdkit: %s It is tried again until the session stops. session.explain() tells how it "
            "stands, python -m mdkit doctor --online which venues answer here.",
            text if text.endswith(".") else f"{text}.",
        )
