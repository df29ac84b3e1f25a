"""An end to every answer: a server that drips bytes would hold a reader for ever.

The time-outs of `requests` are between two bytes. Here each request has a time by which its
answer must be whole; then its socket is shut down, which wakes whoever reads from it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

ANSWER_SECONDS = 60.0
"""How long an answer may take from request to last byte."""
MAX_ANSWER_BYTES = 64 << 20
"""How large an answer may be, unpacked."""


class DeadlineAdapter(HTTPAdapter):
    """Ends answers that take too long, and on request all that are under way.

    `seconds` returns how long the next answer may take; `expired` tells that one took longer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.seconds: Callable[[], float] = lambda: ANSWER_SECONDS
        self.expired = False
        self._open: WeakSet[Any] = WeakSet()
        self._pools = _pools(self)
        super().__init__(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pool of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cut(self) -> None:
        """End all answers that are under way, from any thread."""
        for connection in list(self._open):
            connection.shut_down()


class _Deadline:
    """The half of a connection that ends what takes too long."""

    adapter: DeadlineAdapter
    sock: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._raw: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def _new_conn(self) -> socket.socket:
        # Known before the handshake of TLS, which a server can drip as well.
        self._raw = super()._new_conn()  # type: ignore[misc]
        return self._raw

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request; its answer has so many seconds from now."""
        self.answered()
        self.adapter._open.add(self)
        self._timer = threading.Timer(self.adapter.seconds(), self._expire)
        self._timer.daemon = True
        self._timer.start()
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def answered(self) -> None:
        """The answer is whole, or nobody reads on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.adapter._open.discard(self)

    def close(self) -> None:
        """Close the socket."""
        self.answered()
        super().close()  # type: ignore[misc]

    def _expire(self) -> None:
        self.adapter.expired = True
        self.shut_down()

    def shut_down(self) -> None:
        """Wake whoever reads: nothing more comes."""
        for sock in (self.sock, self._raw):
            # Of TLS, too, only the socket: its own shutdown is not for two threads.
            if isinstance(sock, socket.socket):
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _pools(adapter: DeadlineAdapter) -> dict[str, Any]:
    """Return classes of connection pools whose connections belong to an adapter."""
    made = {}
    for scheme, pool, connection in (
        ("http", HTTPConnectionPool, HTTPConnection),
        ("https", HTTPSConnectionPool, HTTPSConnection),
    ):
        kind = type("DeadlineConnection", (_Deadline, connection), {"adapter": adapter})

        def put_back(self: Any, conn: Any, base: Any = pool) -> None:
            if conn is not None:
                conn.answered()
            base._put_conn(self, conn)

        made[scheme] = type("DeadlinePool", (pool,), {"ConnectionCls": kind, "_put_conn": put_back})
    return made
