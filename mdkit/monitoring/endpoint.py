"""Where Prometheus fetches a session's metrics: one page, in the session's own loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping

from mdkit.callers import is_of_a_foreign_page, is_sent_here
from mdkit.errors import SessionError, SettingsError
from mdkit.monitoring.exposition import CONTENT_TYPE
from mdkit.notebook.loops import call_in

PATH = "/metrics"
_REQUEST_SECONDS = 5.0
_MOST_HEADER_BYTES = 16_384
_MOST_CALLERS = 16
_LINES_AT_ONCE = 200
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
}


class MetricsEndpoint:
    """Serves the metrics until the session ends, or `close()`.

    Attributes:
        host: the address that it listens at.
        port: the port that it has.
    """

    def __init__(self, host: str, port: int, lines: Callable[[], Iterator[str]]) -> None:
        """Take the port at once; `begin` answers. `lines` collects the metrics, in the loop.

        Raises `SettingsError` for what can be no port or address, and `SessionError` for one that
        cannot be had.
        """
        if not isinstance(host, str) or not host or "\0" in host:
            raise SettingsError(
                f"host={host!r} is no address to listen at: give one, such as 127.0.0.1."
            )
        if type(port) is not int or not 0 <= port <= 65_535:
            raise SettingsError(f"port={port!r} is out of range: 0 (any free one) to 65535.")
        self._lines = lines
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._is_closed = False
        self._callers: set[asyncio.Task[None]] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=16)
        except OSError as error:
            raise SessionError(
                f"The metrics cannot be served at {host}:{port} ({error.strerror or error}): give "
                "another port, or 0 for any free one."
            ) from None
        self.host = host
        self.port: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """Where the metrics are, such as "http://127.0.0.1:9100/metrics"."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{PATH}"

    def begin(self) -> None:
        """Answer from now on, in the running loop; a second time changes nothing."""
        if self._beginning is None and not self._is_closed:
            self._loop = asyncio.get_running_loop()
            self._beginning = self._loop.create_task(
                self._begin(), name=f"mdkit metrics at port {self.port}"
            )

    def close(self) -> None:
        """Answer nobody any more, and give the port back; from any thread."""
        if self._loop is None:
            self._close()
        else:
            call_in(self._loop, self._close)

    def _close(self) -> None:
        self._is_closed = True
        if self._beginning is not None:
            self._beginning.cancel()
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for caller in self._callers:
            caller.cancel()

    async def _begin(self) -> None:
        self._server = await asyncio.start_server(
            self._answer, sock=self._socket, limit=_MOST_HEADER_BYTES
        )

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = asyncio.current_task()
        assert caller is not None
        too_many = len(self._callers) >= _MOST_CALLERS
        self._callers.add(caller)
        is_whole = False
        try:
            if not too_many:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    await self._serve_one(reader, writer)
                    is_whole = True
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever asked is gone, or slow, or this ends
        finally:
            self._callers.discard(caller)
            if is_whole:
                writer.close()
            else:  # a caller that does not read would keep the connection
                writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            head = b""
        status, reason = self._judge(head)
        if status != 200:
            kind, body = "text/plain; charset=utf-8", f"{reason}\n".encode()
        else:
            kind, body = CONTENT_TYPE, await self._text()
        # With its length, since a part that ended in order would be taken for all of it.
        writer.write(_head(status, kind, len(body)))
        if not head.startswith(b"HEAD "):
            writer.write(body)
        await writer.drain()

    async def _text(self) -> bytes:
        lines = []
        for number, line in enumerate(self._lines(), 1):
            lines.append(line.encode())
            if number % _LINES_AT_ONCE == 0:  # thousands of symbols hold nobody up
                await asyncio.sleep(0)
        return b"".join(lines)

    def _judge(self, head: bytes) -> tuple[int, str]:
        """Return the status for a request, and what to say where that is not 200."""
        try:
            method, target, headers = _parse(head)
        except ValueError:
            return 400, "this is no request that is understood here"
        if not is_sent_here(headers, self.host):
            return 421, "the request was sent to another name than this address"
        if is_of_a_foreign_page(headers):
            return 403, "pages of other origins are not served"
        if method not in ("GET", "HEAD"):
            return 405, "only GET is answered"
        if target.partition("?")[0] != PATH:
            return 404, f"the metrics are at {PATH}"
        return 200, ""

    def __repr__(self) -> str:
        return f"<MetricsEndpoint {self.url}>"


def _parse(head: bytes) -> tuple[str, str, Mapping[str, str]]:
    """Return method, target and headers of a request; raise ValueError for anything else."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    headers: dict[str, str] = {}
    for line in lines:
        if not line:
            continue
        name, colon, value = line.partition(":")
        name = name.title()
        # A second Host would leave open which one was meant.
        if not colon or name != name.strip() or (name == "Host" and name in headers):
            raise ValueError(line)
        headers[name] = value.strip()
    return method, target, headers


def _head(status: int, kind: str, size: int) -> bytes:
    lines = [f"HTTP/1.1 {status} {_PHRASES[status]}", f"Content-Type: {kind}"]
    lines += [f"Content-Length: {size}", "Connection: close", "Cache-Control: no-store"]
    lines += ["X-Content-Type-Options: nosniff"]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
