"""`NORMALIZED`: the `Codec` of messages in mdkit's own form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mdkit.errors import InvalidMessage, RequestError, ServiceError
from mdkit.events import Event, MarketEvent, Trade
from mdkit.venues.codec import Answer, Manners, Subscription
from mdkit.venues.normalized.messages import message
from mdkit.venues.normalized.router import NormalizedRouter
from mdkit.venues.rest.api import RestApi
from mdkit.venues.routes import CHANNELS, REST


class NormalizedCodec:
    """Messages in mdkit's own form; see `mdkit.venues.codec.Codec`.

    They come from venues' frames, on this machine: nobody subscribes to them.
    """

    name = "normalized"
    channels: tuple[str, ...] = CHANNELS
    subscribes_in_url = False
    manners = Manners()

    def __init__(self, rest: RestApi | None = None) -> None:
        self.rest = rest

    def router(
        self, symbols: Iterable[str] = (), *, allow_nonpositive: bool = False
    ) -> NormalizedRouter[Any]:
        """Return what tells messages apart."""
        return NormalizedRouter(symbols, allow_nonpositive=allow_nonpositive)

    def decode(self, raw: bytes, received_ns: int = 0) -> tuple[MarketEvent, ...]:
        """Return the events of one message; raise `InvalidMessage` if it is unusable."""
        return self.router().route(raw).decode(raw, received_ns)

    def encode(self, event: Event | Sequence[Trade]) -> bytes:
        """Return the message of an event, or of trades of one symbol."""
        return message(event)

    def via_rest(self, event: Event | Sequence[Trade]) -> bytes:
        """Return the message of an event, or of trades, that REST gave."""
        return message(event, via=REST)

    def url(self, url: str, api_key: str | None, subscriptions: Iterable[Subscription]) -> str:
        """Return the URL as it is."""
        return url

    def command(
        self,
        channel: str,
        symbols: Sequence[str],
        *,
        market: str | None = None,
        cancel: bool = False,
    ) -> str:
        """Raise `InvalidMessage`: nobody takes commands in this form."""
        raise InvalidMessage("there are no commands in mdkit's own form")

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Raise `InvalidMessage`: nobody answers in this form."""
        raise InvalidMessage("there are no answers in mdkit's own form")

    def refusal(self, status: int, body: bytes, retry_after: float | None) -> ServiceError:
        """Return an error with the HTTP status."""
        return RequestError(f"the connection was refused with HTTP status {status}")


NORMALIZED = NormalizedCodec()
