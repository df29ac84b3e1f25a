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
            return self._new([event])
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

    def flush(self) -> None:
        """Keep the forming bar, as a partial one, in the table; no strategy sees it."""
        self.table.extend(self.builder.flush())

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
            due = self._after(self.newest_ns) if self.newest_ns >= 0 else bar.start_ns
            if due < bar.start_ns:
                count = 1
                end = due
                while (end := self._after(end)) < bar.start_ns and count < MAX_EMPTY:
                    count += 1
                fresh.append(Gap(bar.symbol, "bar", "missing bars", due, bar.start_ns, count))
            self.newest_ns = bar.start_ns
            fresh.append(bar)
        return fresh

    def _after(self, start_ns: int) -> int:
        return period_end(self.builder.interval, start_ns // _MS) * _MS
