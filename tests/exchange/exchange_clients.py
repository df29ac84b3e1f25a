"""Plain clients for the tests: the real `websockets` and `requests`, with time limits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection, connect

SECONDS = 60


def run(coroutine: Any, seconds: float = SECONDS) -> Any:
    """Run a test's coroutine, which must not hang."""

    async def limited() -> Any:
        return await asyncio.wait_for(coroutine, seconds)

    return asyncio.run(limited())


def get(exchange: Any, path: str, **params: Any) -> requests.Response:
    headers = params.pop("headers", None)
    return requests.get(exchange.rest_url + path, params=params, headers=headers, timeout=SECONDS)


def data(exchange: Any, path: str, **params: Any) -> Any:
    answer = get(exchange, path, **params)
    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (200, 0, "success")
    return body["data"]


def command(channel: str, symbols: Iterable[str], cmd: str = "subscribe", **more: Any) -> str:
    return json.dumps({"cmd": cmd, "data": {"channel": channel, "symbols": list(symbols), **more}})


async def ask(socket: ClientConnection, text: str | bytes) -> dict[str, Any]:
    """Send a command and return its answer, passing over pushed messages."""
    await socket.send(text)
    while True:
        answer = json.loads(await socket.recv())
        if "code" in answer:
            return answer


async def collect(
    url: str,
    subscriptions: Iterable[tuple[str, Iterable[str]]],
    enough: Callable[[list[str]], bool],
) -> list[str]:
    """Return the pushed texts from the first on, until there are enough."""
    texts: list[str] = []
    async with connect(url, compression=None, close_timeout=0.2) as socket:
        for channel, symbols in subscriptions:
            await socket.send(command(channel, symbols))
        while not enough(texts):
            text = await socket.recv()
            if '"code":' not in text:
                texts.append(text)
    return texts


async def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait for a condition, looking often, failing after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.01)
    return value
