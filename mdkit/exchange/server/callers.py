"""Refuses whom the exchange does not answer; `mdkit.callers` says who that is and why."""

from __future__ import annotations

from collections.abc import Mapping

from mdkit.callers import is_of_a_foreign_page, is_sent_here
from mdkit.exchange.server.rest import Refusal


def check_caller(headers: Mapping[str, str], host: str) -> None:
    """Raise `Refusal` for a request that was sent to another name, or by a foreign page.

    `host` is what the exchange was told to listen at.
    """
    if not is_sent_here(headers, host):
        sent_to = headers.get("Host", "")
        raise Refusal(1003, f"{sent_to[:80]!r} is not this exchange's address", status=421)
    if is_of_a_foreign_page(headers):
        raise Refusal(1003, "pages of other origins are not served", status=403)
