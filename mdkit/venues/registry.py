"""The codecs and the public venues by name."""

from __future__ import annotations

from mdkit.errors import SettingsError
from mdkit.suggestions import instead
from mdkit.venues.binance.venue import BINANCE, BINANCE_FUTURES, BINANCE_US
from mdkit.venues.codec import Codec
from mdkit.venues.coinbase.venue import COINBASE
from mdkit.venues.hyperliquid.venue import HYPERLIQUID
from mdkit.venues.kraken.venue import KRAKEN
from mdkit.venues.normalized.codec import NORMALIZED
from mdkit.venues.okx.venue import OKX
from mdkit.venues.rest.api import RestApi
from mdkit.venues.tickdb.api import TickdbRest
from mdkit.venues.tickdb.codec import FLAT, REALTIME
from mdkit.venues.venue import Venue

DEFAULT: Codec = REALTIME
"""What a URL, or a recording that names no venue, is taken to speak."""
DEFAULT_REST: RestApi = TickdbRest()
"""What a REST base is taken to serve."""

_codecs: dict[str, Codec] = {codec.name: codec for codec in (REALTIME, FLAT, NORMALIZED)}
VENUES: dict[str, Venue] = {
    venue.name: venue
    for venue in (KRAKEN, BINANCE, BINANCE_US, BINANCE_FUTURES, COINBASE, HYPERLIQUID, OKX)
}
"""The public venues, by the name that `source=` takes."""


def venue_of(name: str) -> Venue:
    """Return a public venue; raise `SettingsError`, with near matches, where there is none."""
    try:
        return VENUES[name]
    except KeyError:
        raise SettingsError(f"there is no venue {name!r}: {instead(name, VENUES)}.") from None


def codec_of(name: str) -> Codec:
    """Return the codec of a venue; raise `SettingsError` where there is none of that name."""
    try:
        return _codecs[name]
    except KeyError:
        known = ", ".join(sorted(_codecs))
        raise SettingsError(f"there is no venue {name!r}; there are {known}") from None


def register(codec: Codec) -> None:
    """Add a codec, so that recordings of its venue can be read; the last of a name counts."""
    _codecs[codec.name] = codec


def codec_for_url(url: str) -> Codec:
    """Return the codec that a WebSocket URL stands for, where nobody said which."""
    return FLAT if FLAT.speaks(url) else REALTIME
