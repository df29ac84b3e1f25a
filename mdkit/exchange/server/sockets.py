"""The sockets: one port for WebSocket and REST, both dialects, keys and plan limits."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

import msgspec
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from mdkit.errors import ExchangeError, SettingsError
from mdkit.exchange.config import (
    CONTROL_HEADER,
    DATA_SERVICE,
    FLAT_PATH,
    KEEPALIVE,
    LOOPBACK,
    REALTIME_PATH,
    ExchangeConfig,
    Fault,
)
from mdkit.exchange.faults.faults import make_fault
from mdkit.exchange.server.callers import check_caller
from mdkit.exchange.server.commands import Commands
from mdkit.exchange.server.delivery import Client, Delivery, Feed
from mdkit.exchange.server.http import http_response, retry_after
from mdkit.exchange.server.posting import PostingConnection
from mdkit.exchange.server.rest import Budget, Endpoints, Refusal, query

if TYPE_CHECKING:
    from mdkit.exchange.server.venue_market import VenueMarket

_MOST_CONNECTIONS = 1000
"""WebSockets at a time, whatever the plan: a test that leaks them should hear of it."""
_MOST_BYTES = 1 << 20
"""The largest message that a client may send."""
_TURNS = 5
"""Turns of the event loop within which a socket that was accepted is a connection."""
# At DEBUG websockets logs request lines, and those hold api_key: this logger never gets there,
# not even where somebody sets every logger to DEBUG. And a client that goes away in the middle of
# its handshake is no fault of the exchange, of which older ones write a traceback.
_logger = logging.getLogger("mdkit.exchange")
_logger.setLevel(logging.INFO)
_logger.addFilter(
    lambda record: record.levelno >= logging.INFO and record.msg != "opening handshake failed"
)


class ExchangeServer:
    """An exchange in the running loop. `start` binds, `stop` closes everything."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.config = config
        self.port = config.port
        self.refused: dict[str, int] = {}
        self.connections_total = 0
        self._server: WebSocketServer | None = None
        self._connections: WeakSet[ServerConnection] = WeakSet()
        self._pump: asyncio.Task[None] | None = None
        self._market: Market | None = None
        self._venue: VenueMarket | None = None
        self._opened_ms = config.start_ms or time.time_ns() // 1_000_000
        # A recording is read before the port is bound: its errors belong to the start.
        self._feed: Feed | None = None
        if config.replay is not None:
            from mdkit.exchange.market.playback import Playback

            self._feed = Playback(config)

    async def start(self) -> None:
        """Bind the port; raise `ExchangeError` if that is impossible."""
        config = self.config
        if not _is_loopback(config.host):
            sys.stderr.write(
                f"WARNING: the mdkit exchange listens on {config.host}, where other machines "
                'may reach it. It is made for tests: use host="127.0.0.1" unless you mean it.\n'
            )
        try:
            self._server = await serve(
                self._converse,
                config.host,
                config.port,
                process_request=self._answer,
                create_connection=cast("type[ServerConnection]", self._connect),
                compression="deflate" if config.compression else None,
                max_size=_MOST_BYTES,
                ping_interval=self._keepalive,
                ping_timeout=self._keepalive,
                close_timeout=2,
                write_limit=1 << 20,
                logger=_logger,
                server_header="mdkit-exchange",
            )
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ExchangeError(
                f"The exchange cannot listen on {config.host}:{config.port} ({reason}); leave "
                "port at 0 to have a free one chosen, or stop whatever uses it."
            ) from None
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    @property
    def _keepalive(self) -> float | None:
        """Seconds between pings; those of a venue are its dialect's business."""
        if self.config.venue != DATA_SERVICE:
            return None
        return KEEPALIVE if self.config.keepalive is None else self.config.keepalive

    @property
    def delivery(self) -> Delivery:
        """What hands the market's messages to the clients; made when first needed."""
        return self.venue.delivery if self.is_venue else self.market.delivery

    @property
    def is_venue(self) -> bool:
        """Whether a venue's dialect is spoken."""
        return self.config.venue != DATA_SERVICE

    @property
    def market(self) -> Market:
        """The market, made when first needed: a client need not wait for it to connect."""
        if self._market is None:
            self._market = Market(self.config, self._feed or self._simulate())
            self._run(self._market.delivery)
        return self._market

    @property
    def venue(self) -> VenueMarket:
        """The same where a venue's dialect is spoken."""
        if self._venue is None:
            from mdkit.exchange.server.venue_market import VenueMarket

            self._venue = VenueMarket(self.config, self._opened_ms)
            self._run(self._venue.delivery)
        return self._venue

    def _run(self, delivery: Delivery) -> None:
        delivery.apply_initial_faults()
        self._pump = asyncio.create_task(delivery.run(), name="mdkit exchange")
        self._pump.add_done_callback(_report)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that are traded here."""
        return self.delivery.feed.symbols

    def _simulate(self) -> Feed:
        from mdkit.exchange.market.simulator import SimulatedFeed

        return SimulatedFeed(self.config, self._opened_ms)

    async def stop(self) -> None:
        """Close every connection and the port. A client that does not read is cut off."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self._server is None:
            return
        self._server.close()
        closing = asyncio.ensure_future(self._server.wait_closed())
        await asyncio.wait([closing], timeout=1.0)
        # What was accepted at the last moment becomes a connection a few turns of the loop later,
        # and what is cut off lets go of its socket one turn later.
        for _ in range(_TURNS):
            self._cut_off()
            await asyncio.sleep(0)
        await closing

    def _connect(self, *args: Any, **options: Any) -> ServerConnection:
        """Return a connection, and remember it: websockets forgets those that are no WebSocket."""
        kind = PostingConnection if self.is_venue else ServerConnection
        connection = kind(*args, **options)
        self._connections.add(connection)
        return connection

    def _cut_off(self) -> None:
        for connection in tuple(self._connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()

    def inject(self, fault: Fault) -> None:
        """Let a fault happen; call it in the loop's thread."""
        self.delivery.inject(fault)

    def statistics(self) -> dict[str, Any]:
        """Return connections, messages and faults so far, JSON-ready."""
        delivery = self.delivery
        calls = self.venue.rest_calls if self.is_venue else self.market.budget.total
        return {
            "symbols": list(self.symbols),
            "connections": len(delivery.clients),
            "connections_total": self.connections_total,
            "subscriptions": sum(len(client.keys) for client in delivery.clients),
            "rest_calls": calls,
            "refused": dict(self.refused),
            **delivery.statistics(),
        }

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a REST call, or decide about a WebSocket handshake (None: go on)."""
        path, params = query(request.path)
        try:
            if getattr(request, "method", "GET") != "GET":
                raise Refusal(2001, "only GET is served here", status=405)
            check_caller(request.headers, self.config.host)
            if path.startswith("/_exchange/"):
                if CONTROL_HEADER not in request.headers:
                    raise Refusal(1003, f"control needs a header {CONTROL_HEADER}", status=403)
                self._check_key(params.pop("api_key", None) or request.headers.get("X-API-Key"))
                return self._control(connection, path, params)
            upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
            if self.is_venue:
                posted = connection.body if isinstance(connection, PostingConnection) else None
                return await self._answer_venue(request, posted, upgrade)
            if not upgrade and path in (REALTIME_PATH, FLAT_PATH):
                raise Refusal(4002, f"{path} is a WebSocket: use ws://", status=426)
            endpoint = None if upgrade else self.market.endpoints.find(path)
            if upgrade and (hit := self._stopped_by("slow_handshake")):
                await asyncio.sleep(float(hit[1]["pause"]))
            self._admit("websocket" if upgrade else "rest")
            self._check_key(params.get("api_key") or request.headers.get("X-API-Key"))
            if upgrade and len(self.market.delivery.clients) >= _MOST_CONNECTIONS:
                raise Refusal(3003, f"more than {_MOST_CONNECTIONS} connections", status=503)
            if endpoint is None:
                if path not in (REALTIME_PATH, FLAT_PATH):
                    raise Refusal(2001, f"no WebSocket at {path[:100]}", status=404)
                if path == FLAT_PATH:
                    self.market.commands.check_flat(request.path)
                return None
            self.market.budget.spend(asyncio.get_running_loop().time())
            self.market.delivery.refresh()
            data = endpoint(params)
            if hasattr(data, "__await__"):
                data = await data
            return _response(200, {"code": 0, "message": "success", "data": data})
        except Refusal as refusal:
            self._count(refusal.code)
            body = {"code": refusal.code, "message": refusal.message, "data": None}
            return _response(refusal.status, body, refusal.headers)
        except Exception as error:
            _logger.exception("the exchange failed to answer %s", path)
            body = {"code": 5000, "message": f"internal error: {type(error).__name__}"}
            return _response(500, {**body, "data": None})

    async def _answer_venue(
        self, request: Request, posted: bytes | None, upgrade: bool
    ) -> Response | None:
        """The same in a venue's dialect, once it is known who calls; `posted` is a POST's body."""
        if not upgrade or posted is not None:
            return await self.venue.respond(request.path, posted)
        if hit := self._stopped_by("slow_handshake"):
            await asyncio.sleep(float(hit[1]["pause"]))
        if len(self.delivery.clients) >= _MOST_CONNECTIONS:
            raise Refusal(3003, f"more than {_MOST_CONNECTIONS} connections", status=503)
        return self.venue.admit(request.path)

    def _admit(self, what: str) -> None:
        """Raise `Refusal` if a fault keeps newcomers out."""
        if what == "websocket" and (hit := self._stopped_by("refuse")):
            raise Refusal(5001, "no connections at the moment", status=int(hit[1]["status"]))
        if what == "rest" and (hit := self._stopped_by("server_error")):
            raise Refusal(int(hit[1]["code"]), "server trouble")
        if hit := self._stopped_by("unauthorized"):
            raise Refusal(int(hit[1]["code"]), "API key refused")
        if hit := self._stopped_by("rate_limit"):
            headers = {"Retry-After": retry_after(hit)}
            raise Refusal(3001, "rate limit exceeded", headers=headers)

    def _stopped_by(self, what: str) -> tuple[float, dict[str, Any]] | None:
        """Return (seconds left, parameters) of a fault at the gate, counting this visit."""
        return self.delivery.gate.check(what, asyncio.get_running_loop().time())

    def _check_key(self, key: str | None) -> None:
        wanted = self.config.api_key
        if wanted is None:
            return
        if not key:
            raise Refusal(1002, "API key missing: send X-API-Key or api_key")
        if not hmac.compare_digest(key.encode(), wanted.encode()):
            raise Refusal(1001, "API key invalid")

    def _control(self, connection: ServerConnection, path: str, params: dict[str, str]) -> Response:
        """Answer the control endpoints, for peers on this machine only."""
        peer = str(connection.remote_address[0]) if connection.remote_address else ""
        if not _is_loopback(peer):
            raise Refusal(1003, "control endpoints answer this machine only")
        if path == "/_exchange/statistics":
            return _response(200, self.statistics())
        if path == "/_exchange/fault":
            kind = params.pop("kind", "")
            try:
                fault = make_fault(kind, params)
                self.inject(fault)
            except SettingsError as error:
                raise Refusal(2001, str(error)) from None
            return _response(200, {"code": 0, "message": "success", "data": fault.as_dict()})
        if path == "/_exchange/book" and self.is_venue:
            try:
                return _response(200, self.true_book(params))
            except ExchangeError as error:
                raise Refusal(2001, str(error)) from None
        raise Refusal(2001, "known: /_exchange/statistics, /_exchange/fault?kind=...", status=404)

    def true_book(self, params: dict[str, str]) -> dict[str, Any]:
        """Return the book that `params` name; see `Exchange.true_book`."""
        names = ("update_id", "time_ns", "levels")
        wanted = {name: int(params[name]) for name in names if name in params}
        return self.venue.true_book(params.get("symbol", ""), **wanted)

    async def _converse(self, connection: ServerConnection) -> None:
        """Serve one open WebSocket until it closes."""
        self.connections_total += 1
        if hit := self._stopped_by("accept_then_close"):
            await connection.close(int(hit[1]["code"]), str(hit[1]["reason"]))
            return
        request_path = connection.request.path if connection.request else REALTIME_PATH
        if self.is_venue:
            await self.venue.converse(connection, request_path)
            return
        market = self.market
        is_flat = query(request_path)[0] == FLAT_PATH
        compressed = bool(connection.protocol.extensions)
        client = Client(connection, "flat" if is_flat else "realtime", compressed)
        clients = market.delivery.clients
        most = self.config.limits.connections
        client.over_limit = most is not None and len(clients) >= most
        clients.add(client)
        try:
            if is_flat:
                market.commands.open_flat(client, request_path)
            async for text in connection:
                code = market.commands.handle(client, text)
                if code:
                    self._count(code)
        except ConnectionClosed:
            pass
        finally:
            clients.discard(client)
            client.closing = True

    def _count(self, code: int) -> None:
        self.refused[str(code)] = self.refused.get(str(code), 0) + 1


class Market:
    """A feed and the parts that work on it."""

    def __init__(self, config: ExchangeConfig, feed: Feed) -> None:
        self.delivery = Delivery(config, feed)
        self.endpoints = Endpoints(feed)
        self.budget = Budget(config.limits.rest_per_minute, config.limits.quota)
        self.commands = Commands(config, feed, self.delivery)


def _response(status: int, body: dict[str, Any], more: dict[str, str] | None = None) -> Response:
    return http_response(status, msgspec.json.encode(body), more)


def _is_loopback(host: str) -> bool:
    if host in LOOPBACK:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _report(pump: asyncio.Task[None]) -> None:
    if not pump.cancelled() and (error := pump.exception()) is not None:
        _logger.error("the exchange's market stopped", exc_info=error)
