"""`Codec`: one venue's wire, as the rest of mdkit sees it. Pure: no sockets, no clocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from mdkit.errors import ServiceError
from mdkit.events import Event, MarketEvent, Trade
from mdkit.venues.rest import RestApi
from mdkit.venues.routes import Router

Subscription = tuple[str, str]
"""(channel, symbol)"""


class Answer(NamedTuple):
    """What a venue says to a command.

    Attributes:
        error: why it was refused, or None where it was accepted.
        is_heartbeat: whether it answers a ping, and no command.
        subscription: the channel and symbol it is about, where it says so; otherwise it answers
            the oldest command that is still unanswered.
    """

    error: ServiceError | None = None
    is_heartbeat: bool = False
    subscription: Subscription | None = None


class Codec(Protocol):
    """A venue's wire: where messages belong, what they hold, how to subscribe, what errors mean.

    Attributes:
        name: of the venue, as `source=` and recordings name it.
        channels: what can be subscribed to.
        subscribes_in_url: whether the URL says what is wanted, so that only a new connection
            changes it, and the first pushes may come before anything was sent.
        heartbeat: a text to send every second or so, besides WebSocket pings; None for none.
        rest: its REST service; None where nothing can be asked.
    """

    name: str
    channels: tuple[str, ...]
    subscribes_in_url: bool
    heartbeat: str | None
    rest: RestApi | None

    def router(
        self, symbols: Iterable[str] = (), *, allow_nonpositive: bool = False
    ) -> Router[Any]:
        """Return what tells messages apart, about these symbols as far as is known."""

    def decode(self, raw: bytes, received_ns: int = 0) -> tuple[MarketEvent, ...]:
        """Return the events of one message; raise `InvalidMessage` if it is unusable.

        For single messages; a stream should keep a router, which remembers what it has seen.
        """

    def encode(self, event: Event | Sequence[Trade]) -> bytes:
        """Return the message that pushes an event; several trades of a symbol may share one."""

    def via_rest(self, event: Event | Sequence[Trade]) -> bytes:
        """Return the message of an event, or of trades, that the REST service gave, marked so."""

    def url(self, url: str, api_key: str | None, subscriptions: Iterable[Subscription]) -> str:
        """Return the URL to open. It may hold the key in clear: never log or raise it."""

    def command(
        self,
        channel: str,
        symbols: Sequence[str],
        *,
        market: str | None = None,
        cancel: bool = False,
    ) -> str:
        """Return the text that subscribes to symbols of a channel, or with `cancel` ends that."""

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says; raise `InvalidMessage` if it is none.

        `about` is the command that it answers, in words.
        """

    def refusal(self, status: int, body: bytes, retry_after: float | None) -> ServiceError:
        """Return what it means that a handshake was answered with this HTTP status and body."""
