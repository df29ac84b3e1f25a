"""Trades that come twice, by the socket and by REST: each is handled once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mdkit.events import MarketEvent, Trade
from mdkit.frames import EventFrame
from mdkit.venues.routes import REST

_KEPT = 5000
"""Trades of a symbol that are known; a REST answer has 1,000."""


class TradeDeduplicator:
    """Leaves out the trades of one symbol that the socket and REST both gave.

    A trade is known by its id, or where the service gives none by its time, price, size and
    side. `known` are such keys, oldest first.
    """

    def __init__(self, known: Iterable[object] = ()) -> None:
        self._known: dict[object, None] = dict.fromkeys(known)
        self._filled: dict[object, None] = {}

    @classmethod
    def of_table(cls, table: EventFrame[Any]) -> TradeDeduplicator:
        """Return one that knows the trades of a table, where another process saw them."""
        rows = table.arrays(_KEPT)
        names = ("id", "exchange_time", "price", "size", "side")
        columns = [rows[name].tolist() for name in names]
        return cls(id or (*rest,) for id, *rest in zip(*columns, strict=True))

    def fresh(self, events: tuple[MarketEvent, ...], origin: str) -> tuple[MarketEvent, ...]:
        """Return the trades that were not seen yet: the same tuple when that is all of them.

        Live trades are only held against what REST filled in: a feed that repeats itself
        should be seen to. Of what REST gives, older trades than one that was seen are left out:
        they were missed before it, which was told, and would come out of order now.
        """
        known = self._known
        keys = [trade_key(event) for event in events]
        if origin == REST:
            # Trades of one time, which services give in milliseconds, are in the answer's order.
            places = [(event.exchange_ns, i) for i, event in enumerate(events)]
            seen = [place for place, key in zip(places, keys, strict=True) if key in known]
            last = max(seen, default=(-1, -1))
            kept = [
                place[1]
                for place, key in zip(places, keys, strict=True)
                if key not in known and place > last
            ]
            # Added to those of earlier answers: a feed that lags behind REST may push them yet.
            self._filled.update(dict.fromkeys(keys[i] for i in kept))
            _forget(self._filled)
        elif self._filled:
            kept = [i for i, key in enumerate(keys) if key not in self._filled]
        else:
            kept = list(range(len(keys)))
        known.update(dict.fromkeys(keys))
        _forget(known)
        return events if len(kept) == len(events) else tuple([events[i] for i in kept])

    def reaches(self, trades: Iterable[MarketEvent]) -> bool:
        """Whether some of the trades were seen before: then none is missing between."""
        return any(trade_key(trade) in self._known for trade in trades)


def _forget(keys: dict[object, None]) -> None:
    """Keep the newest keys, when there have come to be many."""
    if len(keys) > 2 * _KEPT:
        for key in list(keys)[:-_KEPT]:
            del keys[key]


def trade_key(event: MarketEvent) -> object:
    """Return what a trade is known by: its id, or else its time, price, size and side."""
    assert isinstance(event, Trade)
    return event.id or (event.exchange_ns, event.price, event.size, event.side)
