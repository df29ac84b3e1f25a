"""What a source needs of a WebSocket connection, and where its messages wait to be taken.

The library's own `recv()` gives one message a call, late: a time stamp taken then would
include the wait. Here whole chunks of the socket become one batch and one wake-up.
"""

from __future__ import annotations

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from mdkit.errors import FeedError, MdkitError
from mdkit.redaction import safe_text
from mdkit.venues.codec import Wire
from mdkit.venues.rest.retry_after import retry_after

RawMessage = tuple[bytes, int]
"""(raw bytes, received_ns)"""

MAX_INCOMING_BYTES = 16 << 20
MAX_FRAGMENTS = 1 << 12
"""The most fragments of one message: their sizes are bounded together, their number is not."""
MAX_OUTGOING_BYTES = 1 << 20
"""What may wait to be sent: a peer that never reads but pings would have answers pile up."""
_TOO_BIG = 1009
OPEN_SECONDS = 10.0
"""How long connecting may take, handshake included."""
CLOSE_SECONDS = 1.0
"""How long the peer's close frame is waited for."""
_USER = re.compile(r"//[^/]*@")
_HIGH_WATER = 2048
_HIGH_WATER_BYTES = 1 << 17
"""What workers handle in about a slice of time: more at once would wait, out of the caches."""


class HandshakeError(Exception):
    """No connection came about, and the service did not say why. `str()` is what was seen."""

    def __init__(self, seen: str) -> None:
        super().__init__(safe_text(seen))


class ConnectionEndedError(Exception):
    """The connection is gone. `str()` says who ended it, and with which code."""


class Connection(Protocol):
    """An open connection.

    `bytes_seen` counts everything read, control frames included: a connection on which it
    stands still is dead or idle. `reading_paused` says that nothing is read because nobody
    takes what has arrived; pings stay unanswered then. Pings of the peer are answered
    otherwise, and nothing else is sent unasked: a keepalive of the library's own would take
    a loop that was blocked for a connection that is dead.
    """

    bytes_seen: int
    reading_paused: bool

    async def batch(self) -> list[RawMessage]:
        """Return what has arrived, at least one message, in order; suspend until then.

        Raises `ConnectionEndedError` when the connection is gone and everything was handed
        over.
        """

    @property
    def waiting(self) -> Sequence[RawMessage]:
        """What has arrived and was not taken yet, in order."""

    async def send_text(self, text: str) -> None:
        """Send a message; raise `ConnectionEndedError` when the connection is gone."""

    async def send_ping(self) -> None:
        """Send a protocol ping; raise `ConnectionEndedError` when the connection is gone."""

    async def hang_up(self) -> None:
        """Close with a close frame and wait for the peer's, but not for long. Never raises."""

    def cut(self) -> None:
        """Abort the connection at once."""


class Inbox(ABC):
    """The half of a connection where messages pile up until `batch()`.

    When nobody takes them the socket is paused.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bytes_seen = 0
        self.reading_paused = False
        self._inbox: list[RawMessage] = []
        self._inbox_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    async def batch(self) -> list[RawMessage]:
        """Return what has arrived, at least one message, in order; suspend until then.

        Raises `ConnectionEndedError` when the connection is gone and everything was handed
        over.
        """
        while not self._inbox:
            if self._lost:
                raise ConnectionEndedError(self._ending())
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        batch, self._inbox, self._inbox_bytes = self._inbox, [], 0
        if self.reading_paused and not self._lost:
            self.reading_paused = False
            self._reader().resume_reading()
        return batch

    @property
    def waiting(self) -> Sequence[RawMessage]:
        """What has arrived and was not taken yet, in order."""
        return self._inbox

    @abstractmethod
    def _reader(self) -> asyncio.ReadTransport:
        """Return what can be paused."""

    @abstractmethod
    def _ending(self) -> str:
        """Return how the connection ended, in words."""

    def _chunk_taken(self, size: int) -> None:
        """Wake the reader after a chunk of the socket; pause the socket when too much waits."""
        if not self._inbox:
            return
        self._wake()
        self._inbox_bytes += size
        full = len(self._inbox) > _HIGH_WATER or self._inbox_bytes > _HIGH_WATER_BYTES
        if full and not self.reading_paused:
            self.reading_paused = True
            self._reader().pause_reading()

    def _connection_gone(self) -> None:
        """Wake whoever waits for a batch: none will come."""
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def shown(url: str) -> str:
    """Return a URL as it may be shown: a user, a password and the query could be secrets."""
    return _USER.sub("//", url.partition("?")[0].partition("#")[0], count=1)


def ending(received: tuple[int, str] | None, sent: int | None) -> str:
    """Say how a connection ended, from the (code, reason) received and the code sent."""
    if received is not None:
        code, reason = received[0], safe_text(received[1])
        if code == _TOO_BIG:
            reason = f"a message over the limit{reason and ': '}{reason}"
        return f"closed by the server with code {code}" + (f" ({reason})" if reason else "")
    if sent is not None:
        return f"closed here with code {sent}"
    return "connection lost without a close frame"


def refusal(
    codec: Wire, status: int, retry_after_header: str, body: bytes, location: str = ""
) -> MdkitError:
    """Return the error that an HTTP answer to the handshake means.

    The headers Retry-After and Location are given by their values, or empty.
    """
    if 300 <= status < 400:
        # The key is in the address: it would go to wherever the redirect points.
        target = safe_text(shown(location)) or "nowhere"
        return FeedError(
            f"The connection is redirected (HTTP {status}) to {target}, which mdkit does not "
            "follow with a key: set the final address as TICKDB_WS_URL or source=."
        )
    return codec.refusal(status, body, retry_after(retry_after_header, time.time()))
