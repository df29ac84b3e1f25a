"""What is said to the service on a socket, where it is said, and its answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from mdkit.venues.reading.messages import json_decoder

Dialect = Literal["realtime", "flat"]
"""How messages are written: in an envelope, or flat, with everything in one object."""
PING_COMMAND = '{"cmd":"ping"}'


class Answer(Struct, gc=False):
    """The service's answer to a command. `code` 0 means done."""

    cmd: str = ""
    code: int = 0
    message: str = ""
    data: Any = None


_read_answer = json_decoder(Answer)


def read_answer(raw: bytes) -> Answer:
    """Return the service's answer to a command; raise `InvalidMessage` if it is none."""
    answer: Answer = _read_answer(raw)
    return answer


def subscribe_command(
    channel: str, symbols: Sequence[str], *, market: str | None = None, cancel: bool = False
) -> str:
    """Return the `realtime` command that subscribes to `symbols`, or with `cancel` ends that.

    `market` ("stock", "crypto", ...) is needed only after an ambiguous-symbol error.
    """
    data: dict[str, Any] = {"channel": channel, "symbols": list(symbols)}
    if market is not None:
        data["type"] = market
    command = {"cmd": "unsubscribe" if cancel else "subscribe", "data": data}
    return msgspec.json.encode(command).decode()


def dialect_of(url: str) -> Dialect:
    """Return the dialect a WebSocket URL stands for: `flat` for .../market/ws."""
    return "flat" if urlsplit(url).path.rstrip("/").endswith("/market/ws") else "realtime"


def connection_url(
    url: str, dialect: Dialect, api_key: str | None, subscriptions: Iterable[tuple[str, str]]
) -> str:
    """Return the URL to open: with the key and, in the `flat` dialect, what to subscribe to.

    The result holds the key in clear: never log it or put it into an error.
    """
    query: list[tuple[str, str]] = []
    if api_key is not None:
        query.append(("api_key", api_key))
    if dialect == "flat":
        pairs = list(subscriptions)
        query += [("channel", channel) for channel in dict.fromkeys(c for c, _ in pairs)]
        query += [("symbol", symbol) for symbol in dict.fromkeys(s for _, s in pairs)]
    if not query:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(query)]))))
