"""Where TickDB's raw messages belong, told from their first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Generic

from msgspec import Raw

from mdkit.errors import InvalidMessage
from mdkit.events import MarketEvent
from mdkit.redaction import safe_text
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.routes import (
    ANSWER_ROUTE,
    CHANNELS,
    LIVE,
    MAX_SYMBOL,
    REST,
    SEVERAL,
    UNREADABLE,
    P,
    Route,
    invalid_route,
    is_symbol,
)
from mdkit.venues.tickdb.bodies import Head, SymbolOnly
from mdkit.venues.tickdb.decoders import COMMANDS, new_route

_read_head = json_decoder(Head)
_read_symbol = json_decoder(SymbolOnly)
_read_raw_list = json_decoder(list[Raw])
_ANSWERS = ("pong", "ping", "subscribe", "unsubscribe", "error")

# The heads whose bytes alone settle channel and symbol; anything else is parsed.
_HEAD = re.compile(
    rb'\{\s*"(?:cmd"\s*:\s*"(?P<enveloped>depth|trade|ticker|kline)"\s*,\s*"data"\s*:\s*\{'
    rb'|type"\s*:\s*"(?P<flat>depth|trade|ticker|kline)"\s*,)'
    rb'\s*"symbol"\s*:\s*"(?P<symbol>[^"\\]{1,64})"\s*'
)
_MAX_LEARNT = 100_000


class TickdbRouter(Generic[P]):
    """Tells the channel and symbol of raw messages of both dialects; see `routes.Router`.

    `symbols` are those subscribed to: the service sometimes drops the market suffix it was
    asked with ("700" for "700.HK"), and the router puts it back when that is unambiguous.
    `allow_nonpositive` takes prices of 0 and below for prices, which elsewhere are errors.
    `P` is what the router's owner keeps in the `place` of each route.
    """

    def __init__(self, symbols: Iterable[str] = (), *, allow_nonpositive: bool = False) -> None:
        self.allow_nonpositive = allow_nonpositive
        self._learnt: dict[bytes, Route[P]] = {}
        self._made: dict[tuple[str, str, bool, str], Route[P]] = {}
        self.expect(symbols)

    def expect(self, symbols: Iterable[str]) -> None:
        """Set the symbols that messages may be about; used to restore market suffixes."""
        full = tuple(symbols)
        self._expected = frozenset(full)
        stems: dict[str, set[str]] = {}
        for symbol in full:
            stems.setdefault(symbol.rpartition(".")[0], set()).add(symbol)
        self._full_name = {
            stem: names.pop() for stem, names in stems.items() if stem and len(names) == 1
        }
        for symbol in full:
            self._full_name.pop(symbol, None)
        self._learnt.clear()

    def expects(self, symbol: str) -> bool:
        """Whether messages about this symbol were asked for."""
        return symbol in self._expected

    def route(self, raw: bytes) -> Route[P]:
        """Return where `raw` belongs. Never raises: unreadable bytes have a route as well.

        A message about several symbols at once has the route `SEVERAL`; `split` it first.
        """
        # All messages of one feed share their bytes up to the comma behind the symbol, so one
        # dict look-up replaces parsing. The first comma ends before byte 24 in both dialects.
        head = raw[: raw.find(b",", 24)]
        route = self._learnt.get(head)
        return route if route is not None else self._learn(head, raw)

    def split(self, raw: bytes) -> Iterator[tuple[Route[P], bytes]]:
        """Yield a `(route, raw)` for each entry of a list about several symbols."""
        for item in _read_raw_list(bytes(_read_head(raw).data)):
            part = b'{"cmd":"ticker","data":%b}' % bytes(item)
            yield self.route(part), part

    def _learn(self, head: bytes, raw: bytes) -> Route[P]:
        match = _HEAD.fullmatch(head)
        if match is None:
            return self._inspect(raw)
        try:
            symbol = match["symbol"].decode()
        except UnicodeDecodeError:
            return invalid_route(UNREADABLE, "", "text is not UTF-8")
        enveloped = match["enveloped"] is not None
        route = self._make((match["enveloped"] or match["flat"]).decode(), symbol, enveloped)
        if len(self._learnt) >= _MAX_LEARNT:
            self._learnt.clear()
        self._learnt[head] = route
        return route

    def _inspect(self, raw: bytes) -> Route[P]:
        try:
            head = _read_head(raw)
            channel = head.cmd or head.type
            refused = head.code is not None and (head.code != 0 or channel not in CHANNELS)
            if refused or head.cmd in _ANSWERS:
                return ANSWER_ROUTE
            if channel not in COMMANDS:
                named = repr(channel[:40]) if channel else "none"
                return invalid_route(UNREADABLE, "", f"unknown command: {named}")
            if not head.cmd:
                return self._make(channel, str(head.symbol), False)
            body = bytes(head.data)
            if channel == "ticker" and body.startswith(b"["):
                symbols = {str(_read_symbol(bytes(item)).symbol) for item in _read_raw_list(body)}
                if len(symbols) > 1:
                    return SEVERAL
                return self._make(channel, "".join(symbols), True)
            symbol = str(_read_symbol(body).symbol)
            return self._make(channel, symbol, True, REST if head.via == REST else LIVE)
        except InvalidMessage as error:
            return invalid_route(UNREADABLE, "", str(error))

    def _make(self, channel: str, symbol: str, enveloped: bool, origin: str = LIVE) -> Route[P]:
        symbol = self._full_name.get(symbol, symbol)
        if not symbol:
            return invalid_route(channel, "", "message names no symbol")
        if not is_symbol(symbol):
            reason = f"{safe_text(symbol[:MAX_SYMBOL])!r} is no symbol"
            if len(symbol) > MAX_SYMBOL:
                reason = f"a symbol of {len(symbol):,} characters is no symbol"
            return invalid_route(channel, "", reason)
        key = (channel, symbol, enveloped, origin)
        route = self._made.get(key)
        if route is None:
            route = new_route(channel, symbol, enveloped, origin, signed=self.allow_nonpositive)
            if len(self._made) >= _MAX_LEARNT:
                self._made.clear()
            self._made[key] = route
        return route


def decode(raw: bytes, received_ns: int = 0) -> tuple[MarketEvent, ...]:
    """Return the events of one message of either dialect; raise `InvalidMessage` if unusable.

    For single messages; a stream should keep a router, which remembers what it has seen.
    """
    router: TickdbRouter[None] = TickdbRouter()
    route = router.route(raw)
    if route is SEVERAL:
        return tuple(
            event for part, item in router.split(raw) for event in part.decode(item, received_ns)
        )
    return route.decode(raw, received_ns)
