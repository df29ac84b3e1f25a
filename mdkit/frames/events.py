"""Live tables of events: books, trades, tickers and bars."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from mdkit.books.decimals import differences_and_middles
from mdkit.books.levels import SUMMARY, level_of, narrowed, shown_columns
from mdkit.errors import SettingsError
from mdkit.events import Bar, Depth, Event, Level, Ticker, Trade
from mdkit.frames.flags import AFTER_GAP, FROM_REST, PARTIAL, REVISED, flag_columns, made_whole
from mdkit.frames.live import CHUNK, Block, Column, Floats, LiveFrame, to_dataframe
from mdkit.frames.steps import last_rows

if TYPE_CHECKING:
    import pandas as pd

PRESSURE_LEVELS = 5
"""How many levels the `pressure` column of a `DepthFrame` sums."""

_WATCHED_SECONDS = 2.0

_MESSAGE_BYTES = 33 + 32 + 2 * 8
"""What a message takes beside its own bytes: the bytes object's head, the time, their places."""

_MORE = 64
"""Bars that are looked at beyond those asked for: their whole may stand that far behind them."""

_Event = TypeVar("_Event", bound=Event)


class EventFrame(LiveFrame[_Event]):
    """A live table of one symbol's events; a row is an event.

    Turning events into columns costs as much as everything else on a message's way, and most
    tables are looked at rarely. So a table that nobody watches may be given undecoded messages
    (`keep`), of which it decodes the newest `capacity` when it is next looked at. For two
    seconds after a look (`watched_until`) it should be given events (`extend`) as they come.

    The last columns of a snapshot say what is to know about a row: `gap` is True for the first
    row after something was missed (`break_off`), `backwards` for one that the exchange dates
    before the symbol's last, `source` is "live", or "rest" for what the REST service filled in.
    """

    read: Callable[[bytes, int], Sequence[_Event]]
    """Decodes what `keep` is given; set by whoever calls that."""

    def __init__(self, columns: Mapping[str, Column], capacity: int = 10_000) -> None:
        super().__init__(columns, capacity)
        self._latest: _Event | None = None
        # The messages, and apart from them their times: pairs would make the collector of
        # garbage look through all of them again and again.
        self._unread: deque[bytes] = deque(maxlen=capacity)
        self._unread_times: deque[int] = deque(maxlen=capacity)
        # What `total` was at each gap among them.
        self._unread_gaps: deque[int] = deque(maxlen=capacity)
        self.watched_until = 0.0
        """By the monotonic clock."""
        # By row number, counted from the first row ever; few, and gone once converted.
        self._flags: dict[int, int] = {}
        self._taken = 0

    def __len__(self) -> int:
        self._read_kept()
        return super().__len__()

    @property
    def latest(self) -> _Event | None:
        """The newest event, or None when none came."""
        if self._unread:
            return self.read(self._unread[-1], self._unread_times[-1])[-1]
        return self._latest

    def keep(self, raw: bytes, received_ns: int) -> None:
        """Append a message that `read` can decode; it counts as one row until it is."""
        self.total += 1
        self._unread.append(raw)
        self._unread_times.append(received_ns)

    def break_off(self) -> None:
        """Say that something was missed: the next row follows a gap."""
        if not self._unread:
            self._note_gap()
        elif not self._unread_gaps or self._unread_gaps[-1] != self.total:
            self._unread_gaps.append(self.total)

    def fill_in(self, rows: Sequence[_Event]) -> None:
        """Append events that the REST service gave."""
        self._read_kept()
        for number in range(self._taken, self._taken + len(rows)):
            self._flags[number] = self._flags.get(number, 0) | FROM_REST
        self.extend(rows)

    def extend(self, rows: Sequence[_Event]) -> None:
        """Append events, oldest first."""
        if self._unread:
            self._read_kept()
        if rows:
            self._latest = rows[-1]
            self.total += len(rows)
            self._taken += len(rows)
            pending = self._pending
            pending.extend(rows)
            if len(pending) >= CHUNK:
                self._convert()

    def shrink(self, capacity: int) -> None:
        """Keep fewer rows from now on, and free the memory of the others."""
        self._unread = deque(self._unread, capacity)
        self._unread_times = deque(self._unread_times, capacity)
        super().shrink(capacity)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the messages that nobody has looked at yet, their objects included."""
        return sum(map(len, self._unread)) + _MESSAGE_BYTES * len(self._unread)

    def clear(self) -> None:
        """Forget all events; `total` keeps counting."""
        super().clear()
        self._unread.clear()
        self._unread_times.clear()
        self._unread_gaps.clear()
        self._flags.clear()
        self._latest = None

    def last_of_steps(self, total: int, step_ns: int) -> Block:
        """Return the last row of each step among those that came after `total` had.

        Steps are multiples of `step_ns` by receipt; a row has the flags of all of its step. Of
        rows that are no columns yet only these become columns: cheap thirty times a second.
        """
        self._read_kept()
        self.watched_until = time.monotonic() + _WATCHED_SECONDS
        new = min(max(self.total - total, 0), self.capacity)
        pending = self._pending
        waiting = pending[max(0, len(pending) - new) :]
        done = self._block.rows(self._end - min(new - len(waiting), self._end), self._end)
        number = self._taken - len(waiting)
        rows = last_rows(done, step_ns)
        if not waiting:
            return rows
        keys = [event.received_ns // step_ns for event in waiting]  # type: ignore[attr-defined]
        kept = dict(zip(keys, waiting, strict=True))
        last = Block.empty(self.columns, len(kept))
        self._write(list(kept.values()), last)
        if self._flags:
            flags = dict.fromkeys(kept, 0)
            for at, key in enumerate(keys, number):
                flags[key] |= self._flags.get(at, 0)
            last.flags[:] = list(flags.values())
        if not rows.received.size:
            return last
        pairs: Iterable[tuple[Any, Any]] = zip(rows, last, strict=True)
        return Block(*(np.concatenate(pair, -1) for pair in pairs))

    def snapshot(self, last: int | None = None) -> pd.DataFrame:
        """Return the events held, or the `last` ones, as a DataFrame of its own."""
        block = self._rows(last)
        return _table(self.columns, block, self.index_name, None)

    def _convert(self) -> None:
        super()._convert()
        self._set_flags()

    def _adopt(self, rows: Block) -> None:
        super()._adopt(rows)
        self._set_flags()

    def _set_flags(self) -> None:
        """Write down what is to know about the rows that have become columns."""
        if self._flags:
            first = self._taken - self._end
            for number, flag in self._flags.items():
                if first <= number < self._taken:
                    self._block.flags[number - first] |= flag
            self._flags = {n: flag for n, flag in self._flags.items() if n >= self._taken}

    def _rows(self, last: int | None) -> Block:
        self._read_kept()
        self.watched_until = time.monotonic() + _WATCHED_SECONDS
        return super()._rows(last)

    def _read_kept(self) -> None:
        """Decode what was kept, in chunks: a chunk's events stay in the processor's cache."""
        if not self._unread:
            return
        unread, self._unread = self._unread, deque(maxlen=self.capacity)
        times, self._unread_times = self._unread_times, deque(maxlen=self.capacity)
        gaps = set(self._unread_gaps)
        self._unread_gaps.clear()
        end = self.total
        self.total -= len(unread)
        events: list[_Event] = []
        for number, raw, received_ns in zip(count(self.total), unread, times, strict=False):
            if number in gaps:
                self.extend(events)
                events = []
                self._note_gap()
            events += self.read(raw, received_ns)
            if len(events) >= CHUNK:
                self.extend(events)
                events = []
        self.extend(events)
        if end in gaps:
            self._note_gap()

    def _note_gap(self) -> None:
        self._flags[self._taken] = self._flags.get(self._taken, 0) | AFTER_GAP


def _table(
    columns: Mapping[str, Column], block: Block, index_name: str, symbols: pd.Categorical | None
) -> pd.DataFrame:
    """Return events with the exchange's times, of some symbols or one, as a DataFrame."""
    first = {} if symbols is None else {"symbol": symbols}
    numbers = None if symbols is None else symbols.codes
    flags = flag_columns(block.flags, block.times[0], numbers)
    return to_dataframe(columns, block, index_name, first, flags)


