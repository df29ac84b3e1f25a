"""What goes between a session and its worker processes, and how it is framed.

A message is a pickle behind its length. Pickles run code when they are read, so neither side
reads one before the other has shown that it knows a secret which went by another way.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mdkit.channels.deduplicator import TradeDeduplicator
from mdkit.events import Bar, Gap
from mdkit.gap.pending import PendingGap
from mdkit.sources.connection import RawMessage

_SIZE = struct.Struct("<I")
TOKEN_BYTES = 32


class Setup(NamedTuple):
    """What a worker process is to run. `strategies` and `codec` are pickles by
    themselves, read after `path`.

    `seen` are the trades, by symbol, that a process which died had seen in this one's place.
    """

    path: Sequence[str]
    strategies: bytes
    codec: bytes
    symbols: Sequence[str]
    interval: str | None
    made_of: str
    max_retries: int
    on_error: str
    seen: Mapping[str, TradeDeduplicator] = {}
    allow_nonpositive: bool = False


class Batch(NamedTuple):
    """Messages of one lane, and the pending gaps before each position."""

    number: int
    messages: list[RawMessage]
    gaps: Mapping[int, Sequence[PendingGap]] | None


class End(NamedTuple):
    """No more batches will come: the forming bars may be shown."""


class Anew(NamedTuple):
    """All batches so far were answered, and what comes now does not follow them."""


class Ready(NamedTuple):
    """The worker process is set up; or why it cannot be."""

    error: str = ""


class TableCall(NamedTuple):
    """What is to be done to a table: `keep` messages, told as (batch, positions in it), `extend`
    or `fill_in` with events, `revise` with bars, or `break_off`."""

    channel: str
    symbol: str
    call: str
    argument: Any


class BatchResult(NamedTuple):
    """What became of a batch. Everything counts what happened since the last `BatchResult`."""

    number: int
    counts: list[tuple[str, str, int, int, int]]
    """(symbol, account, processed, invalid, dead_lettered)"""
    signals: list[Any]
    tables: list[TableCall]
    dead_letters: list[Any]
    invalid: list[Any]
    invalid_reasons: dict[str, int]
    callback_errors: list[str]
    gaps: list[Gap]
    partial_bars: list[Bar]
    delays: list[tuple[str, int | None]]
    """(symbol, receive time minus exchange time in ns; None where one of the clocks was set)"""
    timers: list[tuple[int, float, float]]
    """(calls timed, their seconds, the slowest so far), in the order of the strategies"""
    quality: dict[tuple[str, str], tuple[int, int, int]]
    """(backwards, frozen, empty) by symbol and account; unlike the rest, since the beginning"""
    retries: int
    busy_seconds: float
    memory_bytes: int | None
    left: int = 0
    """How many messages at the batch's end were not begun."""
    error: BaseException | None = None


def pack(message: Any) -> bytes:
    """Return the bytes of a message."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _SIZE.pack(len(body)) + body


async def unpack(reader: asyncio.StreamReader) -> Any:
    """Return the next message; raise `IncompleteReadError` when the other side is gone."""
    (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
    return pickle.loads(await reader.readexactly(size))
