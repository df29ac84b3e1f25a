"""Events to messages: what the service would have sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mdkit.errors import InvalidMessage
from mdkit.events import Event, Trade
from mdkit.venues.tickdb.commands import Dialect


def encode(event: Event | Sequence[Trade], dialect: Dialect = "realtime") -> bytes:
    """Return the message that pushes an event; several trades of one symbol share a message.

    `decode(encode(event))` gives the event back, times cut to milliseconds; only `received_ns`
    is not on the wire. The `flat` dialect has one trade a message.
    """
    if isinstance(event, Event):
        body = event.as_dict()
        if dialect == "flat":
            return msgspec.json.encode(body)
        channel = body.pop("type")
        if channel == "depth":
            body["bids"] = [[repr(price), repr(size)] for price, size in body["bids"]]
            body["asks"] = [[repr(price), repr(size)] for price, size in body["asks"]]
        elif channel == "trade":
            body = {"symbol": body.pop("symbol"), "trades": [_decimal_strings(body)]}
        elif channel in ("ticker", "kline"):
            body = _decimal_strings(body)
        else:
            raise InvalidMessage(f"a {type(event).__name__} is not pushed on any channel")
        return msgspec.json.encode({"cmd": channel, "data": body})
    if dialect == "flat" or not event:
        raise InvalidMessage(f"{len(event)} trades do not fit one message of this dialect")
    bodies = [trade.as_dict() for trade in event]
    for body in bodies:
        del body["type"], body["symbol"]
    data = {"symbol": event[0].symbol, "trades": [_decimal_strings(body) for body in bodies]}
    return msgspec.json.encode({"cmd": "trade", "data": data})


def via_rest(message: bytes) -> bytes:
    """Return a message of the `realtime` dialect marked as filled in by the REST service."""
    return b'{"via":"rest",' + message[1:]


def rest_message(channel: str, data: bytes) -> bytes:
    """Return the data of a REST answer as the message that would have pushed it, marked."""
    return b'{"via":"rest","cmd":"%b","data":%b}' % (channel.encode(), data)


def _decimal_strings(body: dict[str, Any]) -> dict[str, Any]:
    return {k: repr(v) if isinstance(v, float) else v for k, v in body.items()}
