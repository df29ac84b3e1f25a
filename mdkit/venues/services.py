"""The REST services of public venues, by the names that `source=` takes."""

from __future__ import annotations

from mdkit.venues.registry import VENUES, venue_of
from mdkit.venues.rest.public import PublicRest

SERVICES: dict[str, PublicRest] = {name: venue.rest for name, venue in VENUES.items()}
"""What to ask of each public venue."""


def service_of(venue: str) -> PublicRest:
    """Return how a venue is asked; raise `SettingsError`, with near matches, for none."""
    return venue_of(venue).rest
