"""Fills grouped into trades: from flat, or from the other side, until flat or turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.fills import REASONS

COLUMNS = (
    "symbol",
    "side",
    "units",
    "entry_time",
    "exit_time",
    "entry_price",
    "exit_price",
    "pnl",
    "return",
    "fees",
    "bars",
    "exit_reason",
)


@dataclass
class _Open:
    """A position on its way: what was bought and sold in its direction and against it."""

    side: float
    began: int
    units_in: float = 0.0
    value_in: float = 0.0
    units_out: float = 0.0
    value_out: float = 0.0
    fees: float = 0.0


def trades_frame(
    fills: npt.NDArray[np.float64],
    symbols: Sequence[str],
    index: pd.DatetimeIndex,
    last_prices: Sequence[float],
) -> pd.DataFrame:
    """Return the trades in order of their ends, a row each; fills as `Account` records them.

    A trade begins when a position leaves zero and ends when it returns there or changes sides;
    adding to it or taking some off does not end it. Prices are averages over its fills, after
    slippage; `pnl` is after fees, and `return` is `pnl` over the value bought (short: sold).
    `bars` counts from the bar of the entry to that of the exit. A position still open at the
    end is valued at the last close, with `exit_reason` "open" and no exit time.
    """
    rows: list[tuple[Any, ...]] = []
    held = [0.0] * len(symbols)
    open_: list[_Open | None] = [None] * len(symbols)
    for bar, symbol, units, price, fee, reason in fills.tolist():
        at, s = int(bar), int(symbol)
        trade = open_[s]
        after = held[s] + units
        if trade is None or held[s] * units > 0.0:
            # Enters, or adds to what is there.
            if trade is None:
                trade = open_[s] = _Open(1.0 if units > 0.0 else -1.0, at)
            _add(trade, abs(units), price, fee)
        elif after * trade.side >= 0.0:
            _take(trade, abs(units), price, fee)
            if after == 0.0:
                rows.append(_row(trade, symbols[s], at, REASONS[int(reason)]))
                open_[s] = None
        else:
            # Turns: part of the fill closes the one trade, the rest opens the next.
            closing = abs(held[s]) / abs(units)
            _take(trade, abs(held[s]), price, fee * closing)
            rows.append(_row(trade, symbols[s], at, REASONS[int(reason)]))
            trade = open_[s] = _Open(-trade.side, at)
            _add(trade, abs(after), price, fee * (1.0 - closing))
        held[s] = after
    last = len(index) - 1
    for s, trade in enumerate(open_):
        if trade is not None:
            _take(trade, abs(held[s]), last_prices[s], 0.0)
            rows.append(_row(trade, symbols[s], last, "open"))
    return _frame(rows, index)


def _add(trade: _Open, units: float, price: float, fee: float) -> None:
    trade.units_in += units
    trade.value_in += units * price
    trade.fees += fee


def _take(trade: _Open, units: float, price: float, fee: float) -> None:
    trade.units_out += units
    trade.value_out += units * price
    trade.fees += fee


def _row(trade: _Open, symbol: str, ended: int, reason: str) -> tuple[Any, ...]:
    pnl = trade.side * (trade.value_out - trade.value_in) - trade.fees
    return (
        symbol,
        "long" if trade.side > 0 else "short",
        trade.units_in,
        trade.began,
        ended,
        trade.value_in / trade.units_in,
        trade.value_out / trade.units_out,
        pnl,
        pnl / trade.value_in,
        trade.fees,
        ended - trade.began,
        reason,
    )


def _frame(rows: list[tuple[Any, ...]], index: pd.DatetimeIndex) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("entry", "exit"):
        places = frame[f"{name}_time"].to_numpy(np.int64)
        frame[f"{name}_time"] = index[places]
    frame["exit_time"] = frame["exit_time"].mask(frame["exit_reason"] == "open")
    if not rows:
        numbers = [c for c in COLUMNS if c in ("units", "pnl", "return", "fees") or "price" in c]
        frame = frame.astype({**dict.fromkeys(numbers, float), "bars": int})
    return frame
