"""What strategies meet in a recording, one after the other, read without queue or workers."""

from __future__ import annotations

from collections.abc import Iterator

from mdkit.channels.live_bars import RevisedBar
from mdkit.channels.reader import ChannelReader, ChannelReaders, UnseenGap, Unusable
from mdkit.errors import InvalidMessage
from mdkit.events import Bar, Gap, MarketEvent
from mdkit.recording.reading.reader import Recording
from mdkit.venues.routes import LIVE


def steps(
    recording: Recording, interval: str | None = None, made_of: str = "trade"
) -> Iterator[MarketEvent | Gap]:
    """Yield events, and every gap just before the event of its symbol and channel after it.

    With an `interval` also the bars that trades, or tickers, are made into; partial ones are
    left out, since no strategy sees them.
    """
    pending: dict[tuple[str, str], list[Gap]] = {}
    router = recording.router()
    readers = ChannelReaders(router, interval=interval, made_of=made_of)
    for item, received_ns, route in recording.items(router):
        if route is None:
            assert isinstance(item, Gap)
            if item.lost != 0:
                pending.setdefault((item.symbol, item.channel), []).append(item)
            continue
        assert isinstance(item, bytes)
        reader = route.place
        if reader is None:
            reader = readers.reader(route)
            if route.symbol:
                route.place = reader
        if pending:
            due = pending.pop((route.symbol, route.account), [])
            if route.origin != LIVE:
                due = pending.pop((route.symbol, route.channel), []) + due
            for gap in due:
                if isinstance(reader.interrupt(gap), Gap):
                    yield gap
        yield from _seen(reader, item, received_ns)
    recording.warn()


def _seen(reader: ChannelReader, raw: bytes, received_ns: int) -> Iterator[MarketEvent | Gap]:
    """Yield what strategies see of a message."""
    try:
        items = reader.feed(raw, received_ns)
    except InvalidMessage:
        return
    for item in items:
        if isinstance(item, Unusable | UnseenGap | RevisedBar):
            continue
        if isinstance(item, Bar) and item.partial and reader.bars is not None:
            continue
        yield item
