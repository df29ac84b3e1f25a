"""What can be used of a message that breaks a rule somewhere: the rest of it.

The decoders of `routes` check every figure while they parse, which costs least, and refuse a
message for one bad figure in it. Only then is it read again here, part by part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Level, MarketEvent
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.reading.numbers import Figure, Millis, Price, Size
from mdkit.venues.routes import SomeEvents
from mdkit.venues.tickdb.bodies import Book, Execution, Figures

_Part = TypeVar("_Part")


class _Levels(Struct, gc=False):
    """A book of which levels may be empty, and then have any price."""

    bids: tuple[tuple[Figure, Size], ...]
    asks: tuple[tuple[Figure, Size], ...]
    timestamp: Millis = 0


class _LevelsMessage(Struct, gc=False):
    data: _Levels


class _Trades(Struct, gc=False):
    trades: list[Raw]


class _TradesMessage(Struct, gc=False):
    data: _Trades


class _FiguresMessage(Struct, gc=False):
    data: list[Raw]


_read_levels, _read_levels_message = json_decoder(_Levels), json_decoder(_LevelsMessage)
_read_trades, _read_trades_message = json_decoder(_Trades), json_decoder(_TradesMessage)
_read_list, _read_list_message = json_decoder(list[Raw]), json_decoder(_FiguresMessage)
# Of prices above 0, and of any.
_read_execution: dict[Any, Callable[[bytes], Execution[float]]] = {
    Price: json_decoder(Execution[Price]),
    Figure: json_decoder(Execution[Figure]),
}
_read_figures: dict[Any, Callable[[bytes], Figures[float]]] = {
    Price: json_decoder(Figures[Price]),
    Figure: json_decoder(Figures[Figure]),
}


def usable_book(raw: bytes, enveloped: bool, price: Any, error: InvalidMessage) -> Book[float]:
    """Return a book without its levels of size 0, at which nobody buys or sells.

    Raises the `error` that it was refused for when that was something else.
    """
    book: _Levels = _read_levels_message(raw).data if enveloped else _read_levels(raw)
    bids, asks = _filled(book.bids), _filled(book.asks)
    if price is Price and any(level[0] <= 0 for level in (*bids, *asks)):
        raise error
    return Book(bids, asks, book.timestamp)


def usable_executions(
    raw: bytes, enveloped: bool, price: Any, error: InvalidMessage
) -> tuple[list[Execution[float]], list[str]]:
    """Return the usable ones of a message's trades, and the reason for each of the others.

    Raises the `error` that the message was refused for when none is usable.
    """
    try:
        body: _Trades = _read_trades_message(raw).data if enveloped else _read_trades(raw)
    except InvalidMessage:  # one trade, spelled out flat, or no list of trades at all
        raise error from None
    return _usable(body.trades, _read_execution[price], "trade", error)


def usable_figures(
    raw: bytes, enveloped: bool, price: Any, error: InvalidMessage
) -> tuple[list[Figures[float]], list[str]]:
    """Return the usable ones of a message's tickers, and the reason for each of the others.

    Raises the `error` that the message was refused for when none is usable.
    """
    try:
        parts: list[Raw] = _read_list_message(raw).data if enveloped else _read_list(raw)
    except InvalidMessage:
        raise error from None
    return _usable(parts, _read_figures[price], "ticker", error)


def _filled(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    return tuple([level for level in levels if level[1]])


def _usable(
    parts: list[Raw], read: Callable[[bytes], _Part], what: str, error: InvalidMessage
) -> tuple[list[_Part], list[str]]:
    usable: list[_Part] = []
    reasons: list[str] = []
    for number, part in enumerate(parts, 1):
        try:
            usable.append(read(bytes(part)))
        except InvalidMessage as wrong:
            reasons.append(f"{what} {number} of {len(parts)}: {wrong}")
    if not usable:
        raise error
    return usable, reasons


def some(events: list[Any], reasons: list[str]) -> tuple[MarketEvent, ...]:
    """Return events, and with them why others of their message are left out."""
    if not reasons:
        return tuple(events)
    kept = SomeEvents(events)
    kept.unusable = tuple(reasons)
    return kept
