"""Public venues on the command line: their names for help texts, and one that is not reached."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdkit.errors import SettingsError
from mdkit.venues.registry import VENUES, venue_of

if TYPE_CHECKING:
    from mdkit.session.session import Session

PUBLIC_VENUES = f"{', '.join(list(VENUES)[:-1])} or {list(VENUES)[-1]}"
_TRIES = 2
_MOST_SECONDS = 8.0


def check_market_is_public(source: str, ours: Sequence[str]) -> None:
    """Raise `SettingsError` for what is no venue, or for options of the embedded exchange."""
    found = venue_of(source)
    if ours:
        raise SettingsError(
            f"--source {source} is {found.title} itself, which takes no --{ours[0]}: leave it "
            f"out, or have the embedded exchange speak as {found.title} does with --venue {source}."
        )


class Reached:
    """Tells when it is no use to wait for a venue any longer."""

    def __init__(self, source: str, session: Session) -> None:
        self._venue = venue_of(source)
        self._session = session
        self._began = time.monotonic()
        self.why_not = ""

    def is_in_vain(self) -> bool:
        """Whether nothing has connected after two tries, or a while."""
        source = self._session.pipeline.source
        if getattr(source, "connects", 0):
            return False
        tries, waited = getattr(source, "tries", 0), time.monotonic() - self._began
        if tries < _TRIES and waited < _MOST_SECONDS:
            return False
        why = getattr(source, "why_not_connected", "") or f"no answer in {_MOST_SECONDS:.0f} s"
        self.why_not = why.partition(", try")[0]
        return True

    def sentence(self) -> str:
        """Return what was not reached, why, and what can be done."""
        name, title = self._venue.name, self._venue.title
        return (
            f"{title} was not reached at {self._venue.ws_url} ({self.why_not}): see that this "
            "machine has internet and that nothing in between forbids WebSockets, or watch the "
            f"embedded exchange speak as {title} does: mdkit demo --venue {name}."
        )
