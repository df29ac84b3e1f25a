"""Indicators of order flow and books: event by event in a strategy, or over a whole table.

    flow = OFI(levels=5, window="1s")
    flow.update(book)                  # returns the value, nan until ready
    OFI(levels=5, window="1s").over(session.frame("depth", symbol))   # the same bits, a Series

Each takes events of one symbol of its `channel`. After a gap call `reset()`, as `over` does at
rows marked `gap`. Windows of time are by time of receipt.
"""

from __future__ import annotations

from collections.abc import Mapping

from mdkit.strategies.flow.books import BookSlope, DepthWeightedMid
from mdkit.strategies.flow.flow import Flow
from mdkit.strategies.flow.microprice import Microprice
from mdkit.strategies.flow.ofi import OFI
from mdkit.strategies.flow.trades import VPIN, KyleLambda, TradeImbalance
from mdkit.strategies.flow.volatility import RealizedVolatility

FLOWS: Mapping[str, type[Flow]] = {
    flow.__name__: flow
    for flow in (
        OFI,
        TradeImbalance,
        VPIN,
        KyleLambda,
        RealizedVolatility,
        BookSlope,
        DepthWeightedMid,
        Microprice,
    )
}
"""Every indicator of flow, by name; one suite of tests runs over them."""

__all__ = [
    "FLOWS",
    "OFI",
    "VPIN",
    "BookSlope",
    "DepthWeightedMid",
    "Flow",
    "KyleLambda",
    "Microprice",
    "RealizedVolatility",
    "TradeImbalance",
]
