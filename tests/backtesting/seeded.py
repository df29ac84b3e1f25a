"""Bars made from a seed, for tests and benchmarks."""

import numpy as np
import pandas as pd


def seeded_bars(count=500, seed=1, *, interval="1min", start="2024-01-01", volatility=0.002):
    """A random walk of closes; opens gap a little, highs and lows hold both."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, volatility, count)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(
        random.normal(0.0, volatility / 4, count)
    )
    reach = np.exp(np.abs(random.normal(0.0, volatility / 2, (2, count))))
    high = np.maximum(open_, close) * reach[0]
    low = np.minimum(open_, close) / reach[1]
    volume = random.uniform(1.0, 1000.0, count)
    index = pd.date_range(start, periods=count, freq=interval, tz="UTC")
    return pd.DataFrame(
        {"open": open_, "high": high, "low": low, "close": close, "volume": volume}, index
    )
