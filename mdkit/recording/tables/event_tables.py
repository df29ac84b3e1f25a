"""Events that are no recording of mdkit's own, with the tables that a recording has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mdkit.errors import SettingsError
from mdkit.events import Gap
from mdkit.frames import Frames
from mdkit.frames.gaps import gap_table
from mdkit.frames.live import CHUNK
from mdkit.suggestions import instead

if TYPE_CHECKING:
    import pandas as pd

_EVERYTHING = 1 << 60
_LEVELS = 10


class EventTables(ABC):
    """An iterable of events in order of receipt, each gap before what follows it.

    May be iterated again and again, and given to `md.study`, `md.to_parquet` and, as a list of one
    symbol's events, to `md.backtest`.

    Attributes:
        symbols: those in it.
    """

    symbols: tuple[str, ...]

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield the events."""

    def frame(
        self, channel: str, symbol: str | None = None, *, levels: int | None = None
    ) -> pd.DataFrame:
        """Return the events of a channel as `session.frame` does.

        Raises `SettingsError` when there is no such channel or symbol.
        """
        frames = Frames(_EVERYTHING, _LEVELS)
        frames.table(channel, symbol or "")  # says so where there is no such channel
        if symbol is not None and symbol not in self.symbols:
            raise SettingsError(f"there is no {symbol!r} here: {instead(symbol, self.symbols)}")
        waiting: dict[str, list[Any]] = {}
        for event in self:
            if symbol not in (None, event.symbol):
                continue
            own = waiting.setdefault(event.symbol, [])
            if isinstance(event, Gap):
                if event.channel == channel and event.lost != 0:
                    table = frames.table(channel, event.symbol)
                    table.extend(own)
                    own.clear()
                    table.break_off()
            elif event.kind == channel:
                own.append(event)
                if len(own) >= CHUNK:
                    frames.table(channel, event.symbol).extend(own)
                    own.clear()
        for name, own in waiting.items():
            frames.table(channel, name).extend(own)
        more = {"levels": levels} if channel == "depth" and levels is not None else {}
        return frames.frame(channel, symbol, **more)

    def gaps(self) -> pd.DataFrame:
        """Return one row a gap: symbol, channel, reason, from, to (UTC), its seconds, lost."""
        return gap_table(event for event in self if isinstance(event, Gap))
