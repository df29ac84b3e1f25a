"""Who may call the exchange: programs that its owner runs, and no web page that is open.

A page of any origin can make a browser send requests to this machine, and a name under its
control may resolve to 127.0.0.1. Browsers say which name they used (Host) and for which page
(Origin), and let no page of another origin set a header of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from mdkit.exchange.server.rest import Refusal

CONTROL_HEADER = "X-Mdkit-Control"
"""Must stand in requests to the control endpoints, with any value."""


def check_caller(headers: Mapping[str, str], host: str) -> None:
    """Raise `Refusal` for a request that was sent to another name, or by a foreign page.

    `host` is what the exchange was told to listen at.
    """
    sent_to = headers.get("Host", "")
    name = _host(f"//{sent_to}")
    if not (_is_address(name) or name in ("localhost", host.lower())):
        raise Refusal(1003, f"{sent_to[:80]!r} is not this exchange's address", status=421)
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != sent_to.lower():
        raise Refusal(1003, "pages of other origins are not served", status=403)


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
