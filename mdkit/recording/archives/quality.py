"""What cannot be true in an archive: a gap in its place, as in a live feed."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

from mdkit.events import Depth, Gap, Level, MarketEvent, Trade
from mdkit.redaction import safe_text
from mdkit.venues.routes import is_symbol

_LAST_NS = 2**63


def usable(
    events: Iterator[MarketEvent | Gap], *, allow_nonpositive: bool = False
) -> Iterator[MarketEvent | Gap]:
    """Yield events; where a trade or book cannot be true, a gap of its channel that says why.

    Where `allow_nonpositive`, prices of 0 and below are possible, as of spreads. Raises
    `ValueError` for symbols and times that can be none: then the file is not what it seems.
    """
    above = -inf if allow_nonpositive else 0.0
    for event in events:
        if not isinstance(event, Trade | Depth):
            yield event
            continue
        _check(event.symbol, event.exchange_ns, event.received_ns)
        wrong = _why_not(event, above)
        if wrong:
            yield Gap(event.symbol, event.kind, wrong, event.received_ns, event.received_ns, 1)
        else:
            yield event


def why_no_level(price: float, size: float, above: float = 0.0) -> str:
    """Return why a level cannot be true, "" where it can; one of size 0 is taken away."""
    if not (isfinite(price) and price > above):
        return f"unusable: price {price:g}"
    if not (isfinite(size) and size >= 0.0):
        return f"unusable: size {size:g}"
    return ""


def _check(symbol: str, *times: int) -> None:
    if not is_symbol(symbol):
        raise ValueError(f"{safe_text(symbol[:80])!r} is no symbol")
    for time in times:
        if not 0 <= time < _LAST_NS:
            raise ValueError(f"{str(time)[:25]} ns since 1970 is no time")


def _why_not(event: Trade | Depth, above: float) -> str:
    if isinstance(event, Depth):
        return _why_no_book(event, above)
    return _why_no_trade(event, above)


def _why_no_trade(trade: Trade, above: float) -> str:
    no_size = "unusable: size 0" if trade.size == 0.0 else ""
    return why_no_level(trade.price, trade.size, above) or no_size


def _why_no_book(book: Depth, above: float) -> str:
    for name, side, sign in (("bids", book.bids, -1.0), ("asks", book.asks, 1.0)):
        if wrong := _why_no_side(name, side, sign, above):
            return wrong
    if book.bids and book.asks and book.bids[0][0] > book.asks[0][0]:
        return f"crossed: bid {book.bids[0][0]:g} above ask {book.asks[0][0]:g}"
    return ""


def _why_no_side(name: str, side: tuple[Level, ...], sign: float, above: float) -> str:
    """Return why a side is none; `sign` makes its prices go up."""
    previous = -inf
    for price, size in side:
        if wrong := why_no_level(price, size, above):
            return wrong
        if sign * price <= previous:
            return f"{name} are not sorted: {price:g} follows {sign * previous:g}"
        previous = sign * price
    return ""
