"""Live bars: trades or tickers folded into bars, one event at a time. Pure.

The rules, which depend on the events alone and so are the same live, replayed and in any
batches:

- A bar's period is told by the exchange's clock (`exchange_ns`), never by this machine's.
- A bar is complete when an event of a later period arrives, or `advance` says that the
  exchange's clock has gone past its end.
- The first bar is `partial`: nobody knows what it held before the first event. So is every bar
  around an `interrupt`, and one that `flush` ends early.
- A period without a trade is a flat bar at the last close with volume 0.
- Within a bar, open and close are the prices of the earliest and the latest event by exchange
  time; of several at the same time, open is the first and close the last to arrive.
- An event of a period whose bar is complete is late: counted, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mdkit.errors import SettingsError
from mdkit.events import Bar, Ticker, Trade
from mdkit.history.intervals import FIXED_MS, check_interval, period_end, period_start

if TYPE_CHECKING:
    import pandas as pd

_MS = 1_000_000
_FAR_AHEAD_NS = 3_600_000_000_000
MAX_EMPTY = 10_000
"""The most flat bars in a row; a longer silence is left as a gap."""


class BarBuilder:
    """Folds the trades, or else the tickers, of one symbol into bars of one interval.

    A ticker gives a price and no volume. Feed one kind or the other: the same deal reported
    twice would count twice.

    Attributes:
        late: events of periods that were already complete; they change nothing.
        ignored: events without a time, or more than an hour ahead of `received_ns`.
        empty: flat bars given for periods without a trade.
        skipped: such periods left out, in silences of more than `MAX_EMPTY`.
    """

    __slots__ = (
        "_close",
        "_close_ns",
        "_end_ns",
        "_high",
        "_low",
        "_open",
        "_open_ns",
        "_partial",
        "_start_ns",
        "_stretch_partial",
        "_traded",
        "_volume",
        "empty",
        "ignored",
        "interval",
        "late",
        "skipped",
        "symbol",
    )

    def __init__(self, symbol: str, interval: str) -> None:
        self.symbol = symbol
        self.interval = check_interval(interval)
        self.late = self.ignored = self.empty = self.skipped = 0
        self._start_ns = self._end_ns = -1
        self._open = self._high = self._low = self._close = self._volume = 0.0
        self._open_ns = self._close_ns = 0
        self._traded = False
        self._partial = False
        self._stretch_partial = False

    def update(self, event: Trade | Ticker) -> list[Bar]:
        """Fold one event in and return the bars it completes, oldest first; mostly none.

        Raises `SettingsError` for an event of another symbol.
        """
        if event.symbol != self.symbol:
            raise SettingsError(f"a {event.kind} of {event.symbol} is not of {self.symbol}")
        if type(event) is Trade:
            price, size = event.price, event.size
        elif type(event) is Ticker:
            price, size = event.last, 0.0
        else:
            raise SettingsError(f"bars are made of trades or tickers, not of a {event.kind}")
        now = event.exchange_ns
        if now <= 0 or (event.received_ns > 0 and now - event.received_ns > _FAR_AHEAD_NS):
            self.ignored += 1
            return []
        if now < self._start_ns:
            self.late += 1
            return []
        done: list[Bar] = []
        if now >= self._end_ns:
            first = self._end_ns < 0
            done = [] if first else self._complete_until(now)
            if first:
                self._begin(now)
                self._partial = True
        self._fold(price, size, now)
        self._stretch_partial = False
        return done

    def advance(self, exchange_ns: int) -> list[Bar]:
        """Return the bars that are complete because the exchange's clock shows this time.

        For a symbol whose trades are rare but whose depth goes on: its time tells that a minute
        has passed. Before the first event there is no bar to complete.
        """
        if self._end_ns < 0 or exchange_ns < self._end_ns:
            return []
        return self._complete_until(exchange_ns)

    def interrupt(self) -> None:
        """Say that the feed was broken: bars until the next event's, that included, are partial."""
        if self._end_ns >= 0:
            self._partial = self._stretch_partial = True

    def flush(self) -> list[Bar]:
        """Return the forming bar as a partial one, if there is one; the next event begins anew."""
        if self._end_ns < 0:
            return []
        self._partial = True
        done = [self._bar()]
        # What is left of its period is late, as for any bar that was given.
        self._start_ns, self._end_ns = self._end_ns, -1
        return done

    def __repr__(self) -> str:
        return (
            f"<BarBuilder {self.symbol} {self.interval}: {self.late:,} late, "
            f"{self.ignored:,} ignored, {self.empty:,} empty, {self.skipped:,} skipped>"
        )

    def _complete_until(self, now: int) -> list[Bar]:
        """Return the forming bar and flat ones up to the period of `now`, which then forms."""
        done = [self._bar()]
        start = self._end_ns
        self._begin(now)
        period, empty = start, 0
        while period < self._start_ns and empty <= MAX_EMPTY:
            end = _end(self.interval, period)
            done.append(self._flat(period))
            period, empty = end, empty + 1
        if empty > MAX_EMPTY:
            del done[1:]
            self.skipped += self._count(start)
            self._partial = True
        else:
            self.empty += empty
        return done

    def _begin(self, now: int) -> None:
        """Begin the period of `now`, flat at the last close until an event comes."""
        self._start_ns = period_start(self.interval, now // _MS) * _MS
        self._end_ns = _end(self.interval, self._start_ns)
        self._open = self._high = self._low = self._close
        self._volume = 0.0
        self._traded = False
        self._partial = self._stretch_partial

    def _fold(self, price: float, size: float, now: int) -> None:
        if not self._traded:
            self._traded = True
            self._open = self._high = self._low = self._close = price
            self._open_ns = self._close_ns = now
        else:
            if price > self._high:
                self._high = price
            elif price < self._low:
                self._low = price
            if now >= self._close_ns:
                self._close, self._close_ns = price, now
            elif now < self._open_ns:
                self._open, self._open_ns = price, now
        self._volume += size

    def _bar(self) -> Bar:
        if not self._traded:
            self.empty += 1
        return Bar(
            self.symbol,
            self._open,
            self._high,
            self._low,
            self._close,
            self._volume,
            self._start_ns,
            self.interval,
            self._partial,
        )

    def _flat(self, start: int) -> Bar:
        close = self._close
        return Bar(
            self.symbol,
            close,
            close,
            close,
            close,
            0.0,
            start,
            self.interval,
            self._stretch_partial,
        )

    def _count(self, start: int) -> int:
        """Return how many periods lie between `start` and the forming one."""
        size = FIXED_MS.get(self.interval)
        if size is not None:
            return (self._start_ns - start) // (size * _MS)
        count = 0
        while start < self._start_ns:
            start, count = _end(self.interval, start), count + 1
        return count


def _end(interval: str, start_ns: int) -> int:
    return period_end(interval, start_ns // _MS) * _MS


def bar_events(
    bars: pd.DataFrame, symbol: str | None = None, interval: str | None = None
) -> Iterator[Bar]:
    """Yield the rows of one symbol's bars as events, oldest first: what warms a strategy.

    `symbol` and `interval` are told from the frame unless given. Raises `SettingsError` for
    what are no bars.
    """
    import pandas as pd

    from mdkit.history.files.zones import wall_clock
    from mdkit.history.intervals import infer_interval
    from mdkit.history.reshape import by_symbol, starts_of

    frames = by_symbol(bars)
    if symbol is not None and frames[0][0] is not None:
        frames = [(name, frame) for name, frame in frames if name == symbol]
    if len(frames) != 1:
        raise SettingsError(f"The bars hold {len(frames)} symbols; name one that they hold.")
    name, frame = frames[0]
    starts = starts_of(frame)
    symbol = symbol or name or bars.attrs.get("symbol")
    if symbol is None:
        raise SettingsError("The bars do not say of which symbol they are: pass symbol=.")
    interval = (
        interval
        or bars.attrs.get("interval")
        or infer_interval(wall_clock(pd.DatetimeIndex(frame.index)))
    )
    columns = [frame[column].tolist() for column in ("open", "high", "low", "close", "volume")]
    rows = zip(*columns, starts.tolist(), strict=True)
    for open_, high, low, close, volume, start in rows:
        yield Bar(symbol, open_, high, low, close, volume, start * _MS, interval)
