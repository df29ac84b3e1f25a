"""Why there is no connection: addresses and failures in words that may be shown."""

from __future__ import annotations

import errno
import socket
import ssl
from urllib.parse import urlsplit

from mdkit.errors import FeedError
from mdkit.sources.connection import OPEN_SECONDS, HandshakeError, shown


def check_url(url: str) -> None:
    """Raise `FeedError` for what cannot be a WebSocket's address."""
    if not _is_usable(url):
        raise FeedError(f"{shown(url)} is not a WebSocket URL: it must look like wss://host/path.")


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("ws", "wss") and parts.hostname and not parts.fragment
        return bool(usable) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that cannot be
        return False


def why_not_connected(url: str, error: BaseException) -> str:
    """Return what a failure to connect means, and where known what helps; no full stop."""
    if isinstance(error, TimeoutError):
        return f"the handshake was not answered within {OPEN_SECONDS:g} s"
    if isinstance(error, HandshakeError):
        return str(error)
    if isinstance(error, socket.gaierror):
        host = urlsplit(url).hostname or "it"
        return f"no address is known for {host} (no network, or a wrong name)"
    if isinstance(error, ssl.SSLCertVerificationError):
        from mdkit.history.http.certificates import distrust

        return distrust(urlsplit(url).hostname or "", error)
    several = f"Multiple exceptions: [Errno {errno.ECONNREFUSED}]"  # a name with several addresses
    if isinstance(error, ConnectionRefusedError) or str(error).startswith(several):
        return "connection refused"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
