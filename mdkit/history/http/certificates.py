"""Whom to trust over TLS, and what to say of a server whose certificate cannot be trusted.

Nothing here, nor anywhere else, can turn the check off.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

from urllib3.exceptions import SSLError

from mdkit.history.http.deadlines import DeadlineAdapter

# OpenSSL's X509_V_ERR_..., of which Python's ssl module has no names.
_OUT_OF_DATE = (9, 10)
_OTHER_NAME = (62, 64)


def distrust(host: str, error: ssl.SSLCertVerificationError) -> str:
    """Return why the certificate of a host cannot be trusted and what helps; no full stop."""
    reason = error.verify_message.rstrip(".")
    return f"the certificate of {host} cannot be trusted ({reason}): {_cure(error.verify_code)}"


def _cure(verify_code: int) -> str:
    if verify_code in _OUT_OF_DATE:
        return (
            "its owner must renew it, unless this machine's clock is wrong, which says "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        )
    if verify_code in _OTHER_NAME:
        return "check the address; it must have a name that the certificate is made out to"
    return (
        "check the address; if you know that it is the right one, add the certificate to those "
        "that this machine trusts (SSL_CERT_FILE names a file of them)"
    )


class SystemTrustAdapter(DeadlineAdapter):
    """Trusts what this machine trusts, as the WebSocket does, besides what `requests` brings.

    Otherwise a company's own authority would be good for the feed and not for its history.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool of direct connections."""
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pool of connections through a proxy."""
        return super().proxy_manager_for(proxy, ssl_context=ssl.create_default_context(), **kwargs)


def bad_certificate(error: Any) -> ssl.SSLCertVerificationError | None:
    """Return what urllib3's error says of a certificate, if that is what it is about."""
    cause = error.args[0] if isinstance(error, SSLError) and error.args else None
    return cause if isinstance(cause, ssl.SSLCertVerificationError) else None
