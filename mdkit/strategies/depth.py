"""Strategies that look at one order book at a time."""

from __future__ import annotations

from typing import NoReturn

from mdkit.books.decimals import difference, halfway
from mdkit.errors import SettingsError
from mdkit.events import Depth
from mdkit.strategies.contract import strategy


@strategy("depth")
def pressure(book: Depth, levels: int = 5, enter: float = 2.0) -> float | None:
    """Follow the heavier side of the book.

    +1.0 when the sizes bid are at least `enter` times those asked over the first `levels`
    levels, -1.0 when at most 1/`enter` of them, and None in between: nothing new to say, so an
    exposure taken earlier stays. None as well when a side is empty, since a ratio against
    nothing is no pressure. The ratio is `measures.pressure_ratio`. Raises `SettingsError` when
    `levels` is below 1 or `enter` below 1.

    Example:
        >>> book = md.Depth("AAPL.US", bids=((100.0, 300.0),), asks=((100.02, 100.0),))
        >>> md.strategies.pressure(book)
        1.0
        >>> len(md.backtest(md.strategies.pressure(enter=3.0), md.sample()).fills)
        19
    """
    if levels < 1 or not enter >= 1.0:
        _refuse(levels, enter)
    # Written out rather than calling the measure: this runs for every message of the feed.
    bid = ask = 0.0
    for _, size in book.bids[:levels]:
        bid += size
    for _, size in book.asks[:levels]:
        ask += size
    if not (bid and ask):
        return None
    ratio = bid / ask
    if ratio >= enter:
        return 1.0
    if ratio <= 1.0 / enter:
        return -1.0
    return None


def _refuse(levels: int, enter: float) -> NoReturn:
    raise SettingsError(
        f"pressure needs levels of at least 1 and enter of at least 1, not {levels=}, {enter=}"
    )


@strategy("depth")
def spread_monitor(book: Depth, wide_bps: float = 5.0) -> float | None:
    """Return the spread in basis points of the mid price when it is at least `wide_bps`.

    None while the spread is narrower, or when a side of the book is empty.

    Example:
        >>> book = md.Depth("AAPL.US", bids=((100.0, 300.0),), asks=((100.1, 100.0),))
        >>> round(md.strategies.spread_monitor(book, wide_bps=5.0), 2)
        10.0
    """
    bids, asks = book.bids, book.asks
    if not (bids and asks):
        return None
    bid, ask = bids[0][0], asks[0][0]
    bps = difference(ask, bid) / halfway(bid, ask) * 10_000.0
    return bps if bps >= wide_bps else None
