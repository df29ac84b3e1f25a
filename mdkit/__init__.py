"""mdkit: a live order book in your notebook; one feed, one bounded queue, your function.

    import mdkit as md

    session = md.live(["AAPL.US"], strategies=[md.strategies.pressure])

Importing mdkit opens nothing and patches nothing; what is heavy is loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdkit import strategies
    from mdkit.backtesting.engine import backtest
    from mdkit.backtesting.parity import verify
    from mdkit.backtesting.result import Result, compare
    from mdkit.backtesting.sweep import heatmap, sweep
    from mdkit.backtesting.walk import walk_forward
    from mdkit.errors import MdkitError, TransientError
    from mdkit.events import Bar, Depth, Gap, Signal, Ticker, Trade
    from mdkit.exchange import Exchange, Fault, PlanLimits
    from mdkit.frames import LiveFrame
    from mdkit.history.files import read_klines
    from mdkit.history.reshape import gaps, resample
    from mdkit.measures import imbalance, microprice, mid, pressure_ratio, spread
    from mdkit.notebook.article import MarketDataPipeline
    from mdkit.notebook.kernel import enable_nested
    from mdkit.notebook.klines import klines
    from mdkit.notebook.live import live
    from mdkit.notebook.session import Session
    from mdkit.settings import Settings
    from mdkit.strategies.contract import messages, strategy
    from mdkit.stream.receipt import Receipt

__version__ = "0.1.0"

_HOMES = {
    "mdkit.backtesting.engine": ("backtest",),
    "mdkit.backtesting.parity": ("verify",),
    "mdkit.backtesting.result": (
        "Result",
        "compare",
    ),
    "mdkit.backtesting.sweep": (
        "heatmap",
        "sweep",
    ),
    "mdkit.backtesting.walk": ("walk_forward",),
    "mdkit.history.files": ("read_klines",),
    "mdkit.history.reshape": (
        "gaps",
        "resample",
    ),
    "mdkit.notebook.klines": ("klines",),
    "mdkit.errors": ("MdkitError", "TransientError"),
    "mdkit.events": ("Bar", "Depth", "Gap", "Signal", "Ticker", "Trade"),
    "mdkit.exchange": ("Exchange", "Fault", "PlanLimits"),
    "mdkit.frames": ("LiveFrame",),
    "mdkit.measures": ("imbalance", "microprice", "mid", "pressure_ratio", "spread"),
    "mdkit.notebook.article": ("MarketDataPipeline",),
    "mdkit.notebook.kernel": ("enable_nested",),
    "mdkit.notebook.live": ("live",),
    "mdkit.notebook.session": ("Session",),
    "mdkit.settings": ("Settings",),
    "mdkit.strategies.contract": ("messages", "strategy"),
    "mdkit.stream.receipt": ("Receipt",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Bar",
    "Depth",
    "Exchange",
    "Fault",
    "Gap",
    "LiveFrame",
    "MarketDataPipeline",
    "MdkitError",
    "PlanLimits",
    "Receipt",
    "Result",
    "Session",
    "Settings",
    "Signal",
    "Ticker",
    "Trade",
    "TransientError",
    "backtest",
    "compare",
    "enable_nested",
    "gaps",
    "heatmap",
    "imbalance",
    "klines",
    "live",
    "messages",
    "microprice",
    "mid",
    "pressure_ratio",
    "read_klines",
    "resample",
    "spread",
    "strategies",
    "strategy",
    "sweep",
    "verify",
    "walk_forward",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module("mdkit.strategies")
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module 'mdkit' has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
