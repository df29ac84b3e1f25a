"""A connection to an exchange that speaks a venue's dialect."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from mdkit.exchange.messages import Key, Message, text_frame
from mdkit.exchange.server.delivery import Client
from mdkit.exchange.venues.dialect import Dialect
from mdkit.exchange.venues.wire import WireMessage


class VenueClient(Client):
    """An open connection, what it holds and what it has been promised; a `Subscriber`.

    `pong_within` is how many seconds a pong may take before the connection is cut.
    """

    def __init__(
        self, connection: ServerConnection, dialect: Dialect, path: str, params: dict[str, str]
    ) -> None:
        super().__init__(connection, "realtime", bool(connection.protocol.extensions))
        self.path = path
        self.params = params
        self.expected: set[Key] = set()
        self.state: dict[str, Any] = {}
        self.opened = self.last_sent = asyncio.get_running_loop().time()
        self.pong_within = 60.0
        self._dialect = dialect
        self._behind: dict[Key, list[bytes]] = {}

    def reply(self, text: bytes) -> None:
        """Send one text now."""
        self.last_sent = asyncio.get_running_loop().time()
        super().reply(text)

    def push(self, messages: list[Message], sent: Counter[Key | None]) -> None:
        """Send those of the messages that this connection holds, as the faults left them."""
        if not self.is_open:
            return
        texts: list[bytes] = []
        for message in messages:
            if not isinstance(message, WireMessage):
                texts += message.texts("realtime")  # what a fault says to everybody
                sent[None] += 1
                continue
            key = message.key
            assert key is not None
            if message.only is not None:
                if message.only is not self or key not in self.expected:
                    continue
                self.expected.discard(key)
                self.keys.add(key)
            elif key not in self.keys:
                continue
            self._send_one(message, key, texts, sent)
        if texts:
            self.last_sent = asyncio.get_running_loop().time()
            self._write_texts(tuple(texts), b"".join([text_frame(text) for text in texts]))

    def _send_one(
        self, message: WireMessage, key: Key, texts: list[bytes], sent: Counter[Key | None]
    ) -> None:
        text = self._dialect.render(self, message)
        if message.fate == "lost":
            return
        sent[key] += 1
        if message.fate == "reordered":
            self._behind.setdefault(key, []).append(text)
            return
        texts.append(text)
        if message.fate == "repeated":
            texts.append(text)
        texts += self._behind.pop(key, ())

    def ping(self, payload: bytes) -> None:
        """Send a ping, and cut the connection if its pong does not come in time."""
        if self.is_open:
            task = asyncio.create_task(self._ping(payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ping(self, payload: bytes) -> None:
        try:
            pong = await self.connection.ping(payload)
            async with asyncio.timeout(self.pong_within):
                await pong
        except TimeoutError:
            self.abort()
        except (ConnectionClosed, RuntimeError):
            return  # it closed meanwhile, or such a ping is still on its way


async def keep_beating(
    client: VenueClient,
    dialect: Dialect,
    is_stalled: Callable[[float], bool],
    max_age: Callable[[], float | None],
) -> None:
    """Have the dialect say what it says from time to time, and end connections of a certain age."""
    loop = asyncio.get_running_loop()
    while client.is_open:
        await asyncio.sleep(dialect.beat_every)
        now, most = loop.time(), max_age()
        if most is not None and now - client.opened >= most:
            client.close(1001, "the connection has lived as long as it may")
        elif not is_stalled(now):
            dialect.beat(client, now)
