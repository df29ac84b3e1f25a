"""`Codec`: one venue's wire, as the rest of mdkit sees it. Pure: no sockets, no clocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from mdkit.errors import ServiceError
from mdkit.events import Event, MarketEvent, Trade
from mdkit.venues.rest.api import RestApi
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
        symbol: the symbol alone, where it names no channel: the oldest command about it.
        accepted: what is subscribed to by now, where the venue lists that and names no command.
    """

    error: ServiceError | None = None
    is_heartbeat: bool = False
    subscription: Subscription | None = None
    symbol: str = ""
    accepted: tuple[Subscription, ...] = ()


class Manners(NamedTuple):
    """How a venue wants to be spoken to.

    Attributes:
        heartbeat: a text to send now and then, besides WebSocket pings; None for none.
        heartbeat_seconds: how often.
        greetings: texts to send on every new connection, before anything is subscribed to.
        symbols_per_command: the most symbols that one command may name.
        command_seconds: the pause between two commands.
        symbols_per_connection: the most symbols for which one connection is used.
        connects_per_minute: the most connections that are opened.
        lifetime: seconds after which a connection is replaced, before the venue ends it.
        tells_silence: whether a connection on which all is well is never silent for long. Where
            it may be, silence tells nothing: pings alone show that it is alive.
    """

    heartbeat: str | None = None
    heartbeat_seconds: float = 1.0
    greetings: tuple[str, ...] = ()
    symbols_per_command: int = 1 << 30
    command_seconds: float = 0.0
    symbols_per_connection: int = 1 << 30
    connects_per_minute: int = 30
    lifetime: float | None = None
    tells_silence: bool = True


class Wire(Protocol):
    """What connecting and subscribing need to know of a venue.

    Attributes:
        name: of the venue, as `source=` and recordings name it.
        subscribes_in_url: whether the URL says what is wanted, so that only a new connection
            changes it, and the first pushes may come before anything was sent.
        manners: how it wants to be spoken to.
    """

    name: str
    subscribes_in_url: bool
    manners: Manners

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


class Codec(Wire, Protocol):
    """A venue's wire: where messages belong, what they hold, how to subscribe, what errors mean.

    Attributes:
        channels: what can be subscribed to.
        rest: its REST service; None where nothing can be asked.
    """

    channels: tuple[str, ...]
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
