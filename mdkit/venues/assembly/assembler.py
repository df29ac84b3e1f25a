"""`Assembler`: the frames of one connection in; whole books, trades, tickers and gaps out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Raw, Struct, structs

from mdkit.errors import InvalidMessage
from mdkit.events import Gap, Level, Trade
from mdkit.redaction import safe_text
from mdkit.venues.assembly.builder import BookBuilder
from mdkit.venues.assembly.handover import Handover, HandoverState, leave_out, trade_key
from mdkit.venues.assembly.parsed import (
    Beat,
    BestQuote,
    BookUpdate,
    Counted,
    Figures,
    Notice,
    Parsed,
    Reply,
    Trades,
)
from mdkit.venues.assembly.parser import REST_HEAD, Parser, parsed
from mdkit.venues.assembly.told import BuilderState, Built, Stretch
from mdkit.venues.normalized.messages import BookMessage, InvalidText, encode, message

_MOST_TEXT = 500
_HEAD = 100
_MOST_RECENT = 1_000


class Answered(NamedTuple):
    """A frame that answers a command."""

    raw: bytes


class Wanted(NamedTuple):
    """A new snapshot of a symbol's book has to be asked for, and why."""

    symbol: str
    reason: str


class Ending(NamedTuple):
    """The venue is about to end this connection."""

    reason: str


Output = bytes | Gap | Answered | Wanted | Ending
"""Normalized messages are bytes."""


class AssemblerState(Struct, omit_defaults=True):
    """All that an assembler knows: the next frame's number, and by symbol the builders, the trades
    that may be repeated, and what to leave out; and what is known of the handover to it."""

    next_number: int | None = None
    builders: dict[str, BuilderState] = {}
    recent: dict[str, list[str]] = {}
    repeated: dict[str, list[str]] = {}
    given_until: dict[str, int] = {}
    handover: HandoverState | None = None


class _Written:
    """The sides of a symbol's last book, and how they were written."""

    __slots__ = ("asks", "asks_text", "bids", "bids_text")

    def __init__(self) -> None:
        self.bids: tuple[Level, ...] | None = None
        self.asks: tuple[Level, ...] | None = None
        self.bids_text = self.asks_text = Raw(b"[]")


