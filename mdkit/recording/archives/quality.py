"""What cannot be true in an archive: a gap in its place, as in a live feed."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

from mdkit.events import Depth, Gap, Level, Trade
from mdkit.redaction import safe_text
from mdkit.venues.routes import is_symbol

_LAST_NS = 2**63


def usable(events: Iterator[Trade | Depth | Gap]) -> Iterator[Trade | Depth | Gap]:
    """Yield events; where one cannot be true, a gap of its channel that says why.

    Raises `ValueError` for symbols and times that can be none: then the file is not what it seems.
    """
    for event in events:
        if isinstance(event, Gap):
            yield event
            continue
        _check(event.symbol, event.exchange_ns, event.received_ns)
        wrong = why_no_trade(event) if isinstance(event, Trade) else why_no_book(event)
        if wrong:
            yield Gap(event.symbol, event.kind, wrong, event.received_ns, event.received_ns, 1)
        else:
            yield event


def _check(symbol: str, *times: int) -> None:
    if not is_symbol(symbol):
        raise ValueError(f"{safe_text(symbol[:80])!r} is no symbol")
    for time in times:
        if not 0 <= time < _LAST_NS:
            raise ValueError(f"{str(time)[:25]} ns since 1970 is no time")


def why_no_trade(trade: Trade) -> str:
    """Return why a trade cannot be true, "" where it can."""
    return why_no_level(trade.price, trade.size) or (
        "unusable: size 0" if trade.size == 0.0 else ""
    )


def why_no_level(price: float, size: float) -> str:
    """Return why a level cannot be true, "" where it can; one of size 0 is taken away."""
    if not (isfinite(price) and price > 0.0):
        return f"unusable: price {price:g}"
    if not (isfinite(size) and size >= 0.0):
        return f"unusable: size {size:g}"
    return ""


def why_no_book(book: Depth) -> str:
    """Return why a book cannot be true, "" where it can."""
    for name, side, sign in (("bids", book.bids, -1.0), ("asks", book.asks, 1.0)):
        if wrong := _why_no_side(name, side, sign):
            return wrong
    if book.bids and book.asks and book.bids[0][0] > book.asks[0][0]:
        return f"crossed: bid {book.bids[0][0]:g} above ask {book.asks[0][0]:g}"
    return ""


def _why_no_side(name: str, side: tuple[Level, ...], sign: float) -> str:
    previous = -inf
    for price, size in side:
        if wrong := why_no_level(price, size):
            return wrong
        if sign * price <= previous:
            return f"{name} are not sorted: {price:g} follows {abs(previous):g}"
        previous = sign * price
    return ""
