"""Whom a server on this machine answers: programs that its owner runs, no page that is open.

A page of any origin can make a browser send requests to this machine, and a name under its
control may resolve to 127.0.0.1. Browsers say which name they used (Host) and for which page
(Origin), and let no page of another origin set a header of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def is_sent_here(headers: Mapping[str, str], host: str) -> bool:
    """Return whether a request was sent to an address, to localhost, or to `host` by name.

    `host` is what the server was told to listen at.
    """
    name = _host(f"//{headers.get('Host', '')}")
    return _is_address(name) or name in ("localhost", host.lower())


def is_of_a_foreign_page(headers: Mapping[str, str]) -> bool:
    """Return whether a page of another origin has sent a request."""
    origin = headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("Host", "").lower()
    except ValueError:  # such as a bracket that does not close
        return True


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
