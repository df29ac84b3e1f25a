"""Strategies: what they are (`contract`) and those that come with mdkit.

`ALL` holds every strategy that comes with mdkit, by name; one suite of tests runs over it.
`indicators` holds what strategies are made of.

Example:
    >>> list(md.strategies.ALL)[:3]
    ['pressure', 'spread_monitor', 'SmaCross']
    >>> md.strategies.pressure(enter=3.0)
    pressure(levels=5, enter=3.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdkit.strategies.bars import (
    BollingerReversion,
    Breakout,
    BuyAndHold,
    RsiReversion,
    SmaCross,
)
from mdkit.strategies.contract import Strategy, as_strategy, messages, strategy
from mdkit.strategies.depth import pressure, spread_monitor

ALL: Mapping[str, Any] = {
    "pressure": pressure,
    "spread_monitor": spread_monitor,
    "SmaCross": SmaCross,
    "RsiReversion": RsiReversion,
    "BollingerReversion": BollingerReversion,
    "Breakout": Breakout,
    "BuyAndHold": BuyAndHold,
}
"""Name to what `as_strategy` takes: a Strategy or a decorated class."""

__all__ = [
    "ALL",
    "BollingerReversion",
    "Breakout",
    "BuyAndHold",
    "RsiReversion",
    "SmaCross",
    "Strategy",
    "as_strategy",
    "messages",
    "pressure",
    "spread_monitor",
    "strategy",
]
