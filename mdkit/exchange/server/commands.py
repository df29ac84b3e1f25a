"""Subscribing: the commands of the `realtime` dialect and the URL query of the `flat` one."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec

from mdkit.exchange.config import CHANNELS, ExchangeConfig
from mdkit.exchange.market.instruments import TYPES
from mdkit.exchange.messages import Key
from mdkit.exchange.server.delivery import Client, Delivery, Feed
from mdkit.exchange.server.rest import Refusal


class _Request(msgspec.Struct):
    channel: str = ""
    symbols: list[str] = []
    type: str | None = None


class _Command(msgspec.Struct):
    cmd: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


_read_command = msgspec.json.Decoder(_Command).decode
_read_request = msgspec.json.Decoder(_Request).decode
_UNAVAILABLE = {
    "depth": (4003, "depth push is not available on this plan; use GET /v1/market/depth"),
    "trade": (4004, "trade push is not available on this plan; use GET /v1/market/trades"),
    "ticker": (1004, "ticker push is not available on this plan"),
}


class Commands:
    """Decides about subscriptions: which symbols exist, what the plan allows."""

    def __init__(self, config: ExchangeConfig, feed: Feed, delivery: Delivery) -> None:
        self._limits = config.limits
        self._feed = feed
        self._delivery = delivery

    def handle(self, client: Client, text: str | bytes) -> int:
        """Do what a client's message says and answer it; return the answer's code."""
        name = "error"
        try:
            try:
                command = _read_command(text)
                name = command.cmd
                if name == "ping":
                    self._delivery.refresh()
                    self._reply(client, "pong", 0, "pong", {"timestamp": self._feed.now_ms})
                    return 0
                if name not in ("subscribe", "unsubscribe"):
                    raise Refusal(4001, f"unknown command {name[:40]!r}")
                request = _read_request(command.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise Refusal(4002, f"message cannot be read: {error}") from None
            if name == "unsubscribe":
                self._check_request(request)
                client.keys -= {(request.channel, symbol) for symbol in request.symbols}
                data = {"channel": request.channel, "symbols": request.symbols}
                self._reply(client, name, 0, "success", data)
                return 0
            return self._subscribe(client, request)
        except Refusal as refusal:
            self._reply(client, name, refusal.code, refusal.message, None)
            return refusal.code

    def check_flat(self, path: str) -> None:
        """Raise `Refusal` for a URL whose subscriptions cannot be had."""
        limits = self._limits
        clients = self._delivery.clients
        if limits.connections is not None and len(clients) >= limits.connections:
            raise Refusal(3003, f"more than {limits.connections} connections")
        channels, symbols = _flat_query(path)
        for channel in channels:
            self._check_channel(channel)
        for symbol in symbols:
            if not self._feed.admit(symbol):
                raise Refusal(2002, f"unknown symbol {symbol[:40]}")
        wanted = len(channels) * len(symbols)
        if limits.subscriptions is not None and self._in_use() + wanted > limits.subscriptions:
            raise Refusal(3004, f"more than {limits.subscriptions} subscriptions")

    def open_flat(self, client: Client, path: str) -> None:
        """Subscribe a client to what its URL asks for."""
        channels, symbols = _flat_query(path)
        client.keys = {(channel, symbol) for channel in channels for symbol in symbols}
        self._delivery.wake()

    def _subscribe(self, client: Client, request: _Request) -> int:
        """Subscribe to those symbols that can be had; the answer names the first reason if not."""
        self._check_request(request)
        self._check_channel(request.channel)
        if client.over_limit:
            most = self._limits.connections
            self._reply(client, "subscribe", 3003, f"more than {most} connections", None)
            client.close(1008, "too many connections")
            return 3003
        room = self._limits.subscriptions
        code, message = 0, "success"
        accepted: list[str] = []
        refused: list[str] = []
        for symbol in dict.fromkeys(request.symbols):
            key: Key = (request.channel, symbol)
            spec = self._feed.instruments[symbol] if self._feed.admit(symbol) else None
            reason: tuple[int, str] | None = None
            if spec is None or request.type not in (None, spec.type):
                reason = (2002, "unknown symbol")
            elif key not in client.keys and room is not None and self._in_use() >= room:
                reason = (3004, f"more than {room} subscriptions; refused")
            if reason is None:
                client.keys.add(key)
                accepted.append(symbol)
                continue
            refused.append(symbol)
            if not code:
                code, message = reason
        if refused:
            message = f"{message} {', '.join(refused)[:200]}"
        data: dict[str, Any] = {"channel": request.channel, "symbols": accepted}
        if refused:
            data["refused"] = refused
        self._reply(client, "subscribe", code, message, data)
        if accepted:
            self._delivery.wake()
        return code

    def _check_request(self, request: _Request) -> None:
        if not request.symbols or not all(request.symbols):
            raise Refusal(2001, "symbols is empty")
        if request.channel not in CHANNELS:
            more = "; bars are served by GET /v1/market/kline" if request.channel == "kline" else ""
            raise Refusal(
                2001,
                f"channel {request.channel[:40]!r} is not one of {', '.join(CHANNELS)}{more}",
            )
        if request.type is not None and request.type not in TYPES:
            raise Refusal(2001, f"type {request.type[:40]!r} is not one of {', '.join(TYPES)}")

    def _check_channel(self, channel: str) -> None:
        if channel not in CHANNELS:
            raise Refusal(2001, f"channel {channel[:40]!r} is not one of {', '.join(CHANNELS)}")
        if channel not in self._limits.channels:
            code, message = _UNAVAILABLE[channel]
            raise Refusal(code, message)

    def _in_use(self) -> int:
        return sum(len(client.keys) for client in self._delivery.clients)

    def _reply(self, client: Client, cmd: str, code: int, message: str, data: Any) -> None:
        body = {"cmd": cmd, "code": code, "message": message, "data": data}
        client.reply(msgspec.json.encode(body))


def _flat_query(path: str) -> tuple[list[str], list[str]]:
    """Return the channels and symbols of a URL; each may be repeated or comma-separated."""
    values = parse_qs(path.partition("?")[2])

    def several(name: str) -> list[str]:
        parts = [part.strip() for text in values.get(name, []) for part in text.split(",")]
        return list(dict.fromkeys(part for part in parts if part))

    channels, symbols = several("channel"), several("symbol")
    if not channels or not symbols:
        raise Refusal(2001, "the URL must name channel=... and symbol=...")
    return channels, symbols
