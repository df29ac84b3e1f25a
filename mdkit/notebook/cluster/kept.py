"""What was fetched of a shard's frames, for when it cannot be asked any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdkit.notebook.cluster.merging import by_time

if TYPE_CHECKING:
    import pandas as pd

_MOST_PIECES = 64


class Kept:
    """The frames that were fetched, put together again when somebody asks.

    Every fetch brings the newest rows there were, so a later piece goes on where it begins.
    """

    def __init__(self) -> None:
        self._pieces: dict[str, list[tuple[str | None, pd.DataFrame]]] = {}

    def add(self, channel: str, symbol: str | None, table: pd.DataFrame) -> None:
        """Take in the frame of a symbol, or of all with a column that tells it."""
        if not len(table):
            return
        pieces = [
            (name, old)
            for name, old in self._pieces.get(channel, [])
            if name != symbol or old.index[0] < table.index[0]
        ]
        self._pieces[channel] = [*pieces, (symbol, table)][-_MOST_PIECES:]

    def frame(self, channel: str, symbol: str | None) -> pd.DataFrame | None:
        """Return what is kept of a symbol, or of all; None if that is nothing."""
        pieces = self._pieces.get(channel, [])
        if symbol is None:
            if len(pieces) == 1 and pieces[0][0] is None:
                return pieces[0][1]
            names: dict[str, None] = {}
            for name, table in pieces:
                names.update(dict.fromkeys([name] if name is not None else table["symbol"]))
            parts = []
            for name in names:
                part = self.frame(channel, name)
                assert part is not None
                parts.append(part.copy(deep=False))
                parts[-1].insert(0, "symbol", name)
            return by_time(parts) if parts else None
        own = [
            table if name is not None else table[table["symbol"] == symbol].drop(columns="symbol")
            for name, table in pieces
            if name in (None, symbol)
        ]
        own = [table for table in own if len(table)]
        cut = [
            table[table.index < min(later.index[0] for later in own[number + 1 :])]
            for number, table in enumerate(own[:-1])
        ]
        return by_time([*cut, own[-1]]) if own else None
