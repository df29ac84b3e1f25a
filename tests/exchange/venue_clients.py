"""Naive clients of venues' dialects: dicts of price to size, checksums by the letter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection, connect

from mdkit.exchange import Exchange

SECONDS = 30


def texts(frame: str | bytes) -> Any:
    """Return a frame with its numbers as the texts that stand there."""
    return json.loads(frame, parse_float=str, parse_int=str)


def crc(asks: list[tuple[str, str]], bids: list[tuple[str, str]]) -> int:
    """Return Kraken's checksum: CRC32 of the best ten, without points and leading zeros."""
    pieces = []
    for levels in (asks[:10], bids[:10]):
        for level in levels:
            pieces += [number.replace(".", "").lstrip("0") for number in level]
    return zlib.crc32("".join(pieces).encode())


class NaiveBook:
    """Two dicts of price text to size text."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}

    def replace(self, bids: Any, asks: Any) -> None:
        self.sides = {"bids": dict(bids), "asks": dict(asks)}

    def apply(self, bids: Any, asks: Any) -> None:
        for side, levels in (("bids", bids), ("asks", asks)):
            for price, size in levels:
                if float(size) == 0:
                    self.sides[side].pop(price, None)
                else:
                    self.sides[side][price] = size

    def truncate(self, depth: int) -> None:
        self.replace(self.bids[:depth], self.asks[:depth])

    @property
    def bids(self) -> list[tuple[str, str]]:
        return sorted(self.sides["bids"].items(), key=lambda level: -float(level[0]))

    @property
    def asks(self) -> list[tuple[str, str]]:
        return sorted(self.sides["asks"].items(), key=lambda level: float(level[0]))

    @property
    def crossed(self) -> bool:
        return float(self.bids[0][0]) >= float(self.asks[0][0])


def levels(true: dict[str, Any], depth: int | None = None) -> tuple[list[Any], list[Any]]:
    """Return the bids and asks of a true book as `NaiveBook` has them."""
    return (
        [tuple(level) for level in true["bids"][:depth]],
        [tuple(level) for level in true["asks"][:depth]],
    )


@contextlib.asynccontextmanager
async def session(
    exchange: Exchange, path: str = "", **options: Any
) -> AsyncIterator[ClientConnection]:
    """Open an exchange in this loop and a socket to it."""
    async with (
        exchange,
        connect(
            exchange.ws_url + path, compression=None, max_size=None, close_timeout=1, **options
        ) as socket,
    ):
        yield socket


async def until(
    socket: ClientConnection, enough: Callable[[list[Any]], Any], seconds: float = SECONDS
) -> list[Any]:
    """Return the frames, with numbers as texts, until there are enough of them."""
    frames: list[Any] = []
    async with asyncio.timeout(seconds):
        while not enough(frames):
            frames.append(texts(await socket.recv()))
    return frames


async def get(exchange: Exchange, path: str, **params: Any) -> requests.Response:
    """Call the exchange's REST without blocking the loop that it may run in."""
    return await asyncio.to_thread(
        requests.get, exchange.rest_url + path, params=params, timeout=SECONDS
    )
