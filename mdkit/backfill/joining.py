"""How far an answer's trades may be given, so that they stand before those that are pushed."""

from __future__ import annotations

from collections.abc import Iterable

from mdkit.channels.deduplicator import trade_key
from mdkit.errors import MdkitError
from mdkit.events import MarketEvent, Trade
from mdkit.sources.connection import RawMessage
from mdkit.venues.codec import Codec


def first_trades(pushed: Iterable[RawMessage], codec: Codec) -> dict[str, Trade]:
    """Return the first trade of each symbol among messages."""
    first: dict[str, Trade] = {}
    for raw, _ in pushed:
        for event in _events(raw, codec):
            if isinstance(event, Trade):
                first.setdefault(event.symbol, event)
    return first


def trades_before(first: Trade | None, answer: bytes, codec: Codec) -> bytes | None:
    """Return the message of the answer's trades that are older than the `first` one pushed.

    The answer itself where all are, or none was pushed; None where none is older.
    """
    if first is None:
        return answer
    # Trades of one time, which services give in milliseconds, are in the answer's order.
    trades = [(event.exchange_ns, i, event) for i, event in enumerate(_events(answer, codec))]
    key = trade_key(first)
    limit = max(
        ((at, i) for at, i, event in trades if trade_key(event) == key),
        default=(first.exchange_ns, -1),
    )
    older = [event for at, i, event in trades if (at, i) < limit]
    if len(older) == len(trades):
        return answer
    kept = [event for event in older if isinstance(event, Trade)]
    return codec.via_rest(kept) if kept else None


def _events(raw: bytes, codec: Codec) -> tuple[MarketEvent, ...]:
    try:
        return codec.decode(raw)
    except MdkitError:
        return ()
