"""The first second of a wild opening, made before it begins.

To move a book, and to write down what it looks like then, takes longer than the ten microseconds
that 100,000 messages a second leave for each. So the messages are made while nobody listens yet,
and kept as text. What is asked by REST meanwhile is answered from those that have been pushed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from mdkit.events import Depth, Event, Ticker, Trade
from mdkit.exchange.dialects import Dialect
from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.market.tape import Tape
from mdkit.exchange.messages import Key, Message, frame_texts
from mdkit.venues.registry import DEFAULT

_NS_PER_MS = 1_000_000


class Prepared(Message):
    """A message that was written down before its time was known, in both dialects.

    Its time is the only thing that is put in when it is sent: `told_ms`, in ms since the epoch.
    """

    __slots__ = ("_flat", "_realtime", "told_ms")

    def __init__(self, message: Message, made_ms: int) -> None:
        super().__init__(message.offset, message.key)
        self.told_ms = made_ms
        stamp = b'"timestamp":%d' % made_ms
        # Every time has 13 digits, so what the frames say of their length stays true.
        self._realtime = message.frames("realtime").split(stamp)
        self._flat = message.frames("flat").split(stamp)

    def frames(self, dialect: Dialect) -> bytes:
        """Return the message as WebSocket frames, joined."""
        frames = self._frames.get(dialect)
        if frames is None:
            parts = self._flat if dialect == "flat" else self._realtime
            frames = self._frames[dialect] = (b'"timestamp":%d' % self.told_ms).join(parts)
        return frames

    def told(self) -> Sequence[Event]:
        """Return what the message tells."""
        return DEFAULT.decode(self.texts("realtime")[0])

    def _encode(self, dialect: Dialect) -> tuple[bytes, ...]:
        return tuple(frame_texts(self.frames(dialect)))


class Opening:
    """The messages of the first second that are still to be pushed, and what was pushed of them.

    Args:
        count: depth messages.
        stood: what was to be seen of each symbol and channel before the first message.
    """

    def __init__(self, count: int, stood: Mapping[Key, Depth | Ticker]) -> None:
        self.count = count
        self._stood = dict(stood)
        self._waiting: deque[Prepared] = deque()
        self._shown: dict[Key, Prepared] = {}
        self._trades: list[Prepared] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def next_offset(self) -> float:
        """When the next message is due, in seconds."""
        return self._waiting[0].offset

    def stand(self, stood: Mapping[Key, Depth | Ticker]) -> None:
        """Show further symbols, as they stand until something is pushed of them."""
        self._stood.update(stood)

    def add(self, message: Message, made_ms: int) -> None:
        """Write a message down; it is pushed after those before it."""
        self._waiting.append(Prepared(message, made_ms))

    def take(self, until: float, most: int, began_ms: int) -> list[Prepared]:
        """Return the next messages, at most `most`, that are due at `until` seconds.

        They tell the times that they have where the clock began at `began_ms`.
        """
        waiting, shown = self._waiting, self._shown
        taken: list[Prepared] = []
        while waiting and waiting[0].offset <= until and len(taken) < most:
            message = waiting.popleft()
            message.told_ms = began_ms + int(message.offset * 1000)
            key = message.key
            assert key is not None
            shown[key] = message
            if key[0] == "trade":
                self._trades.append(message)
            taken.append(message)
        return taken

    def shown(self, key: Key, now_ns: int) -> Event:
        """Return what was pushed last of a symbol and channel, or stands there before that."""
        message = self._shown.get(key)
        if message is None:
            return msgspec.structs.replace(self._stood[key], exchange_ns=now_ns)
        return message.told()[-1]

    def fold(self, tapes: Mapping[str, Tape], instruments: Mapping[str, Instrument]) -> None:
        """Put the trades that were pushed since the last call on their tapes."""
        for trade in self._new_trades():
            spec, tape = instruments[trade.symbol], tapes[trade.symbol]
            ms = trade.exchange_ns // _NS_PER_MS
            tape.record(ms, spec.ticks(trade.price), spec.units(trade.size))
            tape.trades.append(trade)

    def _new_trades(self) -> Iterator[Trade]:
        messages, self._trades = self._trades, []
        for message in messages:
            for event in message.told():
                assert isinstance(event, Trade)
                yield event
