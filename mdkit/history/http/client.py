"""HTTP to a venue's REST service: timeouts, retries, a request budget, errors with a cure.

What is tried again: no connection (twice), no answer in time (twice), HTTP 429 and all 5xx (five
times, waiting as long as Retry-After says) by urllib3's `Retry`; a body that breaks off or is
not an answer, and what the venue says is worth it under any other HTTP status, by `RestClient`.
Everything else is raised at once, also a certificate that cannot be trusted. A client in a hurry
tries nothing again. The key travels in a header and is in no message.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from math import inf
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from mdkit.errors import (
    AuthenticationError,
    FeedError,
    InvalidMessage,
    MdkitError,
    RateLimitError,
    ServerError,
    ServiceError,
    SettingsError,
)
from mdkit.history.http.budget import Budget, Waiting
from mdkit.history.http.certificates import SystemTrustAdapter, bad_certificate, distrust
from mdkit.history.http.deadlines import ANSWER_SECONDS, MAX_ANSWER_BYTES, DeadlineAdapter
from mdkit.history.http.retries import RETRIED_STATUS, Patience, check_wait
from mdkit.redaction import Secret, hide, hide_address
from mdkit.venues.registry import DEFAULT_REST
from mdkit.venues.rest.api import Request, RestApi
from mdkit.venues.rest.klines import Kline
from mdkit.venues.rest.public import PublicRest
from mdkit.venues.rest.retry_after import retry_after

TIMEOUTS = (3.05, 10.0)
"""Seconds to connect, and between two bytes of an answer."""
_TRIES = 5
_JSON = {"Content-Type": "application/json"}
_BANNED = 418
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def socks_cure(package: str) -> str:
    """Return what to do about a SOCKS proxy that needs a library which is not installed."""
    return (
        "The environment names a SOCKS proxy (ALL_PROXY, HTTPS_PROXY or the like), which needs a "
        f'library: python -m pip install "{package}", or unset it.'
    )


def is_loopback(base_url: str) -> bool:
    """Whether a URL names this machine."""
    return urlsplit(base_url).hostname in _LOOPBACK


class RestClient:
    """Asks one service for bars. A context manager; `close()` ends its connections.

    Args:
        base_url: the REST base, such as "https://api.tickdb.ai/v1".
        api_key: goes into a header.
        api: how the service is asked; TickDB's unless given.
        budget: calls a minute; without limit unless given.
        timeouts: seconds to connect and to wait for an answer.
        sleep: how to wait between tries; replaced in tests.
        waiting: told before a wait.

    Attributes:
        requests: how many were made.
        server_ms: the service's time in its last answer, in ms since the epoch; None where no
            answer said.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        budget: Budget | None = None,
        timeouts: tuple[float, float] = TIMEOUTS,
        sleep: Callable[[float], Any] | None = None,
        waiting: Waiting | None = None,
        api: RestApi | None = None,
    ) -> None:
        base_url, api_key = hide_address(base_url), hide(api_key)
        _check_base(base_url)
        parts = urlsplit(base_url)
        if api_key is not None and (not api_key.isascii() or not api_key.isprintable()):
            raise AuthenticationError("The API key holds characters that no key has; check it.")
        self.api: RestApi = DEFAULT_REST if api is None else api
        self.base_url = base_url.rstrip("/")
        self.name = parts.netloc
        self.waiting = waiting
        self.requests = 0
        self.server_ms: int | None = None
        self._tried = 0  # in this call
        self._key = api_key
        self._budget = budget or Budget(None)
        self._timeouts = timeouts
        self._sleep = self._nap if sleep is None else sleep
        self._tries = _TRIES
        self._status_retries = Patience.STATUS_RETRIES
        self._until = inf
        self._ended = threading.Event()
        self._session = requests.Session()
        # A proxy of the environment knows nothing about this machine's own ports.
        self._session.trust_env = not is_loopback(base_url)
        if api_key:
            self._session.headers.update(self.api.headers(api_key))
        make = SystemTrustAdapter if parts.scheme == "https" else DeadlineAdapter
        self._adapter = make(max_retries=Patience.of(self._pause, self._spend))
        self._adapter.seconds = self._seconds_left
        self._session.mount(f"{parts.scheme}://", self._adapter)

    def hurry(self, seconds: float) -> None:
        """Have done in so many seconds, all calls together: try nothing again, wait for nothing.

        What would need more raises the error that it would have been tried again for, or
        `RateLimitError` where the budget is spent.
        """
        self._until = time.monotonic() + seconds
        self._tries, self._status_retries = 1, 0
        self._adapter.max_retries = Patience.of(self._pause, self._spend, retries=0)

    def give_up(self) -> None:
        """End calls in other threads, and try nothing more: they raise `FeedError`."""
        self._ended.set()
        self._adapter.cut()

    def klines(
        self,
        symbol: str,
        interval: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int,
    ) -> list[Kline]:
        """Return one page of completed bars, in whatever order the service gives them.

        Raises a `ServiceError` when it refuses, `FeedError` when it cannot be reached and
        `InvalidMessage` when its bars cannot be true.
        """
        about = f"klines {symbol} {interval}"
        request = self.api.klines(symbol, interval, start_ms, end_ms, limit)
        return self.api.read_klines(self._get(request, about), f"{symbol} {interval}")

    def depth(self, symbol: str, levels: int = 50) -> bytes:
        """Return the current book as the message that would push it, marked as filled in.

        Raises as `klines` does.
        """
        data = self._get(self.api.depth(symbol, levels), f"the book of {symbol}")
        return self.api.message("depth", symbol, data)

    def trades(self, symbol: str, limit: int | None = None) -> bytes:
        """Return the latest trades as the message that would push them, marked as filled in.

        As many as the service gives at once unless a `limit` says otherwise. Raises as `klines`
        does.
        """
        request = self.api.trades(symbol, self.api.max_trades if limit is None else limit)
        return self.api.message("trade", symbol, self._get(request, f"trades of {symbol}"))

    def instruments(self, symbol: str = "") -> tuple[str, ...]:
        """Return what a public venue trades, of the kind of this symbol where kinds are apart.

        Raises as `klines` does, and `TypeError` for a service that has no such list.
        """
        api = self.api
        if not isinstance(api, PublicRest):
            raise TypeError(f"{self.name} gives no list of its symbols")
        return api.read_instruments(self._get(api.instruments(symbol), "its symbols"))

    def server_time(self) -> float | None:
        """Ask a public venue for its time; return it in seconds, or None where it does not say.

        Raises as `klines` does, and `TypeError` for a service that is none.
        """
        api = self.api
        if not isinstance(api, PublicRest):
            raise TypeError(f"{self.name} is not asked for its time")
        return api.read_time(self._get(api.clock, "asked for its time"))

    def close(self) -> None:
        """Close the connections."""
        # urllib3 2 closes them only when their pool is collected, which the traceback of a
        # retried error puts off.
        managers = [self._adapter.poolmanager, *self._adapter.proxy_manager.values()]
        for manager in managers:
            for key in list(manager.pools.keys()):
                with contextlib.suppress(KeyError):
                    manager.pools[key].close()
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RestClient {self.base_url}, {self.requests:,} requests>"

    def get(self, request: Request, about: str) -> bytes:
        """Ask something of the service in its own words; return the data of its answer.

        `about` names it in errors. Raises as `klines` does.
        """
        return self._get(request, about)

    def _get(self, request: Request, about: str) -> bytes:
        trouble: MdkitError | None = None
        self._tried = 0
        self._adapter.expired = False
        for attempt in range(self._tries):
            if trouble is not None:
                wait = getattr(trouble, "retry_after", None)
                self._pause(0.5 * 2 ** (attempt - 1) if wait is None else wait, str(trouble))
            self._spend()
            try:
                return self._try(request, about)
            except _Again as again:
                trouble = again.error
        assert trouble is not None
        raise _given_up(trouble, self._tried)

    def _try(self, request: Request, about: str) -> bytes:
        """Return the answer's data; raise `_Again` for what is worth another try."""
        broke_off = None
        try:
            # A redirect would carry the key's header to wherever it points.
            response = self._session.request(
                "GET" if request.body is None else "POST",
                self.base_url + request.path,
                params=request.params,
                data=request.body,
                headers=None if request.body is None else _JSON,
                timeout=self._timeouts_left(),
                allow_redirects=False,
                stream=True,
            )
            content = self._content(response, about)
        except (ChunkedEncodingError, ContentDecodingError):
            self._check_end()
            broke_off = FeedError(f"The answer of {self.name} broke off ({about}).")
        except requests.ConnectionError as error:
            self._check_end()
            reason = error.args[0] if error.args else None
            if isinstance(reason, ReadTimeoutError):  # between two parts of a body
                broke_off = FeedError(f"The answer of {self.name} broke off ({about}).")
            else:
                raise self._unreachable(reason, about) from None
        except requests.Timeout as error:
            raise self._unreachable(error, about) from None
        except requests.exceptions.InvalidSchema as error:
            if "SOCKS" in str(error):
                raise SettingsError(socks_cure("requests[socks]")) from None
            raise FeedError(f"The request to {self.name} failed ({error}; {about}).") from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None  # without the frames that hold the request's bytes
        except requests.RequestException as error:
            raise FeedError(
                f"The request to {self.name} failed ({type(error).__name__}; {about})."
            ) from None
        if broke_off is not None:
            raise _Again(broke_off)
        return self._read(response, content, about)

    def _content(self, response: requests.Response, about: str) -> bytes:
        """Return the body of an answer; raise `FeedError` where it does not end."""
        parts, size = [], 0
        with response:
            for part in response.iter_content(1 << 16):
                parts.append(part)
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise FeedError(
                        f"The answer of {self.name} is larger than {MAX_ANSWER_BYTES >> 20} MiB "
                        f"({about}): ask for less at once."
                    )
        return b"".join(parts)

    def _read(self, response: requests.Response, content: bytes, about: str) -> bytes:
        status = response.status_code
        self.server_ms = _date_ms(response.headers.get("Date"))
        if 300 <= status < 400:
            raise FeedError(
                f"{self.name} answers with a redirect, which mdkit does not follow with a key: "
                "set the final address as TICKDB_REST_URL, source= or rest_url=."
            )
        wait = retry_after(response.headers.get("Retry-After"), time.time())
        try:
            return self.api.read(content, status, about, wait)
        except InvalidMessage as error:
            raise _Again(ServerError(f"{self.name} gave {error} ({about})")) from None
        except (RateLimitError, ServerError) as refusal:
            if status == _BANNED:
                raise  # every further try would make it longer
            if status in RETRIED_STATUS:
                raise _given_up(refusal, self._tried) from None
            check_wait(refusal.retry_after, about)
            raise _Again(refusal) from None

    def _unreachable(self, reason: Any, about: str) -> FeedError:
        cause = reason.reason if isinstance(reason, MaxRetryError) else reason
        if isinstance(cause, ReadTimeoutError):
            if not self._status_retries:
                return FeedError(f"{self.name} gave no answer in time ({about}).")
            return FeedError(
                f"{self.name} gave no answer within {self._timeouts[1]:g} s, {self._tried} times "
                f"({about}); try again later."
            )
        if (certificate := bad_certificate(cause)) is not None:
            host = urlsplit(self.base_url).hostname or self.name
            return FeedError(f"No connection to {self.name}: {distrust(host, certificate)}.")
        return FeedError(
            f"No connection to {self.name} ({type(cause).__name__}; {about}): check the network "
            'and the address. source="demo" works without either.'
        )

    def _check_end(self) -> None:
        """Raise `FeedError` where nobody waits any more, or an answer did not come to its end."""
        if self._ended.is_set():
            raise FeedError(f"Nobody waits for {self.name} any more.")
        if self._adapter.expired:
            raise FeedError(f"{self.name} gave no whole answer in time; try again later.")

    def _seconds_left(self) -> float:
        return min(ANSWER_SECONDS, max(self._until - time.monotonic(), 0.001))

    def _timeouts_left(self) -> tuple[float, float]:
        """Return the seconds to connect and to wait for an answer, of what time is left."""
        left = max(self._until - time.monotonic(), 0.001)
        return min(self._timeouts[0], left), min(self._timeouts[1], left)

    def _spend(self) -> None:
        self._check_end()
        self._budget.spend(
            self.waiting,
            longest=0.0 if self._until < inf else None,
            sleep=self._nap,
        )
        self.requests += 1
        self._tried += 1

    def _pause(self, seconds: float, why: str) -> None:
        if self.waiting is not None:
            self.waiting(seconds, why)
        self._sleep(seconds)

    def _nap(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            raise FeedError(f"Nobody waits for {self.name} any more.")


def _check_base(base_url: str) -> None:
    if isinstance(base_url, Secret):  # its parts would be, too, but stand in no variable here
        raise SettingsError(
            "A REST base has no query, user or password: pass the key as api_key= instead."
        )
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"{base_url!r} is not a REST base: give one such as https://api.tickdb.ai/v1."
        )


def _date_ms(header: str | None) -> int | None:
    """Return the time of a Date header; it is that of whole seconds gone by."""
    try:
        return int(parsedate_to_datetime(header or "").timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class _Again(Exception):  # noqa: N818 - an order to `_get`, which never leaves it
    def __init__(self, error: MdkitError) -> None:
        super().__init__(str(error))
        self.error = error


def _given_up(error: MdkitError, tries: int) -> MdkitError:
    """Return the error of the last try, saying how many there were if there were several."""
    said = re.sub(
        r"; (retrying with backoff|backing off|waiting [\d.,]+ s(, the longest[^(]* s)?)",
        "",
        str(error),
    )
    given_up = f"; given up after {tries} tries. Try again later" if tries > 1 else ""
    said = f"{said.rstrip('.')}{given_up}."
    if isinstance(error, RateLimitError | ServerError):
        return type(error)(said, code=error.code, retry_after=error.retry_after)
    if isinstance(error, ServiceError):
        return type(error)(said, code=error.code)
    return type(error)(said)
