"""`Replacement`: the next connection to a venue is made while the old one still delivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from mdkit.errors import FeedError, MdkitError
from mdkit.events import REFUSED, Gap
from mdkit.sources.venue_connection import VenueConnection
from mdkit.venues.assembly.handover import Handover
from mdkit.venues.codec import Subscription

QUIET_SECONDS = 5.0
"""How long the old connection is kept where nothing comes any more that shows the place."""
_LOOK_SECONDS = 0.05


class Replacement:
    """Replaces a connection that the venue will end, without missing anything.

    The next connection is made, subscribed and its books are proven while the old one delivers;
    `Handover` says when each symbol's channel passes from one to the other. When all have, the old
    connection is closed. What it has not handed over when the venue ends it sooner is a gap.

    1. All is handed over: the old connection is closed. No gap.
    2. The old connection ends sooner: what was not handed over is a row of `gaps()`; but trades
       and tickers are whole where the venue closed it in due form, the next one being subscribed.
    3. The next connection is not open then: everything is a row, which ends when it opens.
    4. The next connection is lost while the old one delivers: what it carried by then is a row,
       from what it brought last on, and goes on by the old one. The next one tries again.
    5. The next connection cannot be had at all: the old one goes on as if nothing had been tried.

    Args:
        old, new: the connections.
        reason: why the old one will end.

    Attributes:
        is_over: whether one connection is left.
        closes_old: whether the old connection ends, or has ended, for good.
    """

    def __init__(self, old: VenueConnection, new: VenueConnection, reason: str) -> None:
        self.old = old
        self.new = new
        self.reason = reason
        self.is_over = False
        self.closes_old = False
        self._handover: Handover | None = None
        self._how_it_ended = ""
        self._refused: list[Gap] = []
        old.replacement = new.replacement = self

    @property
    def is_open(self) -> bool:
        """Whether the next connection delivers."""
        return self._handover is not None

    def carries(self, channel: str, symbol: str) -> bool:
        """Whether the next connection carries this already."""
        return self._handover is not None and self._handover.is_given(channel, symbol)

    # -- what happens to the connections ----------------------------------------------------------

    def begin(self) -> None:
        """Begin to hand over: the next connection is open."""
        self._handover = Handover(self.old.assembler, self.new.assembler)

    def old_closed(self, reason: str) -> None:
        """The venue has ended the old connection: it is not made again."""
        self._how_it_ended = reason
        self._close_old()

    def _close_old(self) -> None:
        self.closes_old = True
        self.old.socket.stop()

    def new_closed(self, reason: str) -> None:
        """The next connection is lost: what it carries goes back to the old one, with a gap."""
        if self._handover is None:
            return
        now = time.time_ns()
        for channel, symbol in self._handover.given:
            why = f"handed over to a connection that was lost ({reason})"
            self.old.sink.gap(Gap(symbol, channel, why, self.new.last_ns, now))
        self._handover.detach()
        self._handover = None
        self.old.sink.feed_ended(self.new.feed, now)

    def new_gap(self, gap: Gap) -> None:
        """Keep what the venue refuses to the next connection; else the old one delivers."""
        if gap.reason.startswith(REFUSED):
            self._refused.append(gap)

    def give_up(self, error: BaseException) -> None:
        """Go on with the old connection, since the next one cannot be had."""
        self.new_closed(str(error))
        self.is_over = True
        self.old.replacement = self.new.replacement = None
        told = error if isinstance(error, MdkitError) else FeedError(repr(error))
        self.old.sink.problem(told)

    # -- the end ----------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Close the old connection once all is handed over."""
        since = 0.0
        while not (self.is_over or self.closes_old):
            await asyncio.sleep(_LOOK_SECONDS)
            missing = self._missing()
            if self._handover is None or not self.new.socket.is_settled or self._waits(missing):
                since = 0.0
                continue
            since = since or time.monotonic()
            if not missing or time.monotonic() - since > QUIET_SECONDS:
                self._close_old()
                return

    def _missing(self) -> list[Subscription]:
        """Return what is not handed over."""
        both = [key for key in self.new.subscriptions if key in self.old.subscriptions]
        return [key for key in both if not self.carries(*key)]

    def _waits(self, missing: Sequence[Subscription]) -> bool:
        """Whether a book is missing that is not the same on both connections."""
        return any(channel == "depth" and not self._rests(symbol) for channel, symbol in missing)

    def _rests(self, symbol: str) -> bool:
        return self._handover is not None and self._handover.rests(symbol)

    async def finish(self) -> None:
        """Leave all to the next connection: the old one has ended, and all that came is taken."""
        old, new, sink = self.old, self.new, self.old.sink
        self.is_over = True
        last_ns = max(old.last_ns, new.last_ns)
        for gap in self._gaps():
            sink.gap(gap)
        first = sink.feed_ended(old.feed, last_ns)
        if self._handover is None:
            new.missed = old.last_ns, self._how_it_ended or self.reason
        else:
            messages = [(raw, last_ns) for raw in self._handover.finish()]
            if messages:
                places = range(first, first + len(messages)) if first else [0] * len(messages)
                await sink.queue(messages, places)
        for symbol, builder in new.assembler.builders.items():
            before = old.assembler.builders.get(symbol)
            if before is not None:
                builder.count_also(before)
        old.replacement = new.replacement = None

    def _gaps(self) -> list[Gap]:
        """Return what the old connection did not bring, nor the next one."""
        gaps = [gap for gap in self._refused if (gap.channel, gap.symbol) in self.old.subscriptions]
        if self._handover is None:
            return gaps  # told when the next connection opens, which is when they end
        now = time.time_ns()
        in_due_form = not self._how_it_ended or "closed by the server" in self._how_it_ended
        why = f"{self.reason}; {self._how_it_ended or 'closed here'} before all was handed over"
        for channel, symbol in self._missing():
            if channel == "depth":
                builder = self.old.assembler.builders.get(symbol)
                is_whole = in_due_form and self._rests(symbol)
                if builder is not None and builder.good_ns and not is_whole:
                    gaps.append(Gap(symbol, channel, why, builder.good_ns, now))
            elif not (in_due_form and self.new.socket.is_settled):
                gaps.append(Gap(symbol, channel, why, self.old.last_ns, now))
        return gaps
