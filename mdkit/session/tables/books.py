"""How far a session's books are proven, and the whole of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from mdkit.errors import SettingsError
from mdkit.events import Depth
from mdkit.frames import book_frame
from mdkit.pipeline.pipeline import Pipeline
from mdkit.session.tables.lookups import check_table
from mdkit.sources.source import Source
from mdkit.sources.venue import VenueSource

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

COLUMNS = (
    *("venue", "state", "since", "proven by", "reason", "faults", "resyncs"),
    *("levels", "sure levels", "messages", "books", "quotes compared"),
)


class BookTables(ABC):
    """The tables of a session's books."""

    pipeline: Pipeline

    @abstractmethod
    def _look(self, look: Callable[[], T]) -> T:
        """Look at something in the session's loop."""

    def book(self, symbol: str, levels: int | None = None) -> pd.DataFrame:
        """Return the current order book of a symbol: one row a level, best first.

        Without `levels` it is the book that strategies saw last. With it, as many levels a side
        as are known: of a public venue the whole book is kept, of which strategies see the best.

        Raises `SettingsError`, with near matches, for what is not subscribed to, and where the
        whole book is not in step with its venue.
        """

        symbol = known_as(self.pipeline.source, symbol)

        def look() -> pd.DataFrame:
            check_table(self.pipeline, "depth", symbol)
            shown = self.pipeline.frames.book(symbol)
            if levels is not None:
                shown = whole_book(self.pipeline.source, symbol, levels, shown)
            return book_frame(shown)

        return self._look(look)

    def venues(self) -> pd.DataFrame:
        """Return how far the books of public venues are proven: a row a symbol.

        `state` is "in step", "out of step" or "waiting" (for the first snapshot) `since` then;
        `reason` names the rule that failed last. `levels` are kept, of which the first
        `sure levels` are known to be whole. `messages` came, and `books` were made of them, which
        are what the ledger counts.
        """
        return self._look(lambda: venue_table(self.pipeline.source))


def known_as(source: Source, symbol: str) -> str:
    """Return the form in which a session uses a symbol of a public venue; others as they are."""
    if not isinstance(source, VenueSource):
        return symbol
    try:
        return source.common(symbol)
    except SettingsError:
        return symbol  # which whoever looks it up says with near matches


def venue_table(source: Source | None) -> pd.DataFrame:
    """Return a row for each symbol's book; none of a source that is no public venue."""
    import pandas as pd

    rows: dict[str, list[Any]] = {}
    if isinstance(source, VenueSource):
        for connection, symbol, builder in source.books():
            since = pd.Timestamp(builder.since_ns, unit="ns", tz="UTC")
            # While a connection is replaced, what the old one has counted is not yet the new one's.
            both = {id(each): each for each in (builder, connection.assembler.builders[symbol])}
            faults, resyncs, messages, books, compared = (
                sum(getattr(each, name) for each in both.values())
                for name in ("faults", "resyncs", "messages", "books", "quotes_compared")
            )
            rows[symbol] = [
                *(connection.venue.name, builder.state, since, connection.venue.proof),
                *(builder.reason, faults, resyncs),
                min(len(builder.book.bids), len(builder.book.asks)),
                *(builder.sure_levels, messages, books, compared),
            ]
        for each in source.connections:
            for channel, symbol in each.subscriptions:
                if channel == "depth" and symbol not in rows:
                    begun = pd.Timestamp(0, unit="ns", tz="UTC")
                    rows[symbol] = [each.venue.name, "waiting", begun, each.venue.proof, ""]
                    rows[symbol] += [0] * 7
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    table["since"] = pd.to_datetime(table["since"], utc=True).where(lambda t: t.dt.year > 1970)
    return table.rename_axis("symbol")


def cut(book: Depth, levels: int) -> Depth:
    """Return a book with at most so many levels a side."""
    if max(len(book.bids), len(book.asks)) <= levels:
        return book
    sides = book.bids[:levels], book.asks[:levels]
    return Depth(book.symbol, *sides, book.exchange_ns, book.received_ns)


def whole_book(source: Source, symbol: str, levels: int, shown: Depth | None) -> Depth | None:
    """Return a book with as many levels as are known, up to `levels` a side.

    Raises `SettingsError` where no more are kept than the messages have.
    """
    if not isinstance(source, VenueSource):
        return None if shown is None else cut(shown, levels)
    builder = source.builder(symbol)
    if builder is None:
        return shown
    if builder.state != "in step":
        raise SettingsError(
            f"the book of {symbol} is {builder.state}"
            f"{f' ({builder.reason})' if builder.reason else ''}, so that there is none to show; "
            "session.venues() says when it is in step again."
        )
    bids, asks = builder.book.best(min(levels, builder.sure_levels))
    received = shown.received_ns if shown is not None else 0
    return Depth(symbol, bids, asks, shown.exchange_ns if shown is not None else 0, received)
