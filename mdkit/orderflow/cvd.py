"""Cumulative volume delta: what was bought aggressively minus what was sold, summed up."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.orderflow.columns import NEUTRAL, Trades, checked_time, trades_of, utc

if TYPE_CHECKING:
    import pandas as pd


def running_delta(
    trades: Trades, before: float = 0.0, *, across_gaps: bool = False
) -> npt.NDArray[np.float64]:
    """Return the cumulative volume delta after each trade, beginning from `before`.

    Begins anew at 0 behind a gap unless `across_gaps`. Summed one after the other, so that it has
    the same bits however the trades are dealt out to calls.
    """
    signed = trades.side * trades.size
    begins = np.flatnonzero(trades.gap) if not across_gaps else np.empty(0, np.intp)
    edges = [0, *begins[begins > 0].tolist(), signed.size]
    out = np.empty(signed.size)
    for first, last in itertools.pairwise(edges):
        is_new = first > 0 or (begins.size > 0 and begins[0] == 0)
        start = 0.0 if is_new else before
        out[first:last] = np.cumsum(np.append(start, signed[first:last]))[1:]
    return out


def cvd(trades: pd.DataFrame, every: Any = None, *, across_gaps: bool = False) -> pd.DataFrame:
    """Return cumulative volume delta: sizes bought minus sizes sold, by the aggressor's side.

    Args:
        trades: of one symbol, as `session.frame("trade", symbol)` returns them.
        every: None for a row a trade, or a time such as "1s" for a row a second in which there
            were trades; the index `time` is then its end.
        across_gaps: go on behind a gap; otherwise the sum begins anew there, since nobody knows
            what was traded meanwhile.

    Columns: `buy`, `sell`, `neutral` (sizes; neutral ones do not count), `delta` (buy - sell),
    `cvd`, and `gap`: whether something was missed before, or within, the row.

    Raises `SettingsError` for a table of something else or of several symbols, and for a time
    that is none.

    Example:
        >>> trades = md.read_recording(md.sample()).frame("trade", "AAPL.US")
        >>> md.cvd(trades, every="5s")["cvd"].tolist()
        [1334.0, -1160.0, -3230.0, -3323.0]
    """
    from mdkit.frames.display import Table

    rows = trades_of(trades)
    total = running_delta(rows, across_gaps=across_gaps)
    buy, sell = np.where(rows.side > 0, rows.size, 0.0), np.where(rows.side < 0, rows.size, 0.0)
    neutral = np.where(rows.side == NEUTRAL, rows.size, 0.0)
    gap, index = rows.gap, utc(rows.received.copy(), "received")
    if every is not None:
        step = checked_time("every", every)
        # Ends, not starts: a trade on the very end belongs to the stretch that ends there.
        ends = -(-rows.received // step) * step
        groups, last, buy, sell, neutral = sums_by(ends, buy, sell, neutral)
        missed = np.zeros(groups.size, bool)
        np.logical_or.at(missed, np.searchsorted(groups, ends), gap)
        total, gap, index = total[last], missed, utc(groups, "time")
    data = {"buy": buy, "sell": sell, "neutral": neutral, "delta": buy - sell, "cvd": total}
    return Table({**data, "gap": gap}, index)


def sums_by(keys: npt.NDArray[np.int64], *sizes: npt.NDArray[np.float64]) -> tuple[Any, ...]:
    """Return the distinct keys, where each is last, and the sums of sizes at each."""
    groups, places = np.unique(keys, return_inverse=True)
    last = np.zeros(groups.size, np.intp)
    np.maximum.at(last, places, np.arange(keys.size))
    # bincount adds one after the other, so the sums have the bits of a plain loop.
    sums = (np.bincount(places, size, groups.size) for size in sizes)
    return groups, last, *sums
