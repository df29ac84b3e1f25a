"""HTTP answers, in place of a handshake or to a REST call."""

from __future__ import annotations

import math
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Response

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    418: "I'm a teapot",
    421: "Misdirected Request",
    422: "Unprocessable Entity",
    426: "Upgrade Required",
    429: "Too Many Requests",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
BLOCKED = (
    b'{"code":0,"msg":"Service unavailable from a restricted location according to the terms. '
    b'Please contact customer service if you believe you received this message in error."}'
)
"""What a venue says to those whom it does not serve where they are."""


def http_response(status: int, content: bytes, more: dict[str, str] | None = None) -> Response:
    """Return an answer of JSON text."""
    headers = Headers(
        {
            "Connection": "close",
            "Content-Length": str(len(content)),
            "Content-Type": "application/json; charset=utf-8",
            **(more or {}),
        }
    )
    return Response(status, _PHRASES.get(status, "Error"), headers, content)


def retry_after(hit: tuple[float, dict[str, Any]]) -> str:
    """Return the seconds that a fault "rate_limit" tells to wait, as the header's text."""
    left, params = hit
    wait = params["retry_after"]
    return str(max(1, math.ceil(left)) if wait is None else wait)
