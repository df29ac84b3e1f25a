"""Events in a list, with the tables that a recording has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from mdkit.events import Depth, Event, Gap, MarketEvent, Ticker, Trade
from mdkit.recording.tables.event_tables import EventTables


class ListedEvents(EventTables):
    """A list of events, in order of time; one without a time of receipt came at the exchange's.

    As backtests take them. The list is not copied.
    """

    def __init__(self, events: Sequence[MarketEvent | Gap]) -> None:
        self._events = events
        self.symbols = tuple(dict.fromkeys(event.symbol for event in events))

    def __iter__(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, Depth | Trade | Ticker) and not event.received_ns:
                yield msgspec.structs.replace(event, received_ns=event.exchange_ns)
            else:
                yield event


def listed(data: Any) -> Any:
    """Return a list of events as their tables; else what was given."""
    if isinstance(data, list | tuple) and data and all(isinstance(one, Event) for one in data):
        return ListedEvents(data)
    return data
