"""Bars made of a symbol's live events, and history in the same place before and between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mdkit.events import DROPPED, WENT_BACK, Bar, Gap, MarketEvent, Ticker, Trade
from mdkit.frames import EventFrame
from mdkit.history.bars import MAX_EMPTY, BarBuilder
from mdkit.history.intervals import period_end

_MS = 1_000_000


class Fold:
    """The bars of one symbol and interval, made of trades, or of tickers where no trades come.

    Depth events only tell the time: a bar of a symbol that trades rarely is complete when the
    book's clock has passed its end. Bars that the REST service gave take the place of those that
    live events cannot give: the ones before the session and around gaps. A strategy sees every
    bar once, in order of time, and is told where one is missing.
    """

    def __init__(self, symbol: str, interval: str, made_of: str, table: EventFrame[Any]) -> None:
        self.builder = BarBuilder(symbol, interval)
        self.made_of = made_of
        self.table = table
        self.newest_ns = -1
        """Start of the newest whole bar that strategies have seen."""

    def update(self, event: MarketEvent) -> Sequence[Bar | Gap]:
        """Take one event; return the bars to show and the gaps between them, mostly nothing."""
        if event.kind == self.made_of:
            assert isinstance(event, Trade | Ticker)
            return self._new(self.builder.update(event))
        if event.kind == "bar":
            assert isinstance(event, Bar)
            return self._new([event]) if event.interval == self.builder.interval else ()
        return self._new(self.builder.advance(event.exchange_ns))

    def interrupt(self, gap: Gap) -> None:
        """Note a gap of a channel: bars around it lack trades, if trades are what was missed."""
        ours = gap.channel == self.made_of
        if gap.reason == WENT_BACK:
            if ours:
                self.builder = BarBuilder(self.builder.symbol, self.builder.interval)
                self.newest_ns = -1
        # Books that the queue dropped say nothing about trades; a broken connection does.
        elif ours or gap.reason != DROPPED:
            self.builder.interrupt()

    def flush(self) -> list[Gap]:
        """Keep the forming bar, as a partial one, in the table; no strategy sees it.

        Returns the gap of the bars before it that were missing still.
        """
        forming = self.builder.flush()
        self.table.extend(forming)
        return self._missing(forming[0].start_ns) if forming else []

    def _new(self, bars: list[Bar]) -> Sequence[Bar | Gap]:
        if not bars:
            return bars
        fresh: list[Bar | Gap] = []
        for bar in bars:
            if bar.partial:
                fresh.append(bar)
                continue
            if bar.start_ns <= self.newest_ns:
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
