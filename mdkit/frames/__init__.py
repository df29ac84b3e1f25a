"""Live tables: the newest rows of a stream, and DataFrames of them."""

from mdkit.frames.events import (
    PRESSURE_LEVELS,
    BarFrame,
    DepthFrame,
    EventFrame,
    TickerFrame,
    TradeFrame,
)
from mdkit.frames.live import Column, LiveFrame, MetricsFrame, SignalFrame
from mdkit.frames.tables import KINDS, Frames, book_frame

__all__ = [
    "KINDS",
    "PRESSURE_LEVELS",
    "BarFrame",
    "Column",
    "DepthFrame",
    "EventFrame",
    "Frames",
    "LiveFrame",
    "MetricsFrame",
    "SignalFrame",
    "TickerFrame",
    "TradeFrame",
    "book_frame",
]
