"""`BookBuilder`: one symbol's book, made of a snapshot and updates, and proven."""

from __future__ import annotations

from collections import OrderedDict, deque

from mdkit.books.order_book import OrderBook
from mdkit.errors import InvalidMessage
from mdkit.events import Level
from mdkit.venues.assembly.parsed import BestQuote, BookUpdate
from mdkit.venues.assembly.rules import Rule
from mdkit.venues.assembly.told import BuilderState, Built, State, Stretch

_Changed = tuple[bool, bool]
"""Of bids and asks."""
_Best = tuple[tuple[Level, ...], tuple[Level, ...]]
_BOTH, _NEITHER = (True, True), (False, False)
_MOST_KEPT = 20_000
_MOST_QUOTES = 1_000
_LOOK_EVERY = 64
_COUNTS = ("messages", "books", "duplicates", "old", "resyncs", "faults", "quotes_compared")
_MOST_LEVELS = 500_000
"""A side of a book; and of both sides of the updates that wait for a snapshot."""


class BookBuilder:
    """Keeps one symbol's book in step with its venue, or says since when it is not.

    Args:
        rule: proves the updates.
        levels: how many of a side are published.
        depth: how many the venue keeps, where it never removes what falls out of that.
        by_rest: whether snapshots come by REST, beside updates that are kept meanwhile.

    Attributes:
        book: the whole kept book.
        state: "waiting" for a first snapshot, "in step", or "out of step".
        since_ns: of the state, by the time of receipt.
        reason: why it is out of step.
        messages, books: how many updates came, and books were made of them.
        duplicates: books that were left out, since another connection gave them.
        old: updates that held nothing new, or came while nothing could be made of them.
        resyncs: how often it was brought back into step.
        quotes_compared: how often the venue's own best prices were the same.
        wants_snapshot: whether a new snapshot has to be asked for.
        last: the venue's number of the last change in the book, 0 where it numbers none.
        published: the best levels that were told last; None while the book is not in step.
        good_ns: when the book was in step last, by the time of receipt.
    """

    def __init__(
        self, rule: Rule, levels: int, *, depth: int | None = None, by_rest: bool = False
    ) -> None:
        self.rule = rule
        self.book = OrderBook()
        self.state: State = "waiting"
        self.since_ns = 0
        self.reason = ""
        self.messages = self.books = self.old = self.resyncs = 0
        self.quotes_compared = self.faults = self.duplicates = 0
        self.wants_snapshot = False
        self._levels = levels
        self._depth = depth
        self._by_rest = by_rest
        self._kept: deque[BookUpdate] = deque()
        self._kept_levels = 0
        self._was_in_step = False
        self._is_crossed = self._is_refreshing = False
        self.good_ns = 0
        self.last = 0
        self.published: _Best | None = None
        self._quotes: OrderedDict[int, BestQuote] = OrderedDict()
        self._sure: tuple[float | None, float | None] | None = None

    def count_also(self, other: BookBuilder) -> None:
        """Add what another counted of the same book on a connection before."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    # -- what comes ---------------------------------------------------------------------------

    def disconnect(self) -> None:
        """Wait for a snapshot: the connection is a new one, and the stretch is told elsewhere."""
        self._lose("waiting")
        self._was_in_step = False

    def feed(self, update: BookUpdate, received_ns: int) -> list[Built | Stretch]:
        """Take an update or a snapshot; return what is to be told, in order."""
        self.messages += 1
        if not self.since_ns:
            self.since_ns = received_ns
        if update.is_snapshot:
            if self._by_rest and update.via_rest:
                return self._splice(update, received_ns)
            return self._begin(update, received_ns)
        if self.state != "in step" and not self._is_snapshot_taken:
            if self._by_rest:
                self._keep(update)
                self.wants_snapshot = True
            else:
                self.old += 1
            return []
        return self._continue(update, received_ns)

    def compare(self, quote: BestQuote, received_ns: int) -> list[Built | Stretch]:
        """Compare the venue's own best prices, where they are of the same moment as the book."""
        if quote.last == self.last and self.state == "in step":
            self._check_quote(quote, received_ns)
        elif quote.last > self.last:
            self._quotes[quote.last] = quote
            if len(self._quotes) > _MOST_QUOTES:
                self._quotes.popitem(last=False)
        return []

    def fail(self, reason: str, received_ns: int) -> None:
        """Take the book out of step for a reason that others found.

        One that is out of step loses the snapshot that it had been given meanwhile.
        """
        is_out = self.state == "out of step"
        if is_out and not self._is_snapshot_taken:
            return
        self.faults += 1
        self.reason = reason
        self._lose("out of step")
        if not is_out:
            self.since_ns = received_ns
        self.wants_snapshot = True

    def end(self, received_ns: int) -> Stretch | None:
        """Return the stretch that nothing has ended, if there is one."""
        if self.state == "out of step" and self._was_in_step:
            return Stretch(self.reason, self.good_ns, received_ns)
        return None

    # -- going on elsewhere -----------------------------------------------------------------------

    def save(self) -> BuilderState:
        """Return all that is known."""
        bids, asks = self.book.bids, self.book.asks
        whole = BookUpdate(
            "",
            bids.best(len(bids)),
            asks.best(len(asks)),
            is_snapshot=True,
            last=self.last,
            bid_texts=bids.texts(len(bids)) if bids.has_texts else None,
            ask_texts=asks.texts(len(asks)) if asks.has_texts else None,
        )
        return BuilderState(
            self.state,
            self.since_ns,
            self.reason,
            self.good_ns,
            self._was_in_step,
            self._is_crossed,
            whole if self._is_snapshot_taken else None,
            self.published,
            self._sure,
            tuple(self._kept),
            tuple(self._quotes.values()),
            self.rule.state,
        )

    def restore(self, saved: BuilderState) -> None:
        """Go on from what another knew; raise `InvalidMessage` for what no builder can know."""
        for update in (saved.book, *saved.kept):
            if update is not None and not update.is_whole:
                raise InvalidMessage("a saved book has levels that cannot be, or too few texts")
        if saved.book is not None:
            self._set(saved.book)
        self.state, self.since_ns, self.reason = saved.state, saved.since_ns, saved.reason
        self.good_ns, self._was_in_step = saved.good_ns, saved.was_in_step
        self._is_crossed, self._sure = saved.is_crossed, saved.sure
        self.published = saved.published
        self._forget_kept()
        for update in saved.kept:
            self._keep(update)
        self._quotes = OrderedDict((quote.last, quote) for quote in saved.quotes)
        self.rule.state = saved.rule
        if saved.book is not None:
            self.last = saved.book.last

    # -- how deep it is known -------------------------------------------------------------------

    @property
    def sure_levels(self) -> int:
        """How many levels of each side are known, and not only those among them that changed."""
        if self.state != "in step":
            return 0
        if self._sure is None:
            return min(len(self.book.bids), len(self.book.asks))
        bid, ask = self._sure
        counts = [
            len(side) if worst is None else side.count_within(worst)
            for side, worst in ((self.book.bids, bid), (self.book.asks, ask))
        ]
        return min(counts)

    # -- in detail ------------------------------------------------------------------------------

    @property
    def _is_snapshot_taken(self) -> bool:
        return self._sure is not None or self.state == "in step"

    def _lose(self, state: State) -> None:
        self.state = state
        self.wants_snapshot = self._by_rest and state == "out of step"
        self._forget_kept()
        self._quotes.clear()
        self._is_crossed = self._is_refreshing = False
        self.published = None
        self._sure = None
        self.book = OrderBook()

    def _set(self, snapshot: BookUpdate) -> None:
        self.book.bids.replace(snapshot.bids, snapshot.bid_texts)
        self.book.asks.replace(snapshot.asks, snapshot.ask_texts)
        self.last = snapshot.last
        self.rule.begin(snapshot)
        if self._depth is not None:
            self.book.truncate(self._depth)
        self._sure = (None, None)
        if self._by_rest:
            self._sure = (self.book.bids.worst_price, self.book.asks.worst_price)

    def _begin(self, snapshot: BookUpdate, received_ns: int) -> list[Built | Stretch]:
        """Begin with a snapshot of the socket: what was before is gone."""
        self._set(snapshot)
        wrong = self.rule.holds(snapshot, self.book) or self._too_deep()
        if wrong:
            return self._fault(f"{wrong} (snapshot)", received_ns)
        if self.rule.needs_update:
            return []
        return self._publish(snapshot.exchange_ns, received_ns)

    def _splice(self, snapshot: BookUpdate, received_ns: int) -> list[Built | Stretch]:
        """Join a snapshot of REST to the updates that were kept; a snapshot too old joins none."""
        self.wants_snapshot = False
        kept = list(self._kept)
        if self.state == "in step":
            return self._refresh(snapshot, kept, received_ns)
        self._set(snapshot)
        fresh = [update for update in kept if not self.rule.is_old(update)]
        if not fresh:
            self._forget_kept()
            return []
        wrong = self.rule.follows(fresh[0])
        if wrong:
            # The snapshot is from before the first update that was kept: ask again, keep all.
            self.reason = f"REST snapshot too old: {wrong}"
            self._sure = None
            self.wants_snapshot = True
            return []
        self._forget_kept()
        self._apply(fresh[0])
        for update in fresh[1:]:
            wrong = "" if self.rule.is_old(update) else self.rule.follows(update)
            if wrong:
                return self._fault(wrong, received_ns)
            self._apply(update)
        return self._judge(fresh[-1], received_ns, _BOTH)

    def _refresh(
        self, snapshot: BookUpdate, kept: list[BookUpdate], received_ns: int
    ) -> list[Built | Stretch]:
        """Replace a book that is in step by a deeper one of the same moment."""
        rule, last = self.rule.state, self.last
        if not self._is_refreshing or (kept and kept[0].first > snapshot.last + 1):
            self.wants_snapshot = self._is_refreshing
            return []
        self._is_refreshing = False
        self._forget_kept()
        self._set(snapshot)
        for update in kept:
            if not self.rule.is_old(update):
                self._apply(update)
        self.rule.state, self.last = rule, last
        return self._publish(snapshot.exchange_ns, received_ns)

    def _too_deep(self) -> str:
        levels = max(len(self.book.bids), len(self.book.asks))
        return f"too many levels: {levels:,}" if levels > _MOST_LEVELS else ""

    def _keep(self, update: BookUpdate) -> None:
        """Keep an update for a snapshot; the oldest go where there are too many levels."""
        self._kept.append(update)
        self._kept_levels += len(update.bids) + len(update.asks)
        while self._kept_levels > _MOST_LEVELS or len(self._kept) > _MOST_KEPT:
            gone = self._kept.popleft()
            self._kept_levels -= len(gone.bids) + len(gone.asks)

    def _forget_kept(self) -> None:
        self._kept.clear()
        self._kept_levels = 0

    def _look_how_deep(self) -> None:
        """Want a deeper book before fewer levels are sure than are published."""
        if self._by_rest and not self._is_refreshing and self.sure_levels < 2 * self._levels:
            bids, asks = self.book.bids, self.book.asks
            if min(len(bids), len(asks)) >= self._levels:  # elsewhere there is nothing deeper
                self._is_refreshing = self.wants_snapshot = True

    def _continue(self, update: BookUpdate, received_ns: int) -> list[Built | Stretch]:
        if self.rule.is_old(update):
            self.old += 1
            return []
        wrong = self.rule.follows(update)
        if wrong:
            return self._fault(wrong, received_ns, update)
        if self._is_refreshing:
            self._keep(update)
        changed = self._apply(update)
        wrong = self.rule.holds(update, self.book) or self._too_deep()
        if wrong:
            return self._fault(wrong, received_ns)
        if not self.messages % _LOOK_EVERY:
            self._look_how_deep()
        return self._judge(update, received_ns, changed)

    def _apply(self, update: BookUpdate) -> _Changed:
        """Change the book; return whether the best levels of each side changed."""
        top = self._levels
        bids = self.book.bids.change(update.bids, update.bid_texts, top)
        asks = self.book.asks.change(update.asks, update.ask_texts, top)
        if self._depth is not None:
            self.book.truncate(self._depth)
        self.last = update.last
        return bids, asks

    def _judge(
        self, update: BookUpdate, received_ns: int, changed: _Changed
    ) -> list[Built | Stretch]:
        """Publish a book that is neither crossed nor against the venue's own best prices."""
        crossing = self.book.crossing
        if crossing is not None:
            if self._is_crossed:
                bid, ask = crossing
                return self._fault(f"crossed: bid {bid:.12g} and ask {ask:.12g}", received_ns)
            self._is_crossed = True  # between two messages of one moment it may be
            return []
        was_crossed, self._is_crossed = self._is_crossed, False
        while self._quotes and next(iter(self._quotes)) < self.last:
            self._quotes.popitem(last=False)
        quote = self._quotes.pop(self.last, None)
        if quote is not None and not self._check_quote(quote, received_ns):
            return []
        if was_crossed or self.published is None:
            return self._publish(update.exchange_ns, received_ns)
        if changed != _NEITHER:
            return self._publish(update.exchange_ns, received_ns, changed)
        self.good_ns = received_ns
        return []

    def _publish(
        self, exchange_ns: int, received_ns: int, changed: _Changed = _BOTH
    ) -> list[Built | Stretch]:
        told: list[Built | Stretch] = []
        if self.state != "in step":
            if self.state == "out of step":
                self.resyncs += 1
                if self._was_in_step:
                    told.append(Stretch(self.reason, self.good_ns, received_ns))
            self.state, self.since_ns, self._was_in_step = "in step", received_ns, True
            self.wants_snapshot = False
        self.good_ns = received_ns
        before, best = self.published, self._best(changed)
        if best == before:
            return told
        self.published = best
        self.books += 1
        told.append(Built(*best, exchange_ns))
        return told

    def _best(self, changed: _Changed) -> _Best:
        """Return the best levels, as far as they are known; sides that did not change as before."""
        known = self.published or ((), ())
        worst = self._sure if self._by_rest and self._sure is not None else (None, None)
        bids = self._best_bids(worst[0]) if changed[0] else known[0]
        asks = self._best_asks(worst[1]) if changed[1] else known[1]
        return bids, asks

    def _best_bids(self, worst: float | None) -> tuple[Level, ...]:
        bids = self.book.bids.best(self._levels)
        if worst is not None and bids and bids[-1][0] < worst:
            return tuple(level for level in bids if level[0] >= worst)
        return bids

    def _best_asks(self, worst: float | None) -> tuple[Level, ...]:
        asks = self.book.asks.best(self._levels)
        if worst is not None and asks and asks[-1][0] > worst:
            return tuple(level for level in asks if level[0] <= worst)
        return asks

    def _check_quote(self, quote: BestQuote, received_ns: int) -> bool:
        bids, asks = self.book.best(1)
        if bids == (quote.bid,) and asks == (quote.ask,):
            self.quotes_compared += 1
            return True
        own = [
            f"{side[0][1]:.12g} at {side[0][0]:.12g}" if side else "none" for side in (bids, asks)
        ]
        theirs = [f"{level[1]:.12g} at {level[0]:.12g}" for level in (quote.bid, quote.ask)]
        self.fail(
            f"best prices: the venue has {theirs[0]} and {theirs[1]} after change {quote.last}, "
            f"the book {own[0]} and {own[1]}",
            received_ns,
        )
        return False

    def _fault(
        self, reason: str, received_ns: int, update: BookUpdate | None = None
    ) -> list[Built | Stretch]:
        self.fail(reason, received_ns)
        if update is not None and self._by_rest:
            self._keep(update)
        return []