class AllLevels(NamedTuple):
    """The rows of a table of books with all levels, made into a table when first wanted."""

    columns: Mapping[str, Column]
    block: Block
    index_name: str
    symbols: pd.Categorical | None = None

    def __call__(self) -> pd.DataFrame:
        """Return that table."""
        return _table(self.columns, self.block, self.index_name, self.symbols)

    def best(self) -> pd.DataFrame:
        """Return a table of the best level alone, which knows the others."""
        summary = {name: kind for name, kind in self.columns.items() if level_of(name) == 1}
        few = self.block._replace(floats=self.block.floats[: len(SUMMARY)])
        table = _table(summary, few, self.index_name, self.symbols)
        object.__setattr__(table, "_books", self)
        return table


class DepthFrame(EventFrame[Depth]):
    """Order books: `levels` levels a side, and what they say.

    Columns: exchange_time, bid, bid_size, ask, ask_size (the best), mid, spread, pressure, and
    bid_depth and ask_depth, the sizes summed over 5 levels, whatever `levels` is, whose ratio
    pressure is. Then bid_2, bid_size_2, ... and ask_2, ask_size_2, ... by distance from the best;
    nan where a book has fewer levels. mid, spread and pressure have the same bits as
    `measures.mid`, `measures.spread` and `measures.pressure_ratio`.
    """

    def __init__(self, levels: int = 10, capacity: int = 10_000) -> None:
        if type(levels) is not int or levels < 1:
            raise SettingsError(f"levels is {levels!r}; give a whole number of at least 1")
        names = list(SUMMARY)
        for side in ("bid", "ask"):
            for level in range(2, levels + 1):
                names += [f"{side}_{level}", f"{side}_size_{level}"]
        super().__init__({"exchange_time": "time", **dict.fromkeys(names, "float")}, capacity)
        self.levels = levels

    def snapshot(self, last: int | None = None, levels: int | None = None) -> pd.DataFrame:
        """Return the books held, or the `last` ones, with `levels` levels a side.

        Without `levels` the columns are those of the best one; measures and backtests still find
        the others. Raises `SettingsError` for more than are kept.
        """
        columns = self.shown(levels)
        whole = AllLevels(self.columns, self._rows(last), self.index_name)
        if levels is None and self.levels > 1:
            return whole._replace(block=whole.block.copy()).best()
        return narrowed(whole(), columns)

    def shown(self, levels: int | None) -> list[str]:
        """Return the columns of a table with so many levels a side that are floats."""
        if levels is not None and (type(levels) is not int or not 1 <= levels <= self.levels):
            raise SettingsError(
                f"levels is {levels!r}; give a whole number from 1 to {self.levels}, which is how "
                "many levels of each side are kept: md.live(..., levels=20) keeps more"
            )
        return shown_columns(self.columns, levels or 1)

    def _write(self, rows: Sequence[Depth], into: Block) -> None:
        count = len(rows)
        into.received[:] = np.fromiter([book.received_ns for book in rows], np.int64, count)
        into.times[0] = np.fromiter([book.exchange_ns for book in rows], np.int64, count)
        bids, bid_total = self._side([book.bids for book in rows])
        asks, ask_total = self._side([book.asks for book in rows])
        out, wide = into.floats, 2 * (self.levels - 1)
        first = len(SUMMARY)
        out[first : first + wide] = bids[2 : 2 + wide]
        out[first + wide :] = asks[2 : 2 + wide]
        out[0:2] = bids[:2]
        out[2:4] = asks[:2]
        out[5], out[4] = differences_and_middles(asks[0], bids[0])
        with np.errstate(all="ignore"):
            np.divide(bid_total, ask_total, out=out[6])
        out[7], out[8] = bid_total, ask_total

    def _side(self, sides: list[tuple[Level, ...]]) -> tuple[Floats, Floats]:
        """Return prices and sizes, shape (2 x levels or more, books), and the sizes' sums."""
        books = len(sides)
        counts = np.fromiter(map(len, sides), np.int64, books)
        # Flattening in C and reading one long run of floats takes a third of the time that
        # np.array needs to find out the shape of nested tuples.
        flat = np.fromiter(
            chain.from_iterable(chain.from_iterable(sides)), np.float64, 2 * int(counts.sum())
        )
        longest = int(counts.max())
        deep = max(self.levels, PRESSURE_LEVELS)
        if longest >= deep and longest == counts.min():
            table = flat.reshape(books, 2 * longest).T
            summed = table[1 : 2 * PRESSURE_LEVELS : 2]
        else:
            table = np.full((2 * max(deep, longest), books), np.nan)
            book = np.repeat(np.arange(books), counts)
            level = np.arange(book.size) - np.repeat(np.cumsum(counts) - counts, counts)
            table[2 * level, book] = flat[0::2]
            table[2 * level + 1, book] = flat[1::2]
            summed = table[1 : 2 * PRESSURE_LEVELS : 2]
            summed = np.where(np.isnan(summed), 0.0, summed)
        # One level after the other, as the measure adds them: np.sum promises no order, and
        # another order rounds differently. A missing level adds 0, which changes no bit.
        total = np.zeros(books)
        with np.errstate(over="ignore"):
            for sizes in summed:
                total += sizes
        return table, total


