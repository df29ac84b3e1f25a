"""Where normalized messages belong, told from their first bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic

from msgspec import Struct

from mdkit.errors import InvalidMessage
from mdkit.venues.normalized.messages import (
    read_bar,
    read_book,
    read_invalid,
    read_ticker,
    trades_reader,
)
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.reading.numbers import Figure, Price
from mdkit.venues.routes import LIVE, REST, UNREADABLE, P, Read, Route, invalid_route, is_symbol


class _Head(Struct, gc=False):
    type: str
    symbol: str
    via: str = ""


_read_head = json_decoder(_Head)
_MAX_LEARNT = 100_000


class NormalizedRouter(Generic[P]):
    """Tells the channel and symbol of normalized messages; see `routes.Router`."""

    def __init__(self, symbols: Iterable[str] = (), *, allow_nonpositive: bool = False) -> None:
        self.allow_nonpositive = allow_nonpositive
        self._readers: dict[str, Read] = {
            "depth": read_book,
            "trade": trades_reader(Figure if allow_nonpositive else Price),
            "ticker": read_ticker,
            "bar": read_bar,
        }
        self._learnt: dict[bytes, Route[P]] = {}
        self._made: dict[tuple[str, str, str], Route[P]] = {}
        self.expect(symbols)

    def expect(self, symbols: Iterable[str]) -> None:
        """Set the symbols that messages may be about."""
        self._expected = frozenset(symbols)

    def expects(self, symbol: str) -> bool:
        """Whether messages about this symbol were asked for."""
        return symbol in self._expected

    def route(self, raw: bytes) -> Route[P]:
        """Return where a message belongs. Never raises."""
        # `{"type":"depth","symbol":"BTC/USD","bids"`: what is behind the symbol's comma tells
        # live messages from those of REST.
        end = raw.find(b",", raw.find(b",", 8) + 1)
        head = raw[: end + 7]
        route = self._learnt.get(head)
        return route if route is not None else self._learn(head, raw)

    def split(self, raw: bytes) -> Iterator[tuple[Route[P], bytes]]:
        """Yield the message itself: each is about one symbol."""
        yield self.route(raw), raw

    def _learn(self, head: bytes, raw: bytes) -> Route[P]:
        try:
            read = _read_head(raw)
        except InvalidMessage as error:
            return invalid_route(UNREADABLE, "", str(error))
        reader = self._readers.get(read.type)
        if read.type == "invalid":
            return Route(UNREADABLE, "", read_invalid)
        if reader is None:
            return invalid_route(UNREADABLE, "", f"unknown type {read.type[:40]!r}")
        if not is_symbol(read.symbol):
            return invalid_route(read.type, "", f"{read.symbol[:64]!r} is no symbol")
        origin = REST if read.via == REST else LIVE
        key = (read.type, read.symbol, origin)
        route = self._made.get(key)
        if route is None:
            route = self._made[key] = Route(read.type, read.symbol, reader, origin)
        if len(self._learnt) >= _MAX_LEARNT:
            self._learnt.clear()
        # Only what mdkit writes itself can be told by its beginning.
        if origin == LIVE and head.endswith((b'"bids"', b'"trade', b'"last"')):
            self._learnt[head] = route
        return route
