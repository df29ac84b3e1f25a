"""`read_recording`: the events of recordings, and DataFrames of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mdkit.books.levels import narrowed, shown_columns
from mdkit.channels.reader import ChannelReader, ChannelReaders
from mdkit.errors import InvalidMessage, RecordingWarning, SettingsError
from mdkit.events import Event, Gap, MarketEvent
from mdkit.frames import Frames
from mdkit.frames.events import DepthFrame
from mdkit.frames.gaps import gap_table
from mdkit.frames.live import CHUNK
from mdkit.frames.sampling import at_each_end, checked_step
from mdkit.frames.together import symbols_column
from mdkit.recording.format import Subscribed
from mdkit.recording.reading.columns import Columns, cached_columns
from mdkit.recording.reading.files import Paths, RecordingFiles
from mdkit.suggestions import instead
from mdkit.venues.reading.messages import MAX_MESSAGE_BYTES, stub
from mdkit.venues.routes import ANSWER, LIVE, SEVERAL, Route, Router

if TYPE_CHECKING:
    import pandas as pd

_EVERYTHING = 1 << 60
_LEVELS = 10


class Recording:
    """Recordings as an iterable of events, in order of receipt; see `read_recording`.

    Attributes:
        paths: the files.
        symbols: what the recorded sessions were subscribed to; empty where no file says.
        invalid: messages that the last full reading could not use; a session counts them too.
    """

    def __init__(self, paths: Paths, *, as_seen: bool = False) -> None:
        self._recordings = RecordingFiles(paths)
        self.as_seen = as_seen
        self.paths = tuple(file.path for file in self._recordings.files)
        self.symbols = self._recordings.symbols
        self.invalid = 0

    def __repr__(self) -> str:
        seen = ", as seen" if self.as_seen else ""
        more = f" and {len(self.paths) - 1} more files" if len(self.paths) > 1 else ""
        return f"<Recording {self.paths[0]}{more}{seen}>"

    def __iter__(self) -> Iterator[MarketEvent | Gap]:
        router = self.router()
        events_of = _Events(router).of
        invalid = 0
        for item, received_ns, route in self.items(router):
            if route is None:
                yield item
                continue
            try:
                yield from events_of(route, item, received_ns)
            except InvalidMessage:
                invalid += 1
        self._finish(invalid)

    def frame(
        self,
        channel: str,
        symbol: str | None = None,
        *,
        levels: int | None = None,
        every: str | timedelta | None = None,
    ) -> pd.DataFrame:
        """Return all events of a channel as `session.frame` does: a DataFrame by time of receipt.

        Args:
            channel: "depth", "trade", "ticker" or "bar".
            symbol: one symbol, or None for all, with a first column `symbol`.
            levels: of the order book, a side; only the best one without.
            every: for depth and tickers, a time such as "1s": what stood at the end of each
                second, as in `session.frame`.

        The column `gap` marks the first row after a gap. Raises `SettingsError` when there is no
        such channel, or nothing of such a symbol.
        """
        import pandas as pd

        # One table for all symbols: merging many afterwards would cost as much as decoding.
        kept = _LEVELS if levels is None else levels
        table = Frames(_EVERYTHING, kept).table(channel, symbol or "")
        step = None if every is None else checked_step(channel, every)
        router = self.router()
        events_of = _Events(router).of
        events: list[Event] = []
        names: list[str] = []
        broken: set[str] = set()
        invalid = 0
        came, others = False, set(self.symbols)
        for item, received_ns, route in self.items(router):
            name = item.symbol if route is None else route.symbol
            if symbol is not None and name != symbol:
                others.add(name)
                continue
            came = True
            if route is None:
                if item.channel == channel:
                    broken.add(name)
                continue
            if route.channel != channel:
                continue
            try:
                found = events_of(route, item, received_ns)
            except InvalidMessage:
                invalid += 1
                continue
            names += [name] * len(found)
            if name in broken and found:
                broken.discard(name)
                table.extend(events)
                events.clear()
                table.break_off()
            if route.origin != LIVE:
                table.extend(events)
                events.clear()
                table.fill_in(found)
                continue
            events += found
            if len(events) >= CHUNK:
                table.extend(events)
                events.clear()
        table.extend(events)
        self._finish(invalid)
        # One that was subscribed to later, and is silent, only a marker names.
        is_known = came or symbol in others or (symbol is not None and router.expects(symbol))
        if symbol is not None and not is_known:
            known = instead(symbol, sorted(filter(None, others)))
            raise SettingsError(f"there is no {symbol!r} in the recording: {known}")
        frame = table.snapshot(None, *((kept,) if isinstance(table, DepthFrame) else ()))
        if symbol is None:
            numbers, symbols = pd.factorize(np.array(names, object))
            frame.insert(0, "symbol", symbols_column(symbols.tolist(), numbers))
        if not frame.index.is_monotonic_increasing:
            frame = frame.sort_index(kind="stable")
        frame = frame if step is None else at_each_end(frame, step)
        if symbol is not None:
            frame.attrs["symbol"] = symbol
        return (
            narrowed(frame, shown_columns(frame.columns, levels or 1))
            if channel == "depth"
            else frame
        )

    def gaps(self) -> pd.DataFrame:
        """Return one row a gap: symbol, channel, reason, from, to (UTC), its seconds, lost."""
        return gap_table(event for event in self if isinstance(event, Gap))

    def columns(
        self, channel: str, symbol: str, *, levels: int = _LEVELS, cache: bool = True
    ) -> Columns:
        """Return the columns of `frame(channel, symbol)` as NumPy arrays, by name.

        `received` and `exchange_time` are datetime64[ns] in UTC. The first time they are written
        into the folder `<recording>.columns` beside the first file, from where they are read
        until the recording changes. It can be removed at any time, and is not made with
        `cache=False` or where it cannot be. Raises as `frame` does, and `SettingsError` for more
        `levels` than 10.
        """
        if type(levels) is not int or not 1 <= levels <= _LEVELS:
            raise SettingsError(f"levels is {levels!r}; give a whole number from 1 to {_LEVELS}")
        what = f"{channel} {symbol} {self.as_seen} {self._recordings.allow_nonpositive}"

        def read() -> pd.DataFrame:
            return self.frame(channel, symbol, levels=_LEVELS if channel == "depth" else None)

        return cached_columns(self.paths, what, read, cache=cache).narrowed(levels)

    def router(self) -> Router[ChannelReader]:
        """Return what tells the recorded session's messages apart."""
        return self._recordings.codec.router(
            self.symbols, allow_nonpositive=self._recordings.allow_nonpositive
        )

    def items(
        self, router: Router[ChannelReader]
    ) -> Iterator[tuple[Any, int, Route[ChannelReader] | None]]:
        """Yield `(raw, received_ns, route)` of messages, and `(gap, 0, None)`."""
        route_of = router.route
        for run in self._recordings.play(as_seen=self.as_seen):
            if isinstance(run, list):
                for raw, received_ns in run:
                    route = route_of(raw)
                    if route is SEVERAL:
                        for route, part in router.split(raw):
                            yield part, received_ns, route
                    elif route.channel != ANSWER:
                        if len(raw) > MAX_MESSAGE_BYTES:
                            yield stub(raw), received_ns, route
                        else:
                            yield raw, received_ns, route
            elif isinstance(run, Gap):
                yield run, 0, None
            elif isinstance(run, Subscribed):
                router.expect(run.symbols)

    def warn(self) -> None:
        """Warn of what is missing or damaged, as far as it was read: for whoever reads `items`."""
        for fault in self._recordings.faults:
            warnings.warn(RecordingWarning(fault), stacklevel=3)

    def _finish(self, invalid: int) -> None:
        self.invalid = invalid
        self.warn()