class TradeFrame(EventFrame[Trade]):
    """Trades: price, size, side, id, exchange_time."""

    def __init__(self, capacity: int = 10_000) -> None:
        super().__init__(
            {
                "price": "float",
                "size": "float",
                "side": "object",
                "id": "object",
                "exchange_time": "time",
            },
            capacity,
        )

    def _write(self, rows: Sequence[Trade], into: Block) -> None:
        into.received[:] = [trade.received_ns for trade in rows]
        into.times[0] = [trade.exchange_ns for trade in rows]
        into.floats[0] = [trade.price for trade in rows]
        into.floats[1] = [trade.size for trade in rows]
        into.objects[0] = [trade.side for trade in rows]
        into.objects[1] = [trade.id for trade in rows]


class TickerFrame(EventFrame[Ticker]):
    """Tickers: last, bid, ask and the 24-hour figures (nan where absent), trade_session."""

    figures = (
        "last",
        "bid",
        "ask",
        "volume_24h",
        "high_24h",
        "low_24h",
        "change_24h",
        "change_percent_24h",
    )

    def __init__(self, capacity: int = 10_000) -> None:
        floats: dict[str, Column] = dict.fromkeys(self.figures, "float")
        super().__init__({**floats, "trade_session": "object", "exchange_time": "time"}, capacity)

    def _write(self, rows: Sequence[Ticker], into: Block) -> None:
        into.received[:] = [ticker.received_ns for ticker in rows]
        into.times[0] = [ticker.exchange_ns for ticker in rows]
        for line, name in zip(into.floats, self.figures, strict=True):
            line[:] = np.array([getattr(ticker, name) for ticker in rows], float)
        into.objects[0] = [ticker.trade_session for ticker in rows]


