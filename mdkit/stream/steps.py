"""What strategies meet in a recording, one after the other, told without queue or workers.

It is the plain statement of what the lanes do with a symbol's messages, which `verify` holds
them against and backtests run on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mdkit.errors import InvalidMessage
from mdkit.events import DROPPED, Gap, MarketEvent
from mdkit.frames import BarFrame
from mdkit.stream.backfill import Recent
from mdkit.stream.folding import Fold
from mdkit.stream.quality import Watch
from mdkit.stream.recordings import Recording, decode_message
from mdkit.wire.tickdb import LIVE, SomeEvents


def steps(
    recording: Recording, interval: str | None = None, made_of: str = "trade"
) -> Iterator[MarketEvent | Gap]:
    """Yield events, and every gap just before the event of its symbol and channel after it.

    With an `interval` also the bars that trades, or tickers, are folded into; partial ones are
    left out, since no strategy sees them.
    """
    gaps: dict[tuple[str, str], list[Gap]] = {}
    watches: dict[tuple[str, str], Watch] = {}
    recent: dict[str, Recent] = {}
    folds: dict[str, Fold] = {}
    for item, received_ns, route in recording.items():
        if route is None:
            assert isinstance(item, Gap)
            if item.lost != 0:
                gaps.setdefault((item.symbol, item.channel), []).append(item)
            continue
        assert isinstance(item, bytes)
        symbol, key = route.symbol, (route.symbol, route.account)
        fold = None
        if interval is not None and symbol:
            fold = folds.get(symbol)
            if fold is None:
                fold = folds[symbol] = Fold(symbol, interval, made_of, BarFrame(1))
        watch = watches.get(key)
        if watch is None:
            watch = watches[key] = Watch(symbol, route.channel)
        # Of bars that REST gave, strategies hear only where the fold lacks one.
        is_heard = fold is None or route.channel != "bar"
        due = gaps.pop(key, [])
        if route.origin != LIVE:
            due = gaps.pop((symbol, route.channel), []) + due
        for gap in due:
            if fold is not None:
                fold.interrupt(gap)
            if gap.reason != DROPPED:
                watch.forget()
            if is_heard:
                yield gap
        try:
            events = decode_message(route, item, received_ns)
        except InvalidMessage:
            watch.note_unusable(received_ns)
            continue
        if type(events) is SomeEvents:
            watch.note_unusable(received_ns, len(events.unusable))
        if route.channel == "trade":
            events = recent.setdefault(symbol, Recent()).fresh(events, route.origin)
        if not events:
            continue
        last: Any = events[-1]
        if received_ns >= watch.look_ns or (watch.is_of_books and not (last.bids or last.asks)):
            for gap in watch.look(last, received_ns):
                if fold is not None and route.channel == made_of:
                    fold.interrupt(gap)
                if is_heard:
                    yield gap
        for event in events:
            if fold is not None:
                for bar in fold.update(event):
                    # Of those that were revised, strategies have seen the bar before.
                    if isinstance(bar, Gap) or not (bar.partial or bar.start_ns in fold.revised):
                        yield bar
            if fold is None or event.kind != "bar":
                yield event
    recording.warn()
