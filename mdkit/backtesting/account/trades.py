"""Fills grouped into trades: from flat, or from the other side, until flat or turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.fills import REASONS

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
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


class Trades(NamedTuple):
    """Trades in order of their ends, an entry each; then those still open, by symbol.

    `entered` and `exited` are the places of the first and the last fill among the fills, the
    latter -1 for an open trade; `side` is 1.0 for long and -1.0 for short.
    """

    symbol: Places
    side: Floats
    units: Floats
    entered: Places
    exited: Places
    entry_price: Floats
    exit_price: Floats
    pnl: Floats
    returns: Floats
    fees: Floats

    @property
    def is_open(self) -> npt.NDArray[np.bool_]:
        """Whether a trade has not ended, (trades,)."""
        return self.exited < 0


def group(fills: Floats, last_prices: Sequence[float]) -> Trades:
    """Return the trades that fills make up; fills as `Account` records them, of any symbols.

    A trade begins when a position leaves zero and ends when it returns there or changes sides;
    adding to it or taking some off does not end it. Prices are averages over its fills, after
    slippage; `pnl` is after fees, and `returns` are `pnl` over the value bought (short: sold). A
    position still open at the end is valued at `last_prices`, one for each symbol.
    """
    parts = [
        _of_symbol(fills, np.flatnonzero(fills[:, 1] == s), s, last)
        for s, last in enumerate(last_prices)
    ]
    together = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    found = Trades._make(together)
    # Stable: of what is still open the order of symbols stays.
    order = np.argsort(np.where(found.is_open, len(fills), found.exited), kind="stable")
    return Trades._make(column[order] for column in found)


def held_after(units: Floats) -> Floats:
    """Return what one symbol's position is after each of its fills, as the account adds it up."""
    return np.cumsum(units, dtype=np.float64)


def _of_symbol(fills: Floats, own: Places, symbol: int, last_price: float) -> Trades:
    """Return one symbol's trades; `own` are the places of its fills.

    A fill that turns the position counts twice: as the exit that closes it, for so much of its
    units and fee, and as the entry of the next trade.
    """
    units, price, fee = fills[own, 2], fills[own, 3], fills[own, 4]
    after = held_after(units)
    before = np.concatenate([[0.0], after[:-1]])
    begins = before == 0.0
    turns = before * after < 0.0
    adds = begins | (before * units > 0.0)
    count = int(np.count_nonzero(begins | turns))
    # To which trade a fill belongs, as its exit where it turns the position.
    number = np.cumsum(begins | np.concatenate([[False], turns[:-1]])[: len(own)]) - 1
    share = np.ones(len(own))
    share[turns] = np.abs(before[turns]) / np.abs(units[turns])
    size = np.where(turns, np.abs(before), np.abs(units))

    def total(trades: Places, values: Floats) -> Floats:
        return np.asarray(np.bincount(trades, values, count), np.float64)

    units_in, value_in = total(number[adds], size[adds]), total(number[adds], (size * price)[adds])
    out = ~adds
    units_out, value_out = total(number[out], size[out]), total(number[out], (size * price)[out])
    fees = total(number, fee * share)
    opened = np.abs(after[turns])
    units_in += total(number[turns] + 1, opened)
    value_in += total(number[turns] + 1, opened * price[turns])
    fees += total(number[turns] + 1, fee[turns] * (1.0 - share[turns]))
    side = np.where(begins, units, after)[begins | turns]
    entered, exited = own[begins | turns], np.full(count, -1)
    ends = turns | ((after == 0.0) & ~begins)
    exited[number[ends]] = own[ends]
    if len(own) and after[-1] != 0.0:
        units_out[-1] += abs(after[-1])
        value_out[-1] += abs(after[-1]) * last_price
    side = np.sign(side)
    pnl = side * (value_out - value_in) - fees
    return Trades(
        np.full(count, symbol), side, units_in, entered, exited, value_in / units_in,
        value_out / units_out, pnl, pnl / value_in, fees,
    )  # fmt: skip


def trades_frame(
    trades: Trades, fills: Floats, symbols: Sequence[str], times: pd.DatetimeIndex, last_bar: int
) -> pd.DataFrame:
    """Return trades as a frame, a row each.

    `times` are of the fills. `bars` counts from the bar of the entry to that of the exit, or to
    `last_bar` for a position that is still open: it has the `exit_reason` "open", no exit time,
    and is valued at the last close.
    """
    is_open = trades.is_open
    bars = fills[:, 0].astype(np.int64)
    ended = np.where(is_open, last_bar, bars[trades.exited] if len(fills) else 0)
    exits = times[trades.exited].where(~is_open) if len(fills) else times[:0]
    words = [*REASONS, "open"]
    reasons = np.where(is_open, -1, fills[trades.exited, 5] if len(fills) else 0).astype(int)
    return pd.DataFrame(
        {
            "symbol": [symbols[s] for s in trades.symbol.tolist()],
            "side": ["long" if side > 0.0 else "short" for side in trades.side.tolist()],
            "units": trades.units,
            "entry_time": times[trades.entered],
            "exit_time": exits,
            "entry_price": trades.entry_price,
            "exit_price": trades.exit_price,
            "pnl": trades.pnl,
            "return": trades.returns,
            "fees": trades.fees,
            "bars": ended - bars[trades.entered],
            "exit_reason": [words[reason] for reason in reasons.tolist()],
        },
        columns=list(COLUMNS),
    )
