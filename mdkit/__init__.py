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
    from mdkit.exchange import Exchange, Fault, PlanLimits, Simulated
    from mdkit.frames import LiveFrame
    from mdkit.history.files import read_klines
    from mdkit.history.reshape import gaps, resample
    from mdkit.measures import imbalance, microprice, mid, pressure_ratio, rolling, spread
    from mdkit.notebook.article import MarketDataPipeline
    from mdkit.notebook.kernel import enable_nested
    from mdkit.notebook.klines import klines
    from mdkit.notebook.live import live
    from mdkit.notebook.session import Session
    from mdkit.settings import Settings
    from mdkit.strategies.contract import messages, strategy
    from mdkit.strategies.indicators import (
        ATR,
        EMA,
        RSI,
        SMA,
        VWAP,
        WMA,
        Bollinger,
        Crossover,
        Lag,
        RollingMax,
        RollingMin,
        StandardDeviation,
        ZScore,
    )
    from mdkit.stream.parquet import to_parquet
    from mdkit.stream.receipt import Receipt
    from mdkit.stream.record import Recorder
    from mdkit.stream.recording_info import recording_info
    from mdkit.stream.recordings import read_recording
    from mdkit.stream.replay import replay

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
    "mdkit.exchange": ("Exchange", "Fault", "PlanLimits", "Simulated"),
    "mdkit.frames": ("LiveFrame",),
    "mdkit.measures": ("imbalance", "microprice", "mid", "pressure_ratio", "rolling", "spread"),
    "mdkit.notebook.article": ("MarketDataPipeline",),
    "mdkit.notebook.kernel": ("enable_nested",),
    "mdkit.notebook.live": ("live",),
    "mdkit.notebook.session": ("Session",),
    "mdkit.settings": ("Settings",),
    "mdkit.strategies.contract": ("messages", "strategy"),
    "mdkit.strategies.indicators": (
        "ATR",
        "Bollinger",
        "Crossover",
        "EMA",
        "Lag",
        "RSI",
        "RollingMax",
        "RollingMin",
        "SMA",
        "StandardDeviation",
        "VWAP",
        "WMA",
        "ZScore",
    ),
    "mdkit.stream.parquet": ("to_parquet",),
    "mdkit.stream.receipt": ("Receipt",),
    "mdkit.stream.record": ("Recorder",),
    "mdkit.stream.recording_info": ("recording_info",),
    "mdkit.stream.recordings": ("read_recording",),
    "mdkit.stream.replay": ("replay",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ATR",
    "EMA",
    "RSI",
    "SMA",
    "VWAP",
    "WMA",
    "Bar",
    "Bollinger",
    "Crossover",
    "Depth",
    "Exchange",
    "Fault",
    "Gap",
    "Lag",
    "LiveFrame",
    "MarketDataPipeline",
    "MdkitError",
    "PlanLimits",
    "Receipt",
    "Recorder",
    "Result",
    "RollingMax",
    "RollingMin",
    "Session",
    "Settings",
    "Signal",
    "Simulated",
    "StandardDeviation",
    "Ticker",
    "Trade",
    "TransientError",
    "ZScore",
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
    "read_recording",
    "recording_info",
    "replay",
    "resample",
    "rolling",
    "spread",
    "strategies",
    "strategy",
    "sweep",
    "to_parquet",
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
