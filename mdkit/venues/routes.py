"""Where a raw message belongs and how it is read: a `Route` for each symbol and channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from mdkit.errors import InvalidMessage
from mdkit.events import MarketEvent

CHANNELS = ("depth", "trade", "ticker")
"""What can be subscribed to."""
ANSWER = "answer"
"""The channel of answers to commands, which are not market data."""
UNREADABLE = "unreadable"
"""The channel of messages so broken that not even their channel can be told."""
LIVE, REST = "live", "rest"
"""Where a message came from: the socket, or the REST service after a gap."""
MAX_SYMBOL = 64
"""The longest symbol, in characters; each symbol seen is kept."""

Read = Callable[[str, bytes, int], tuple[MarketEvent, ...]]
"""`read(symbol, raw, received_ns)` returns a message's events, or raises `InvalidMessage`.

Where only parts of a message are unusable the events are `SomeEvents`, which says which."""

P = TypeVar("P")


class SomeEvents(tuple[MarketEvent, ...]):
    """The events of a message of which some parts could not be used.

    `unusable` holds the reason for each part that is left out.
    """

    unusable: tuple[str, ...] = ()


class Route(Struct, Generic[P], eq=False):
    """Where a message belongs, and how to read it. The symbols of a channel share one `read`.

    `place` is what the router's owner keeps for a symbol and channel: None until it is set.
    """

    channel: str
    symbol: str
    read: Read
    origin: str = LIVE
    place: P | None = None

    def decode(self, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        """Return a message's events; raise `InvalidMessage` with the reason."""
        return self.read(self.symbol, raw, received_ns)

    @property
    def account(self) -> str:
        """The name under which such messages are counted: what REST filled in, by itself."""
        return self.channel if self.origin == LIVE else f"{self.channel}:{self.origin}"


class Router(Protocol[P]):
    """Tells the channel and symbol of raw messages, cheaply; `P` is what its owner keeps of each.

    `allow_nonpositive` takes prices of 0 and below for prices, which elsewhere are errors.
    """

    allow_nonpositive: bool

    def route(self, raw: bytes) -> Route[P]:
        """Return where a message belongs. Never raises: unreadable bytes have a route as well.

        A message about several symbols at once has the route `SEVERAL`; `split` it first.
        """

    def split(self, raw: bytes) -> Iterator[tuple[Route[P], bytes]]:
        """Yield a `(route, raw)` for each entry of a message about several symbols."""

    def expect(self, symbols: Iterable[str]) -> None:
        """Set the symbols that messages may be about."""

    def expects(self, symbol: str) -> bool:
        """Whether messages about this symbol were asked for."""


def invalid_route(channel: str, symbol: str, reason: str) -> Route[Any]:
    """Return a route whose messages are all invalid, for one reason."""

    def decode(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        raise InvalidMessage(reason)

    return Route(channel, symbol, decode)


ANSWER_ROUTE = invalid_route(ANSWER, "", "an answer to a command is not market data")
"""The route of answers to commands."""
SEVERAL = invalid_route("ticker", "", "a list about several symbols must be split first")
"""The route of a message about several symbols, which `Router.split` takes apart."""


def is_symbol(text: str) -> bool:
    """Whether a text can be a symbol: short, and of characters that can be shown."""
    return 0 < len(text) <= MAX_SYMBOL and text.isprintable()
