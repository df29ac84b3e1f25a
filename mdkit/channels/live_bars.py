"""Bars made of a symbol's live events, and history in the same place before and between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from mdkit.events import DROPPED, SET_BACK, Bar, Gap, MarketEvent, Ticker, Trade
from mdkit.gap.clock_shift import ClockShift
from mdkit.history.bars import MAX_EMPTY, BarBuilder
from mdkit.history.intervals import period_end, period_start

_MS = 1_000_000
GRACE_NS = 500_000_000
"""How long after a bar's end, by the book's clock, its last trades are waited for: books and
trades come by ways of their own."""
_KEPT = 8
LATE = "a late trade is not in this bar"


class RevisedBar(NamedTuple):
    """A bar that strategies have seen before, without a late trade; for tables alone.

    It is partial until REST has given the whole of it.
    """

    bar: Bar
    kind: Literal["revised"] = "revised"


Made = Bar | RevisedBar | Gap
"""What `LiveBars` makes: bars of which strategies see those that are whole, and gaps between."""


class LiveBars:
    """The bars of one symbol and interval, made of trades, or of tickers where no trades come.

    Depth events only tell the time: a bar of a symbol that trades rarely is complete when the
    book's clock has passed its end. Bars that the REST service gave take the place of those that
    live events cannot give: the ones before the session and around gaps. A strategy sees every
    bar once, in order of time, and a gap where one is missing.
    """

    def __init__(self, symbol: str, interval: str, made_of: str) -> None:
        self.builder = BarBuilder(symbol, interval)
        self.made_of = made_of
        self.newest_ns = -1
        """Start of the newest whole bar that strategies have seen."""
        self.shift = ClockShift(symbol, made_of)
        self._revised: dict[int, None] = {}
        # Starts of bars that came after strategies had seen them without a late trade.
        self._made: deque[Bar] = deque(maxlen=_KEPT)
        self._reported_late: deque[int] = deque(maxlen=_KEPT)
        self._first_ns = -1

    def update(self, event: MarketEvent) -> Sequence[Made]:
        """Take one event; return the bars that it completes, and gaps between them: mostly none."""
        if event.kind == self.made_of:
            assert isinstance(event, Trade | Ticker)
            return self._fold(event)
        if event.kind == "bar":
            assert isinstance(event, Bar)
            return self._new([event]) if event.interval == self.builder.interval else ()
        return self._new(self._remembered(self.builder.advance(event.exchange_ns - GRACE_NS)))

    def _fold(self, event: Trade | Ticker) -> Sequence[Made]:
        builder, shift = self.builder, self.shift
        ignored, late = builder.ignored, builder.late
        bars = builder.update(shift.applied(event) if shift.offset_ns else event)
        if builder.ignored != ignored:
            builder.interrupt()  # what the bar lacks, REST may have
            return shift.ignored(event)
        if shift.why:
            shift.begin_anew()
        if builder.late != late:
            return self._late(event)
        return self._new(self._remembered(bars)) if bars else ()

    def _remembered(self, bars: list[Bar]) -> list[Bar]:
        """Keep bars for trades that may come late."""
        if bars and self._first_ns < 0:
            self._first_ns = bars[0].start_ns
        self._made.extend(bars)
        return bars

    def _late(self, event: Trade | Ticker) -> Sequence[Made]:
        """Return the bar that a late event belongs to anew, as a partial one: REST has the whole.

        Strategies have seen it without, which is a gap to them.
        """
        start = period_start(self.builder.interval, event.exchange_ns // _MS) * _MS
        if self._first_ns < 0 or start < self._first_ns:
            return ()
        gap = Gap(self.builder.symbol, "bar", LATE, start, self._after(start), 1)
        for place, bar in enumerate(self._made):
            if bar.start_ns != start:
                continue
            if bar.partial and start not in self._revised:
                return ()  # it is known to lack something
            price = event.price if isinstance(event, Trade) else event.last
            self._made[place] = revised = msgspec.structs.replace(
                bar,
                high=max(bar.high, price),
                low=min(bar.low, price),
                volume=bar.volume + (event.size if isinstance(event, Trade) else 0.0),
                partial=True,
            )
            known = start in self._revised
            self._revise(start)
            return (RevisedBar(revised),) if known else (gap, RevisedBar(revised))
        if start in self._reported_late:
            return ()
        self._reported_late.append(start)
        return (gap,)

    def _revise(self, start: int) -> None:
        self._revised[start] = None
        if len(self._revised) > _KEPT:
            del self._revised[next(iter(self._revised))]

    def interrupt(self, gap: Gap) -> None:
        """Mark the bars around a gap of a channel as partial, if trades are what was missed."""
        ours = gap.channel == self.made_of
        # Books that the queue dropped say nothing about trades; a broken connection does.
        # Nor does this machine's clock, since bars go by the exchange's.
        if (ours or gap.reason != DROPPED) and not gap.reason.startswith(SET_BACK):
            self.builder.interrupt()

    def flush(self) -> list[Bar | Gap]:
        """End: return the gap of bars that were missing still, and the forming bar as partial."""
        forming = self.builder.flush()
        return [*self._missing(forming[0].start_ns), *forming] if forming else []

    def _new(self, bars: list[Bar]) -> Sequence[Made]:
        if not bars:
            return bars
        fresh: list[Made] = []
        for bar in bars:
            if bar.partial:
                fresh.append(RevisedBar(bar) if bar.start_ns in self._revised else bar)
                continue
            if bar.start_ns <= self.newest_ns:
                if bar.start_ns in self._revised:
                    fresh.append(RevisedBar(bar))  # the whole of one that lacked a late trade
                continue
            fresh += self._missing(bar.start_ns)
            self.newest_ns = bar.start_ns
            fresh.append(bar)
        return fresh

    def _missing(self, until_ns: int) -> list[Gap]:
        """Return the gap between the newest whole bar and one that begins then, if there is any."""
        due = self._after(self.newest_ns) if self.newest_ns >= 0 else until_ns
        if due >= until_ns:
            return []
        count = 1
        end = due
        while (end := self._after(end)) < until_ns and count < MAX_EMPTY:
            count += 1
        return [Gap(self.builder.symbol, "bar", "missing bars", due, until_ns, count)]

    def _after(self, start_ns: int) -> int:
        return period_end(self.builder.interval, start_ns // _MS) * _MS
