"""`load_books`: a recording's books in memory, for many backtests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from mdkit.backtesting.books.strategy.tape import BookTape
from mdkit.errors import SettingsError
from mdkit.frames.held import held_events
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.seen import recording_of, steps_of


def load_books(data: Any) -> BookTape:
    """Read the books of a recording into memory, in columns, for `backtest` to run over.

    What comes back is given to `backtest`, `sweep` or `walk_forward` in place of the recording, by
    strategies on depth alone: nothing is read or decoded again, and a strategy that compiles runs
    over the columns at several million books a second. Results have the same bits.

    Args:
        data: a recording: its path, a pattern, a list of those (merged by time) or what
            `read_recording` returns, taken as the strategies of its session saw it; any iterable
            of events in order of time; or a session, or its `frame("depth")`.

    Raises `RecordingError` when there is no such recording, and `SettingsError` where there is no
    book, or one whose prices and sizes are no floats, and for what is no events.

    Example:
        >>> books = md.load_books(md.sample())
        >>> books
        <BookTape of 1,449 books, 488 trades and 0 gaps of AAPL.US, MSFT.US>
        >>> for fee in (0.0, 0.0005):
        ...     result = md.backtest(md.strategies.pressure(enter=2.0), books, fee=fee)
    """
    data = held_events(data, ("depth",))
    recording = recording_of(data)
    events = isinstance(data, Iterable) and not isinstance(data, bytes | pd.DataFrame | Mapping)
    if recording is None and not events:
        raise SettingsError(
            f"there are no books in a {type(data).__name__}: give events of books, or a recording "
            "of them by its path"
        )
    tape = tape_of(data if recording is None else recording)
    if not tape.books:
        raise SettingsError("there is no book to load among the events")
    if not tape.plain:
        raise SettingsError(
            "a book has prices or sizes that are no floats, such as whole numbers: columns would "
            "not hold them as they are. Make them floats, or give backtest the events themselves"
        )
    return tape


def tape_of(events: Any, recorded: bool = False) -> BookTape:
    """Return events, or those of a recording, as a tape; a tape as it is."""
    if isinstance(events, BookTape):
        return events
    if isinstance(events, Recording):
        return BookTape(steps_of(events, None), recorded=True)
    return BookTape(events, recorded=recorded)
