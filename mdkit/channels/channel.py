"""`Channel`: one symbol and channel of a session, from its place in the queue to its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mdkit.channels.handlers import Handler
from mdkit.channels.reader import ChannelReader
from mdkit.frames import BarFrame, EventFrame
from mdkit.queue.channel import QueuedChannel


class Channel(QueuedChannel):
    """One symbol and channel: its counts and its lane, how it is read, and who sees its events.

    Attributes:
        reader: makes events, bars and gaps of its messages.
        handlers: the strategies that see its events.
        bar_handlers: those that see the bars made of them.
        table: keeps its events; None where no message can be valid, and for bars that REST gives
            where bars are made here.
        bars_table: keeps those bars; None where none are made.
    """

    __slots__ = ("bar_handlers", "bars_table", "event_kind", "handlers", "reader", "table")

    def __init__(self, reader: ChannelReader) -> None:
        super().__init__(reader.symbol, reader.channel, reader.origin)
        self.table: EventFrame[Any] | None = None
        self.bars_table: BarFrame | None = None
        self.read_by(reader)

    def read_by(
        self,
        reader: ChannelReader,
        handlers: Sequence[Handler] = (),
        bar_handlers: Sequence[Handler] = (),
    ) -> None:
        """Have what comes now read and handled by these, whatever came before."""
        self.reader = reader
        self.handlers = tuple(handlers)
        self.bar_handlers = tuple(bar_handlers)
        # What strategies see of bars where some are made here are those, whatever REST gave.
        self.event_kind = reader.channel if reader.has_own_events else ""

    @property
    def is_dated(self) -> bool:
        """Whether its times tell of the exchange's clock: bars were made long before they came."""
        return self.origin == "live" and self.kind != "bar"
