"""A market that speaks a venue's dialect: its parts put together, and what faults do to them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from mdkit.errors import ExchangeError
from mdkit.exchange.config import ExchangeConfig, Fault
from mdkit.exchange.messages import Key
from mdkit.exchange.server.delivery import Delivery
from mdkit.exchange.server.http import BLOCKED, http_response, retry_after
from mdkit.exchange.server.rest import query
from mdkit.exchange.server.venue_client import VenueClient, keep_beating
from mdkit.exchange.venues.dialect import NotServed
from mdkit.exchange.venues.feed import VenueFeed
from mdkit.exchange.venues.instruments import native, pair
from mdkit.exchange.venues.registry import dialect_of
from mdkit.exchange.venues.wire import WireMessage


class VenueMarket:
    """A venue's market, dialect and delivery; the `VenueTargets` of its faults."""

    def __init__(self, config: ExchangeConfig, opened_ms: int) -> None:
        kind = dialect_of(config.venue)
        self.feed = VenueFeed(config, opened_ms, kind.book_levels, kind.id_gap)
        self.delivery = Delivery(config, self.feed)
        self.dialect = kind(config, self.feed)
        self.max_age = self.dialect.lifetime
        self.rest_calls = 0
        self.feed.is_wanted = self._is_wanted
        self.dialect.send = self._send
        self.dialect.wake = self.delivery.wake
        self.delivery.venue = self

    def true_book(
        self,
        symbol: str,
        update_id: int | None = None,
        time_ns: int | None = None,
        levels: int | None = None,
    ) -> dict[str, Any]:
        """Return a symbol's book as it stood; texts as in the venue's frames.

        Raises `ExchangeError` for an unknown symbol, or an update that is not remembered.
        """
        if symbol not in self.feed.instruments:
            raise ExchangeError(
                f"{symbol!r} is not traded here; these are: {', '.join(self.feed.symbols)}."
            )
        spec, book = self.feed.instruments[symbol], self.feed.book(symbol)
        if time_ns is not None and book.ns < time_ns <= self.feed.now_ns():
            time_ns = book.ns  # nothing has changed since
        found = book.at(update_id, time_ns, levels)
        return {
            "symbol": symbol,
            "update_id": found.last_id,
            "time_ns": found.ns,
            "bids": [self.dialect.texts(spec, *level) for level in found.bids],
            "asks": [self.dialect.texts(spec, *level) for level in found.asks],
        }

    # -- what faults do --------------------------------------------------------------------------

    def order(self, fault: Fault, params: dict[str, Any], now: float) -> None:
        """Have the next frames, answers or subscriptions go wrong."""
        if fault.symbol is not None:
            fault = msgspec.structs.replace(fault, symbol=self.native(fault.symbol))
        self.feed.orders.add(fault, params, now)

    def stop_as_planned(self, notice: float) -> None:
        """Give notice on every connection, and close them `notice` seconds later."""
        loop = asyncio.get_running_loop()
        for client in tuple(self.delivery.clients):
            assert isinstance(client, VenueClient)
            self.dialect.notice(client)
            loop.call_later(notice, client.close, 1001, "planned maintenance")

    def cut_at_age(self, seconds: float) -> None:
        """Cut every connection, also later ones, when it is that old."""
        self.max_age = seconds

    def deepen(self, symbol: str | None, size: int) -> None:
        """Make books so deep that their snapshots have about `size` bytes."""
        levels = max(1, size // self.dialect.level_bytes // 2)
        for name in self._named(symbol):
            self.delivery.write(list(self.feed.deepen(name, levels)))

    def cross(self, symbol: str | None, count: int) -> None:
        """Have the true book be crossed for so many updates."""
        for name in self._named(symbol):
            self.feed.book(name).crossed_for = count

    def send_empty(self, symbol: str | None) -> None:
        """Send frames of books that tell of no change."""
        for name in self._named(symbol):
            self.delivery.write(list(self.feed.empties(name)))

    def restart_ids(self, symbol: str | None) -> None:
        """Let books go on from lower numbers."""
        for name in self._named(symbol):
            self.feed.book(name).restart_ids()

    def sample(self) -> bytes:
        """Return a well-formed frame of the first symbol's book."""
        return self.dialect.sample()

    def _named(self, symbol: str | None) -> tuple[str, ...]:
        """Return the symbols that a fault is about; it may name one in the common form."""
        return self.feed.symbols if symbol is None else (self.native(symbol),)

    def native(self, symbol: str) -> str:
        """Return a symbol in the venue's own form."""
        return native(*pair(symbol, self.dialect.venue), self.dialect.venue)

    def _is_wanted(self, key: Key) -> bool:
        return any(
            key in client.keys or (isinstance(client, VenueClient) and key in client.expected)
            for client in self.delivery.clients
        )

    def _send(self, message: WireMessage) -> None:
        self.delivery.write([message])

    def is_stalled(self, now: float) -> bool:
        """Whether a fault has the exchange say nothing at the moment."""
        return self.delivery.outbox.is_stalled(now)

    async def respond(self, target: str, body: bytes | None) -> Response:
        """Answer a REST call that no fault keeps out; `body` is what was posted, None for a GET."""
        path, params = query(target)
        gate, now = self.delivery.gate, asyncio.get_running_loop().time()
        if hit := gate.check("rate_limit", now):
            return http_response(429, b"{}", {"Retry-After": retry_after(hit)})
        if hit := gate.check("blocked", now):
            return http_response(int(hit[1]["status"]), BLOCKED)
        if gate.check("unauthorized", now):
            return http_response(403, b"{}")
        if gate.check("server_error", now):
            return http_response(500, b"{}")
        self.rest_calls += 1
        self.delivery.refresh()
        found = await self.dialect.respond(path, params, body)
        return http_response(found.status, found.body, found.headers)

    def admit(self, target: str) -> Response | None:
        """Return what answers a handshake in place of a connection; None lets it through."""
        path, params = query(target)
        gate, now = self.delivery.gate, asyncio.get_running_loop().time()
        if hit := gate.check("refuse", now):
            return http_response(int(hit[1]["status"]), b"")
        if hit := gate.check("rate_limit", now):
            return http_response(429, b"", {"Retry-After": retry_after(hit)})
        if hit := gate.check("blocked", now):
            return http_response(int(hit[1]["status"]), BLOCKED)
        if gate.check("unauthorized", now):
            return http_response(403, b"")
        try:
            self.dialect.check(path, params)
        except NotServed as refusal:
            return http_response(refusal.answer.status, refusal.answer.body)
        return None

    async def converse(self, connection: ServerConnection, target: str) -> None:
        """Serve one open WebSocket until it closes."""
        path, params = query(target)
        client = VenueClient(connection, self.dialect, path, params)
        self.delivery.clients.add(client)
        beating = asyncio.create_task(
            keep_beating(client, self.dialect, self.is_stalled, lambda: self.max_age)
        )
        try:
            self.dialect.opened(client)
            async for text in connection:
                self.dialect.received(client, text)
        except ConnectionClosed:
            pass
        finally:
            beating.cancel()
            self.delivery.clients.discard(client)
            client.closing = True
