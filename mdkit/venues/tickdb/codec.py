"""TickDB as a `Codec`: one for each of the two dialects, which share how messages are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from mdkit.errors import InvalidMessage, ServiceError
from mdkit.events import Event, MarketEvent, Trade
from mdkit.venues.codec import Answer, Manners, Subscription
from mdkit.venues.rest.api import RestApi
from mdkit.venues.routes import CHANNELS
from mdkit.venues.tickdb.api import TickdbRest
from mdkit.venues.tickdb.codes import classify
from mdkit.venues.tickdb.commands import (
    PING_COMMAND,
    Dialect,
    connection_url,
    dialect_of,
    read_answer,
    subscribe_command,
)
from mdkit.venues.tickdb.encoding import encode, via_rest
from mdkit.venues.tickdb.router import TickdbRouter, decode


class TickdbCodec:
    """TickDB's wire in one dialect; see `mdkit.venues.codec.Codec`.

    `realtime` subscribes by commands and wraps messages into an envelope; `flat` subscribes in
    the URL and writes everything into one object.
    """

    channels: tuple[str, ...] = CHANNELS
    rest: RestApi | None = TickdbRest()

    def __init__(self, dialect: Dialect) -> None:
        self.dialect: Dialect = dialect
        self.name = "tickdb" if dialect == "realtime" else f"tickdb.{dialect}"
        self.subscribes_in_url = dialect == "flat"
        self.manners = Manners(PING_COMMAND if dialect == "realtime" else None)

    def __repr__(self) -> str:
        return f"<TickdbCodec {self.dialect}>"

    def speaks(self, url: str) -> bool:
        """Whether a WebSocket URL stands for this dialect."""
        return dialect_of(url) == self.dialect

    def router(
        self, symbols: Iterable[str] = (), *, allow_nonpositive: bool = False
    ) -> TickdbRouter[Any]:
        """Return what tells messages apart, of either dialect."""
        return TickdbRouter(symbols, allow_nonpositive=allow_nonpositive)

    def decode(self, raw: bytes, received_ns: int = 0) -> tuple[MarketEvent, ...]:
        """Return the events of one message of either dialect."""
        return decode(raw, received_ns)

    def encode(self, event: Event | Sequence[Trade]) -> bytes:
        """Return the message that pushes an event; raise `InvalidMessage` if none can."""
        return encode(event, self.dialect)

    def via_rest(self, event: Event | Sequence[Trade]) -> bytes:
        """Return the message of an event that REST gave, in the enveloped dialect."""
        return via_rest(encode(event))

    def url(self, url: str, api_key: str | None, subscriptions: Iterable[Subscription]) -> str:
        """Return the URL to open, which holds the key in clear."""
        return connection_url(url, self.dialect, api_key, subscriptions)

    def command(
        self,
        channel: str,
        symbols: Sequence[str],
        *,
        market: str | None = None,
        cancel: bool = False,
    ) -> str:
        """Return the command that subscribes, or with `cancel` ends that."""
        return subscribe_command(channel, symbols, market=market, cancel=cancel)

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says; it names no command, so it is the oldest one's."""
        answer = read_answer(raw)
        if not answer.code:
            return Answer(is_heartbeat=answer.cmd in ("pong", "ping"))
        return Answer(classify(answer.code, message=answer.message, about=about))

    def refusal(self, status: int, body: bytes, retry_after: float | None) -> ServiceError:
        """Return what an answer to the handshake means, by its code or else its HTTP status."""
        code, message = None, ""
        with contextlib.suppress(InvalidMessage):
            answer = read_answer(body)
            code, message = answer.code or None, answer.message
        return classify(
            code,
            http_status=status,
            message=message,
            about="the connection",
            retry_after=retry_after,
        )


REALTIME = TickdbCodec("realtime")
FLAT = TickdbCodec("flat")
