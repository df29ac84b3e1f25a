"""A backtest on the live canvas: price with fills, equity, drawdown and exposure, zoomed as one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.data.panel import Panel
from mdkit.canvas.rings import Rows, in_ms
from mdkit.canvas.widget import CanvasWidget, widget_view
from mdkit.chart_style import png
from mdkit.errors import SettingsError
from mdkit.suggestions import instead

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 800
"""Stretches of the picture of which the extremes are sent; a page has few more pixels."""
_FILLS = 2_000
_TRADES = 500


class ShownResult(Protocol):
    """What a result has that its canvas shows."""

    @property
    def panel(self) -> Panel:
        """The bars."""

    @property
    def equity(self) -> pd.DataFrame:
        """Equity, exposure and drawdown by bar."""

    @property
    def fills(self) -> pd.DataFrame:
        """Every fill."""

    @property
    def trades(self) -> pd.DataFrame:
        """The trades."""

    def plot(self) -> Figure:
        """Return a figure."""


class ResultCanvas:
    """A backtest that can be hovered, zoomed and panned; made by `Result.show`.

    The page gets the extremes of some hundred stretches of what it looks at, and asks again when
    that changes; so millions of bars cost it no more than a thousand.
    """

    def __init__(self, result: ShownResult, symbol: str | None = None) -> None:
        self.result = result
        symbols = list(result.panel.symbols)
        self.symbol: str = symbols[0] if symbol is None else symbol
        if self.symbol not in symbols:
            raise SettingsError(
                f"no symbol {self.symbol!r} in this backtest: {instead(self.symbol, symbols)}."
            )
        self._times = in_ms(result.panel.index.as_unit("ns").asi8)
        self._account = result.equity[["equity", "drawdown", "exposure"]].to_numpy(float).T
        self._fills = result.fills
        self.widget = CanvasWidget(self._answer)

    def _answer(self, content: Mapping[str, Any]) -> None:
        """Answer the page."""
        kind = content.get("kind")
        if kind == "ask" and content.get("symbol") in self.result.panel.symbols:
            self.symbol = content["symbol"]
            self.widget.anew = True
        elif kind not in ("hello", "hole", "range"):
            return
        begin, end = content.get("from"), content.get("to")
        if not isinstance(begin, int | float) or not isinstance(end, int | float):
            begin, end = self._times[0], self._times[-1]
        parts = self.parts(float(begin), float(end))
        self.widget.send_picture(lambda anew: (self._head() if anew else {}, parts))

    def parts(self, begin: float, end: float) -> dict[str, Rows]:
        """Return what a page that looks at a stretch (ms since the epoch) shows of it.

        `result`: time, close, equity, drawdown, exposure; `fills`: time, price, units.
        """
        first = max(0, int(np.searchsorted(self._times, begin)) - 1)
        last = min(len(self._times), int(np.searchsorted(self._times, end, "right")) + 1)
        place = self.result.panel.symbols.index(self.symbol)
        series = np.vstack((self.result.panel.closes[place], self._account))[:, first:last]
        kept = extremes(series[:2], _BINS)
        rows = np.column_stack((self._times[first:last][kept], series[:, kept].T))
        return {"result": rows, "fills": self._fill_rows(begin, end)}

    def _fill_rows(self, begin: float, end: float) -> Rows:
        ours = self._fills[self._fills["symbol"] == self.symbol]
        times = _stamps(ours["time"])
        inside = np.flatnonzero((times >= begin) & (times <= end))
        inside = inside[:: max(1, -(-inside.size // _FILLS))]
        columns = (times[inside], *(ours[c].to_numpy(float)[inside] for c in ("price", "units")))
        return np.column_stack(columns)

    def _head(self) -> dict[str, Any]:
        begin, end = float(self._times[0]), float(self._times[-1])
        trades = self.result.trades
        ours = trades[trades["symbol"] == self.symbol]
        entries, exits = (_stamps(ours[name]) for name in ("entry_time", "exit_time"))
        columns = zip(
            entries.tolist(), exits.tolist(), ours["side"].astype(str), ours["return"].tolist(),
            strict=True,
        )  # fmt: skip
        listed = [
            {"entry": entry, "exit": leave if leave > 0 else end, "side": side, "gain": gain}
            for entry, leave, side, gain in columns
        ][:_TRADES]
        return {
            "mode": "result",
            "symbol": self.symbol,
            "symbols": list(self.result.panel.symbols),
            "now": end,
            "seen": end,
            "over": True,
            "whole": max(end - begin, 1.0),
            "bar_ms": float(np.median(np.diff(self._times))) if len(self._times) > 1 else 1.0,
            "state": "backtest",
            "sentence": str(self.result).splitlines()[0],
            "trades": listed,
            "trade_count": len(ours),
        }

    def close(self) -> None:
        """Close the widget; the picture stays in saved notebooks."""
        self.widget.close()

    def __repr__(self) -> str:
        return f"<Canvas of {str(self.result).splitlines()[0]}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        image = base64.b64encode(png(self.result.plot())).decode()
        return {"text/plain": repr(self), "image/png": image, **widget_view(self.widget)}


def _stamps(times: pd.Series[Any]) -> Rows:
    return in_ms(pd.DatetimeIndex(times).as_unit("ns").asi8)


def extremes(series: Rows, bins: int) -> npt.NDArray[np.intp]:
    """Return where each series has its least and largest value in each of `bins` stretches.

    Shape of `series`: (series, rows); nan counts as neither. All rows where that would be as many.
    The first and the last row are always among them.
    """
    count = series.shape[1]
    if count <= 2 * bins * len(series):
        return np.arange(count)
    edges = np.linspace(0, count, bins + 1).astype(np.intp)
    kept = {0, count - 1}
    for line in series:
        for first, last in pairwise(edges):
            part = line[first:last]
            if np.isfinite(part).any():
                kept |= {int(first + np.nanargmin(part)), int(first + np.nanargmax(part))}
    return np.array(sorted(kept))