class BarFrame(EventFrame[Bar]):
    """Bars: open, high, low, close, volume, interval; the index is when each bar began.

    `partial` marks bars that may lack trades, see `Bar`.
    """

    index_name = "start"
    figures = ("open", "high", "low", "close", "volume")

    def __init__(self, capacity: int = 10_000) -> None:
        floats: dict[str, Column] = dict.fromkeys(self.figures, "float")
        super().__init__({**floats, "interval": "object"}, capacity)

    def _write(self, rows: Sequence[Bar], into: Block) -> None:
        into.received[:] = [bar.start_ns for bar in rows]
        for line, name in zip(into.floats, self.figures, strict=True):
            line[:] = [getattr(bar, name) for bar in rows]
        into.objects[0] = [bar.interval for bar in rows]
        into.flags[:] = [PARTIAL if bar.partial else 0 for bar in rows]

    def revise(self, bars: Sequence[Bar]) -> None:
        """Append bars that take the places of those that began at the same time."""
        self._read_kept()
        for number in range(self._taken, self._taken + len(bars)):
            self._flags[number] = self._flags.get(number, 0) | REVISED
        self.extend(bars)

    def snapshot(self, last: int | None = None) -> pd.DataFrame:
        """Return the bars held, or the `last` ones, as a DataFrame of its own.

        Where REST gave the whole of a partial bar, it stands in that one's place.
        """
        block = self._rows(None if last is None else 2 * last + _MORE)
        flags = flag_columns(block.flags, None, partial=True)
        frame = to_dataframe(self.columns, block, self.index_name, behind=flags)
        frame = made_whole(frame, block.flags)
        return frame if last is None else frame.tail(last)
