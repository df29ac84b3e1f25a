"""POST on a port of WebSockets, for venues whose REST is asked by a body.

The `websockets` library reads requests without a body only. So a POST is read here, and handed on
as a GET of the same path and headers; its body is kept beside.
"""

from __future__ import annotations

from typing import Any

from websockets.asyncio.server import ServerConnection

_MOST_BYTES = 1 << 20
_VERB = b"POST "


class PostingConnection(ServerConnection):
    """A connection whose request may be a POST; `body` is what was posted, None for a GET."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.body: bytes | None = None
        self._begin = b""
        self._is_read = False

    def data_received(self, data: bytes) -> None:
        """Read a request up to the end of its body; hand everything else on as it comes."""
        if self._is_read:
            super().data_received(data)
            return
        self._begin += data
        if not _VERB.startswith(self._begin[: len(_VERB)]):
            self._is_read = True
            super().data_received(self._begin)
            return
        head, mark, body = self._begin.partition(b"\r\n\r\n")
        if len(self._begin) > _MOST_BYTES:
            self.transport.abort()
        elif mark:
            first, *headers = head.split(b"\r\n")
            size, kept = 0, []
            for header in headers:
                name, _, value = header.partition(b":")
                if name.strip().lower() != b"content-length":
                    kept.append(header)
                elif value.strip().isdigit():
                    size = int(value)
            if len(body) >= size:
                self._is_read, self.body = True, body[:size]
                first = b"GET " + first.removeprefix(_VERB)
                super().data_received(b"\r\n".join([first, *kept, b"", b""]))
