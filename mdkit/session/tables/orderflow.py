"""The tables of order flow that a session gives: what its canvas draws, as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd


class OrderFlowTables(ABC):
    """Tables over prices and time, made of a session's frames of trades and books."""

    @abstractmethod
    def frame(self, channel: str, symbol: str | None = None, last: int | None = None) -> Any:
        """Return the events of a channel as a DataFrame."""

    def heatmap(
        self,
        symbol: str,
        seconds: float | None = 60.0,
        price_bins: int = 100,
        *,
        every: str | timedelta | None = None,
        side: Literal["bid", "ask"] | None = None,
    ) -> pd.DataFrame:
        """Return the size that rested at each price over the last `seconds`: times by prices.

        See `md.book_heatmap`, which makes the same of any table of books.
        """
        from mdkit.orderflow.heatmap import book_heatmap

        books = self.frame("depth", symbol)
        return book_heatmap(books, seconds, price_bins, every=every, side=side)

    def footprint(
        self, interval: str | timedelta, symbol: str, *, price_step: float | None = None
    ) -> pd.DataFrame:
        """Return the volume traded at each price of each bar, by side; see `md.footprint`."""
        from mdkit.orderflow.footprint import footprint

        return footprint(self.frame("trade", symbol), interval, price_step=price_step)

    def cvd(
        self, symbol: str, every: str | timedelta | None = None, *, across_gaps: bool = False
    ) -> pd.DataFrame:
        """Return cumulative volume delta, by trade or by stretch of time; see `md.cvd`."""
        from mdkit.orderflow.cvd import cvd

        return cvd(self.frame("trade", symbol), every, across_gaps=across_gaps)

    def volume_profile(self, symbol: str, price_bins: int | None = None) -> pd.DataFrame:
        """Return the volume traded at each price, by side; see `md.volume_profile`."""
        from mdkit.orderflow.profile import volume_profile

        return volume_profile(self.frame("trade", symbol), price_bins)
