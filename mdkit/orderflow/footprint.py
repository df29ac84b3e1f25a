"""Footprint bars: the volume at each price of each bar, by who traded aggressively."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mdkit.errors import SettingsError
from mdkit.orderflow.columns import BUY, NEUTRAL, SELL, Trades, checked_time, trades_of, utc

if TYPE_CHECKING:
    import pandas as pd

IMBALANCE_RATIO = 3.0
"""How many times the volume diagonally opposite makes an imbalance: the usual 300 %."""

Cell = list[float]
"""Volume sold, bought, and of unknown side at one price of one bar."""


@dataclass(slots=True)
class FootprintBar:
    """One bar: its four prices, and a cell for each price that was traded."""

    start_ns: int
    open: float
    high: float
    low: float
    close: float
    partial: bool = False
    """Whether it may lack trades: the table begins, breaks off or ends within it."""
    cells: dict[float, Cell] = field(default_factory=dict)

    @property
    def volume(self) -> float:
        """All that was traded."""
        return float(sum(sum(cell) for cell in self.cells.values()))

    @property
    def delta(self) -> float:
        """Bought minus sold."""
        return float(sum(bought - sold for sold, bought, _ in self.cells.values()))

    @property
    def point_of_control(self) -> float:
        """The price with the most volume; the lowest of several."""
        return max(sorted(self.cells), key=lambda price: sum(self.cells[price]))


class FootprintBuilder:
    """Folds trades into footprint bars as they come: one call for all of them or many for few.

    Args:
        step_ns: how long a bar is; bars begin at whole multiples since the epoch.
        price_step: the height of a cell; None for a cell at every price traded.

    Attributes:
        bars: by where they begin, oldest first.
    """

    def __init__(self, step_ns: int, price_step: float | None = None) -> None:
        self.step_ns = step_ns
        self.price_step = price_step
        self.bars: dict[int, FootprintBar] = {}
        self._last: FootprintBar | None = None

    def add(self, trades: Trades) -> set[int]:
        """Fold in trades that follow those before; return where the bars begin that changed."""
        changed: set[int] = set()
        bar = self._last
        starts = trades.received // self.step_ns * self.step_ns
        cells = price_cells(trades.price, self.price_step)
        lines = (part.tolist() for part in (starts, trades.price, cells, trades.size, trades.side))
        for (start, price, cell, size, side), gap in zip(
            zip(*lines, strict=True), trades.gap.tolist(), strict=True
        ):
            if bar is None or bar.start_ns != start or gap:
                if gap and bar is not None:
                    bar.partial = True
                    changed.add(bar.start_ns)
                known = self.bars.get(start)
                if known is None:
                    known = FootprintBar(start, price, price, price, price, partial=bar is None)
                    self.bars[start] = known
                known.partial |= gap
                bar = known
                changed.add(start)
            bar.high = max(bar.high, price)
            bar.low = min(bar.low, price)
            bar.close = price
            volume = bar.cells.get(cell)
            if volume is None:
                volume = bar.cells[cell] = [0.0, 0.0, 0.0]
            volume[_PLACE[side]] += size
        if bar is not None and trades.received.size:
            changed.add(bar.start_ns)
        self._last = bar
        return changed


_PLACE = {SELL: 0, BUY: 1, NEUTRAL: 2}


def price_cells(prices: Any, step: float | None) -> Any:
    """Return the lower edge of the cell that each price is in; the prices where there is no step.

    Quotients are rounded at nine decimals, since 0.3 / 0.1 is 2.9999999999999996.
    """
    if step is None:
        return prices
    edges = np.floor(np.round(prices / step, 9)) * step
    return np.round(edges, 12)


def checked_price_step(step: Any) -> float | None:
    """Return a price step, or None; raise `SettingsError` unless it is a finite number above 0."""
    if step is None:
        return None
    if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 < step < float("inf"):
        raise SettingsError(f"price_step is {step!r}; give a price difference above 0, or None")
    return float(step)


def footprint(
    trades: pd.DataFrame, interval: Any = "1m", *, price_step: float | None = None
) -> pd.DataFrame:
    """Return the volume traded at each price of each bar, by side.

    Args:
        trades: of one symbol, as `session.frame("trade", symbol)` returns them.
        interval: how long a bar is, up to a day; bars begin at whole multiples in UTC, by the time
            of receipt.
        price_step: the height of a cell, which is named by its lower edge; None for every price.

    The index is `time`, where the bar begins, and `price`, ascending. Columns: `sell`, `buy` and
    `neutral` (sizes, by the aggressor's side), `volume`, `delta` (buy - sell), `imbalance` ("buy"
    where at least three times as much was bought as was sold a step below, "sell" where at least
    three times as much was sold as was bought a step above; "" also where nothing was traded
    there), `poc` (the bar's point of control: the price with the most volume), and `partial`, for
    bars that may lack trades: where the table begins, breaks off (`gap`) or ends. Without a
    `price_step` a step is the smallest difference between two prices of the table.

    Raises `SettingsError` for a table of something else or of several symbols, an interval or a
    step that is none.

    Example:
        >>> trades = md.read_recording(md.sample()).frame("trade", "AAPL.US")
        >>> md.footprint(trades, "5s")["volume"].groupby("time").sum().tolist()
        [6734.0, 7640.0, 10770.0, 1505.0]
    """
    import pandas as pd

    from mdkit.frames.display import Table

    step_ns = checked_time("interval", interval)
    builder = FootprintBuilder(step_ns, checked_price_step(price_step))
    builder.add(trades_of(trades))
    bars = list(builder.bars.values())
    if bars:
        bars[-1].partial = True
    tick = builder.price_step or smallest_step(p for bar in bars for p in bar.cells)
    rows = [row for bar in bars for row in bar_rows(bar, tick)]
    columns = list(zip(*rows, strict=True)) or [()] * 10
    times = utc(np.array(columns[0], np.int64), "time")
    index = pd.MultiIndex.from_arrays([times, pd.Index(columns[1], dtype=float, name="price")])
    names = ("sell", "buy", "neutral", "volume", "delta")
    data: dict[str, Any] = {
        name: np.array(column, float) for name, column in zip(names, columns[2:7], strict=True)
    }
    data["imbalance"] = pd.Series(columns[7], index, dtype=object)
    data["poc"] = np.array(columns[8], bool)
    data["partial"] = np.array(columns[9], bool)
    return Table(data, index)


def bar_rows(bar: FootprintBar, tick: float) -> list[tuple[Any, ...]]:
    """Return a bar's cells by price: start, price, sell, buy, neutral, volume, delta, imbalance,
    whether it is the point of control, whether the bar is partial.
    """
    prices = sorted(bar.cells)
    by_step = {round(price / tick): bar.cells[price] for price in prices}
    poc = bar.point_of_control
    rows: list[tuple[Any, ...]] = []
    for price in prices:
        sold, bought, unknown = bar.cells[price]
        place = round(price / tick)
        sold_below = by_step.get(place - 1, _NOTHING)[0]
        bought_above = by_step.get(place + 1, _NOTHING)[1]
        imbalance = ""
        if 0 < sold_below * IMBALANCE_RATIO <= bought:
            imbalance = "buy"
        elif 0 < bought_above * IMBALANCE_RATIO <= sold:
            imbalance = "sell"
        volume = sold + bought + unknown
        rows.append(
            (
                bar.start_ns,
                price,
                sold,
                bought,
                unknown,
                volume,
                bought - sold,
                imbalance,
                price == poc,
                bar.partial,
            )
        )
    return rows


_NOTHING: Cell = [0.0, 0.0, 0.0]


def smallest_step(prices: Any) -> float:
    """Return the smallest difference between two prices, rounded at nine decimals; 1 for fewer."""
    known = np.unique(np.fromiter(prices, float))
    steps = np.round(np.diff(known), 9)
    steps = steps[steps > 0]
    return float(steps.min()) if steps.size else 1.0
