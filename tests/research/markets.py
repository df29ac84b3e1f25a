"""Small markets with something to find in them, as tables."""

import numpy as np
import pandas as pd

from mdkit.events import Depth, Trade
from mdkit.frames import DepthFrame, TradeFrame

T0 = 1_700_000_000_000_000_000


def leading(count=6000, seed=0, *, gaps=(), step_ns=50_000_000, strength=1.0):
    """Books whose imbalance leads the mid: a table of depth by time of receipt.

    A hidden state wanders; sizes follow it, and the mid moves its way.
    """
    rng = np.random.default_rng(seed)
    state, ticks, at = 0.0, 10_000, T0
    table = DepthFrame(capacity=count)
    for number in range(count):
        state = 0.95 * state + 0.4 * rng.normal()
        ticks += int(rng.random() < 0.3) * (1 if rng.normal() < strength * state else -1)
        bid = 20.0 * np.exp(0.7 * state * (strength > 0) + 0.2 * rng.normal())
        sizes = [round(float(x), 3) for x in (bid, 7.0, 400.0 / bid, 8.0)]
        at += int(rng.integers(1, 2 * step_ns))
        book = Depth(
            "A",
            ((ticks * 0.01, sizes[0]), ((ticks - 1) * 0.01, sizes[1])),
            (((ticks + 2) * 0.01, sizes[2]), ((ticks + 3) * 0.01, sizes[3])),
            at // 1_000_000 * 1_000_000,
            at,
        )
        if number in gaps:
            table.break_off()
        table.extend([book])
    frame = table.snapshot(levels=2)
    frame.attrs["symbol"] = "A"
    return frame


def trades_of(frame, seed=1, count=900):
    """Trades at the touch of a table's books, between them, bought where the mid will rise."""
    rng = np.random.default_rng(seed)
    times = frame.index.as_unit("ns").asi8
    rows = np.sort(rng.choice(np.arange(1, len(frame) - 1), count, replace=False))
    mids = frame["mid"].to_numpy()
    made = []
    for number, row in enumerate(rows):
        ahead = mids[min(row + 20, len(mids) - 1)] - mids[row]
        buys = rng.random() < 0.5 + 0.3 * np.sign(ahead)
        price = frame["ask" if buys else "bid"].iloc[row]
        side = "buy" if buys else "sell"
        if number % 50 == 0:
            side = "neutral"
        made.append(
            Trade("A", price, float(rng.integers(1, 9)), side, str(number), 0, int(times[row]) + 1)
        )
    table = TradeFrame(capacity=count)
    table.extend(made)
    frame = table.snapshot()
    frame.attrs["symbol"] = "A"
    return frame


def noise(frame, seed, persistence=0.0):
    """A Series without meaning, by the table's rows."""
    values = np.random.default_rng(seed).normal(size=len(frame))
    for i in range(1, len(values)):
        values[i] += persistence * values[i - 1]
    return pd.Series(values, frame.index, name="noise")
