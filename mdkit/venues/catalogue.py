"""The public venues as users meet them: `venue` chooses one, `venues` lists them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mdkit.venues.registry import VENUES, venue_of
from mdkit.venues.venue import Venue

if TYPE_CHECKING:
    import pandas as pd


def venue(
    name: str,
    *,
    ws_url: str | None = None,
    rest_url: str | None = None,
    depth: int | None = None,
) -> Venue:
    """Return a public venue for `source=`, where its name alone does not say enough.

    Args:
        name: one of `md.venues()`.
        ws_url, rest_url: other addresses, such as those of a proxy.
        depth: how many levels a side to ask for; the least that shows `levels` unless given.

    Raises `SettingsError` where there is no such venue, or it has no books of that depth.

    Example:
        >>> deep = md.venue("kraken", depth=100)
        >>> deep.ws_url
        'wss://ws.kraken.com/v2'
        >>> session = md.live(["BTC/USD"], source=deep, levels=50)
    """
    found = venue_of(name)
    chosen = replace(
        found,
        ws_url=found.ws_url if ws_url is None else ws_url,
        rest_url=found.rest_url if rest_url is None else rest_url,
        depth=depth,
    )
    chosen.depth_for(1)
    return chosen


def venues() -> pd.DataFrame:
    """Return the public venues as a table: channels, depths, how books are proven, limits.

    Example:
        >>> "kraken" in md.venues().index
        True
    """
    import pandas as pd

    rows = {
        v.name: {
            "title": v.title,
            "channels": ", ".join(v.channels),
            "depths": ", ".join(map(str, v.depths)) or "all",
            "books proven by": v.proof,
            "snapshot by": "REST" if v.asks_for_books else "socket",
            "symbols a connection": (
                v.manners.symbols_per_connection
                if v.manners.symbols_per_connection < 1 << 30
                else pd.NA
            ),
            "address": v.ws_url,
        }
        for v in VENUES.values()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("venue")
