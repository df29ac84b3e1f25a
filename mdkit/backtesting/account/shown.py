"""Figures as a reader expects them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from mdkit.backtesting.account import metrics
from mdkit.backtesting.account.contracts import Fees, as_fees


def shown_value(name: str, value: Any) -> str:
    """Return a figure as a reader expects it."""
    form = metrics.METRICS[name].form if name in metrics.METRICS else ""
    if name == "benchmark_return":
        form = "share"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, pd.Timedelta):
        return str(value).removesuffix(" 00:00:00")
    if isinstance(value, float) and not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if form == "share":
        return f"{value:,.2%}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def shown_fee(fee: float | Fees) -> str:
    """Return a fee as a reader expects it, with those of makers and takers where they differ."""
    fees = as_fees(fee)
    if fees.maker == fees.taker:
        return f"{fees.taker:.2%}"
    return f"{fees.taker:.3%} taker, {fees.maker:.3%} maker"