class Assembler:
    """Reads the frames of one connection, in order of receipt.

    Args:
        parser: of the venue.
        builder: makes the builder of a symbol's book.
        symbols: by the venue's own names; what comes of others is counted, and goes nowhere.

    Attributes:
        builders: by symbol, in the form that sessions use.
        counts: frames by what they were: "book", "quote", "trade", "ticker", "answer", "heartbeat",
            "notice", "invalid", "not asked for". A frame about several things counts for each.
            "duplicate" are books, trades and tickers that were left out, as another connection
            gave them, or this one has before.
        frames: how many came in all.
        first_ns: when data of a (channel, symbol) came first.
        handover: from or to another connection of the same feed, while that lasts.
        recent: by symbol, the keys of trades that the venue may repeat.
        repeated: the keys of trades that a connection before gave: left out until others come.
        given_until: when by the venue's clock the last book was that a connection before gave:
            left out until later ones come.
    """

    def __init__(
        self,
        parser: Parser,
        builder: Callable[[], BookBuilder],
        symbols: Mapping[str, str],
    ) -> None:
        self.builders: dict[str, BookBuilder] = {}
        self.counts: Counter[str] = Counter()
        self.frames = 0
        self.first_ns: dict[tuple[str, str], int] = {}
        self._parser = parser
        self._new_builder = builder
        self._symbols = dict(symbols)
        self._next_number: int | None = None
        self._asked: set[str] = set()
        self._written: dict[str, _Written] = {}
        self.handover: Handover | None = None
        self.recent: dict[str, dict[str, None]] = {}
        self.repeated: dict[str, dict[str, None]] = {}
        self.given_until: dict[str, int] = {}

    def expect(self, symbols: Mapping[str, str]) -> None:
        """Set the symbols that frames are about, by the venue's own names."""
        self._symbols = dict(symbols)

    def connected(self) -> None:
        """Begin on a new connection: all books wait for a snapshot."""
        self._next_number = None
        self._asked.clear()
        self.first_ns.clear()
        for builder in self.builders.values():
            builder.disconnect()

    def take(self, raw: bytes, received_ns: int) -> list[Output]:
        """Return what a frame gives, in order."""
        self.frames += 1
        try:
            said = parsed(self._parser, raw)
        except InvalidMessage as error:
            return self._unreadable(raw, str(error), received_ns)
        except Exception as error:
            why = f"parser failed with {type(error).__name__}: {error}"
            return self._unreadable(raw, why, received_ns)
        outputs: list[Output] = []
        for item in said:
            kind = type(item)
            if kind is BookUpdate:
                self._take_book(item, received_ns, outputs)  # type: ignore[arg-type]
            elif kind is Counted:
                self._count(item.number, received_ns, outputs)  # type: ignore[union-attr]
            else:
                self._take_other(item, raw, received_ns, outputs)
        return outputs

    def end(self, received_ns: int) -> list[Gap]:
        """Return the stretches in which books are out of step and nothing more will come."""
        gaps = []
        for symbol, builder in self.builders.items():
            if self.handover is not None and self.handover.carrier("depth", symbol) is not self:
                continue
            stretch = builder.end(received_ns)
            if stretch is not None:
                gaps.append(Gap(symbol, "depth", *stretch))
        return gaps

    def save(self) -> AssemblerState:
        """Return all that is known, so that another can go on from there."""
        builders = {symbol: builder.save() for symbol, builder in self.builders.items()}
        is_next = self.handover is not None and self.handover.new is self
        return AssemblerState(
            self._next_number,
            builders,
            {symbol: list(keys) for symbol, keys in self.recent.items()},
            {symbol: list(keys) for symbol, keys in self.repeated.items()},
            dict(self.given_until),
            self.handover.save() if is_next and self.handover is not None else None,
        )

    def restore(self, saved: AssemblerState) -> None:
        """Go on from what another knew."""
        self._next_number = saved.next_number
        self.recent = {symbol: dict.fromkeys(keys) for symbol, keys in saved.recent.items()}
        self.repeated = {symbol: dict.fromkeys(keys) for symbol, keys in saved.repeated.items()}
        self.given_until = dict(saved.given_until)
        for symbol, state in saved.builders.items():
            builder = self.builders[symbol] = self._new_builder()
            builder.restore(state)

    # -- beside another connection --------------------------------------------------------------

    def tell(self, symbol: str, told: Sequence[Built | Stretch]) -> list[bytes | Gap]:
        """Return what a builder tells as messages and gaps."""
        return [
            self._message(symbol, item) if isinstance(item, Built) else Gap(symbol, "depth", *item)
            for item in told
        ]

    # -- in detail ------------------------------------------------------------------------------

    def _take_book(self, update: BookUpdate, received_ns: int, outputs: list[Output]) -> None:
        symbol = self._symbols.get(update.symbol)
        if symbol is None:
            self.counts["not asked for"] += 1
            return
        self.counts["book"] += 1
        builder = self.builders.get(symbol)
        if builder is None:
            builder = self.builders[symbol] = self._new_builder()
        self.first_ns.setdefault(("depth", symbol), received_ns)
        told = builder.feed(update, received_ns)
        if self.handover is not None:
            outputs += self.handover.take_books(self, symbol, told, received_ns)
        elif self.given_until:
            outputs += self.tell(symbol, self._later(symbol, builder, told))
        else:
            for item in told:  # as `tell` does: this is done for every frame
                if type(item) is Built:
                    outputs.append(self._message(symbol, item))
                elif type(item) is Stretch:
                    outputs.append(Gap(symbol, "depth", *item))
        if builder.wants_snapshot or self._asked:
            self._ask(symbol, builder, outputs)

    def _message(self, symbol: str, built: Built) -> bytes:
        """Return the message of a book; a side that is the same as before is not written anew."""
        last = self._written.get(symbol)
        if last is None:
            last = self._written[symbol] = _Written()
        if last.bids is not built.bids:
            last.bids, last.bids_text = built.bids, Raw(encode(built.bids))
        if last.asks is not built.asks:
            last.asks, last.asks_text = built.asks, Raw(encode(built.asks))
        return encode(BookMessage(symbol, last.bids_text, last.asks_text, built.exchange_ns))

    def _ask(self, symbol: str, builder: BookBuilder, outputs: list[Output]) -> None:
        """Want a snapshot where the book needs one and none is under way."""
        if builder.wants_snapshot:
            if symbol not in self._asked:
                self._asked.add(symbol)
                outputs.append(Wanted(symbol, builder.reason))
        else:
            self._asked.discard(symbol)

    def _take_other(
        self, item: Parsed, raw: bytes, received_ns: int, outputs: list[Output]
    ) -> None:
        if isinstance(item, Trades):
            symbol = self._symbols.get(item.symbol)
            if symbol is None:
                self.counts["not asked for"] += 1
                return
            self.counts["trade"] += 1
            self.first_ns.setdefault(("trade", symbol), received_ns)
            events = [structs.replace(trade, symbol=symbol) for trade in item.events]
            if item.may_repeat or self.repeated:
                events = self._fresh(symbol, events, is_kept=item.may_repeat)
            if self.handover is not None:
                events = self.handover.take_trades(self, symbol, events)
            if events:
                outputs.append(message(events))
            outputs.extend(self._invalid(raw, reason) for reason in item.unusable)
        elif isinstance(item, Figures):
            symbol = self._symbols.get(item.symbol)
            if symbol is None:
                self.counts["not asked for"] += 1
                return
            self.counts["ticker"] += 1
            self.first_ns.setdefault(("ticker", symbol), received_ns)
            event = structs.replace(item.event, symbol=symbol)
            if self.handover is not None:
                outputs += self.handover.take_ticker(self, symbol, event)
            else:
                outputs.append(message(event))
        elif isinstance(item, BestQuote):
            self.counts["quote"] += 1
            symbol = self._symbols.get(item.symbol, "")
            builder = self.builders.get(symbol)
            if builder is not None:
                builder.compare(item, received_ns)
                self._ask(symbol, builder, outputs)
        elif isinstance(item, Reply):
            self.counts["answer"] += 1
            outputs.append(Answered(raw))
        elif isinstance(item, Beat):
            self.counts["heartbeat"] += 1
        elif isinstance(item, Notice):
            self.counts["notice"] += 1
            outputs.append(Ending(item.reason))

    def _later(
        self, symbol: str, builder: BookBuilder, told: Sequence[Built | Stretch]
    ) -> list[Built | Stretch]:
        """Leave out books that a connection before gave, by the venue's clock."""
        until_ns = self.given_until.get(symbol, 0)
        later = [t for t in told if isinstance(t, Stretch) or t.exchange_ns > until_ns]
        leave_out(self, builder, len(told) - len(later))
        if later:
            self.given_until.pop(symbol, None)
        return later

    def _fresh(self, symbol: str, events: list[Trade], *, is_kept: bool) -> list[Trade]:
        """Return the trades that have not been given; `is_kept` has these be remembered."""
        repeated, recent = self.repeated.get(symbol, {}), self.recent.get(symbol, {})
        fresh = []
        for trade in events:
            key = trade_key(trade)
            if key in repeated or key in recent:
                self.counts["duplicate"] += 1
                continue
            fresh.append(trade)
            if is_kept:
                recent[key] = None
        if fresh and repeated:  # what comes is in order, and past those
            del self.repeated[symbol]
        if is_kept:
            self.recent[symbol] = recent
            while len(recent) > _MOST_RECENT:
                del recent[next(iter(recent))]
        return fresh

    def _count(self, number: int, received_ns: int, outputs: list[Output]) -> None:
        """Take all books out of step where a frame of the connection is missing."""
        due, self._next_number = self._next_number, number + 1
        if due is None or number == due:
            return
        reason = f"frame counter: expected sequence_num={due}, got {number}"
        for symbol, builder in self.builders.items():
            builder.fail(reason, received_ns)
            self._ask(symbol, builder, outputs)

    def _unreadable(self, raw: bytes, reason: str, received_ns: int) -> list[Output]:
        """Count a frame as invalid; where it may have changed a book, none is proven any more."""
        outputs: list[Output] = [self._invalid(raw, reason)]
        mark = self._parser.book_mark
        if mark and mark in raw[:_HEAD] and not raw.startswith(REST_HEAD):
            for symbol, builder in self.builders.items():
                builder.fail(f"unreadable: {reason[:_MOST_TEXT]}", received_ns)
                self._ask(symbol, builder, outputs)
        return outputs

    def _invalid(self, raw: bytes, reason: str) -> bytes:
        self.counts["invalid"] += 1
        text = safe_text(raw[:_MOST_TEXT].decode(errors="replace"))
        return encode(InvalidText("", reason, text))
