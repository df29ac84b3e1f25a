"""`webhook`: tells a web service of an alert."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mdkit.errors import FeedError, SettingsError
from mdkit.machine import in_browser
from mdkit.monitoring.alerts import Notice
from mdkit.redaction import Secret, hide, safe_text

_IS_SECRET = re.compile("auth|token|key|secret|cookie", re.IGNORECASE)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_MOST_BYTES = 65_536
_here = threading.local()
"""Of each thread, whether it is posting."""


def webhook(
    url: str,
    *,
    timeout: float = 5.0,
    retries: int = 2,
    headers: Mapping[str, str] | None = None,
    body: Callable[[Notice], Any] | None = None,
) -> Webhook:
    """Return what posts an alert to a web address as JSON, for `session.alert(when, do)`.

    The body is `{"text", "session", "alert", "time", "figures"}`, of which chat services show
    the text. No redirect is followed, and the answer's content is not read. Keys known to mdkit
    are taken out of what is sent; the address, whose path is often a secret, is shown nowhere.

    Args:
        url: begins with https:// or http://.
        timeout: seconds that one attempt may take, from the connection to the answer.
        retries: how often it is tried again, after half a second, one, two, ..., when nothing
            answers or the service says 429 or 5xx. Any other refusal is final.
        headers: sent as well, such as an Authorization.
        body: makes the JSON from the notice, for services that want another form.

    Raises `SettingsError` for what is no such address or number.

    Example:
        >>> post = md.webhook("https://chat.example/hook/secret")
        >>> session = md.live(["AAPL.US"], source="simulated")
        >>> session.alert("queue > 0.8", post)
        <Alert 'queue > 0.8'>
    """
    if in_browser():
        raise SettingsError(
            "A webhook needs sockets, which Python in a browser has not: give a function, or "
            "'notebook'."
        )
    url = Secret(url) if isinstance(url, str) else url
    headers = {name: _hidden(name, value) for name, value in (headers or {}).items()}
    return Webhook(url, timeout, retries, headers, body)


class Webhook:
    """Posts notices; made by `webhook`. Called in a thread, never in a session's loop.

    `pause(seconds)` waits between attempts; tests give another.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        retries: int,
        headers: dict[str, str],
        body: Callable[[Notice], Any] | None,
        pause: Callable[[float], Any] | None = None,
    ) -> None:
        self.host = ""
        if type(timeout) not in (int, float) or not 0 < timeout <= 300:
            raise SettingsError(f"timeout={timeout!r} is not usable: above 0, up to 300 seconds.")
        if type(retries) is not int or not 0 <= retries <= 10:
            raise SettingsError(f"retries={retries!r} is not usable: 0 to 10.")
        parts = _parts(url)
        if parts is None:
            raise SettingsError("A webhook's address begins with https:// or http:// and a host.")
        hide(parts.password)
        self.host = parts.hostname or self.host
        self._url = Secret(url)
        self._timeout = timeout
        self._retries = retries
        self._headers = headers
        self._body = body or _standard_body
        self._pause = pause or threading.Event().wait

    def __call__(self, notice: Notice) -> None:
        """Post a notice; raise `FeedError` when all attempts have failed."""
        content = safe_text(json.dumps(self._body(notice), default=str, allow_nan=False)).encode()
        if len(content) > _MOST_BYTES:
            raise FeedError(
                f"the body has {len(content):,} bytes; at most {_MOST_BYTES:,} are sent"
            )
        for attempt in range(self._retries + 1):
            said, may_retry = self._post(content)
            if not said:
                return
            if not may_retry or attempt == self._retries:
                break
            self._pause(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE))
        tried = "" if attempt == 0 else f" ({attempt + 1} attempts)"
        raise FeedError(f"{self.host} {said}{tried}")

    def _post(self, content: bytes) -> tuple[str, bool]:
        """Return what went wrong, or an empty text, and whether it may go better again."""
        import requests

        from mdkit.history.http.certificates import SystemTrustAdapter
        from mdkit.history.http.deadlines import DeadlineAdapter

        secure = self._url.startswith("https:")
        adapter = SystemTrustAdapter() if secure else DeadlineAdapter()
        adapter.seconds = lambda: self._timeout
        headers = {"Content-Type": "application/json", "User-Agent": "mdkit", **self._headers}
        with _unlogged(), requests.Session() as session:
            session.mount("https://" if secure else "http://", adapter)
            try:
                response = session.post(
                    str(self._url),
                    data=content,
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                )
            except (requests.Timeout, requests.ConnectionError) as error:
                if adapter.expired or isinstance(error, requests.Timeout):
                    return f"did not answer within {self._timeout:g} s", True
                return f"cannot be reached ({type(error).__name__})", True
            except (requests.RequestException, ValueError) as error:  # such as a header's letters
                return f"cannot be asked ({type(error).__name__})", False
            with contextlib.closing(response):
                status = response.status_code
        if adapter.expired:  # what came by then may look like an answer
            return f"did not answer within {self._timeout:g} s", True
        if 200 <= status < 300:
            return "", False
        if 300 <= status < 400:
            return f"answered {status}, a redirect, which is not followed", False
        return f"answered {status}", status == 429 or status >= 500

    def __repr__(self) -> str:
        return f"<Webhook to {self.host}>"


def _parts(url: Any) -> SplitResult | None:
    """Return the parts of an address, or None: no frame of an error holds what it is made of."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:  # such as a bracket that does not close
        return None
    is_usable = parts is not None and parts.scheme in ("http", "https") and parts.hostname
    return parts if is_usable else None


def _hidden(name: Any, value: Any) -> str:
    if not isinstance(name, str) or not isinstance(value, str):
        raise SettingsError(f"The header {name!r} is no text, or its value is none: give texts.")
    return (_IS_SECRET.search(name) and hide(value)) or Secret(value)


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Have urllib3 log nothing of this thread's requests: it would show the address's path."""
    logging.getLogger("urllib3.connectionpool").addFilter(_is_of_others)
    _here.is_posting = True
    try:
        yield
    finally:
        _here.is_posting = False


def _is_of_others(record: logging.LogRecord) -> bool:
    return not getattr(_here, "is_posting", False)


def _standard_body(notice: Notice) -> dict[str, Any]:
    return {
        "text": str(notice),
        "session": notice.session,
        "alert": notice.alert,
        "time": notice.time.isoformat(),
        "figures": notice.figures,
    }