class _Events:
    """Returns the events of messages as a session has them: none by the socket and by REST."""

    def __init__(self, router: Router[ChannelReader]) -> None:
        self._readers = ChannelReaders(router)

    def of(
        self, route: Route[ChannelReader], raw: bytes, received_ns: int
    ) -> Sequence[MarketEvent]:
        """Return the events of a message; raise `InvalidMessage` if it is unusable."""
        reader = route.place
        if reader is None:
            reader = self._readers.reader(route)
            if route.symbol:
                route.place = reader
        return reader.events(raw, received_ns)


def read_recording(path: Paths, *, as_seen: bool = False) -> Recording:
    """Return the events of recordings: an iterable, which may be iterated again and again.

    Args:
        path: a file, a pattern such as "data/*.jsonl.gz", or a list of them. The first file of a
            rotated recording stands for all its parts; several recordings are merged by time.
        as_seen: leave out what the strategies of the recorded session did not see, because it
            was dropped or conflated, and yield a `Gap` for each run of drops.

    Where messages had come that are not in the files, and between recordings that follow each
    other, there is a `Gap` in either case, its reason "not recorded".

    Messages that cannot be used are counted in `invalid`. What is missing or damaged is told by
    a `RecordingWarning` once everything has been read. Raises `RecordingError` when there is no
    such file or it is no recording.

    Example:
        >>> recording = md.read_recording(md.sample())
        >>> next(iter(recording)).kind  # they are Depth, Trade, Ticker, Bar, and Gap
        'depth'
        >>> recording.frame("trade", "AAPL.US")[["price", "side"]].tail(1).values.tolist()
        [[158.61, 'buy']]
    """
    return Recording(path, as_seen=as_seen)
