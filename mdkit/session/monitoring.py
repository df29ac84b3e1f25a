"""Metrics and alerts of a session, for what runs for days."""

from __future__ import annotations

import asyncio
import concurrent.futures
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from mdkit.errors import SessionError
from mdkit.machine import in_browser
from mdkit.monitoring.alerts import Alert, Alerts
from mdkit.monitoring.conditions import When
from mdkit.monitoring.exposition import Family, collect, write
from mdkit.monitoring.telling import Do

if TYPE_CHECKING:
    import pandas as pd

    from mdkit.monitoring.endpoint import MetricsEndpoint
    from mdkit.monitoring.notice import Notices
    from mdkit.pipeline.pipeline import Pipeline
    from mdkit.session.lifecycle import SessionLife

T = TypeVar("T")

_ALERT_SECONDS = 5.0
"""How long a session that has ended waits for the alerts that are being told."""


class SessionMonitoring(ABC):
    """What others see of a session: metrics to fetch, alerts that are sent."""

    name: str
    pipeline: Pipeline
    _loop: asyncio.AbstractEventLoop | None
    _ended: concurrent.futures.Future[Any]
    _predecessor: SessionLife[Any] | None
    _alerts: Alerts | None = None
    _endpoints: tuple[MetricsEndpoint, ...] = ()
    _notices: tuple[Notices, ...] = ()

    @abstractmethod
    def _look(self, function: Callable[[], T]) -> T:
        """Call a function in the session's loop; raise what made the session fail, once."""

    @abstractmethod
    def _do(self, function: Callable[[], T]) -> T:
        """Call a function in the session's loop."""

    def alert(
        self, when: When, do: Do | Literal["notebook"] = "notebook", *, cooldown: float = 60.0
    ) -> Alert:
        """Tell of a condition when it begins to hold; `alerts()` shows all that was told.

            session.alert("gap", md.webhook("https://chat.example/hook"))
            session.alert("queue > 0.8")
            session.alert(lambda session: session.health().lag > 0.5, print)

        Conditions are looked at when the session takes its samples, at most five times a second,
        never with a message. An alert is told when its condition begins to hold, and not again
        before it has ceased to. Within `cooldown` seconds nothing is told twice: what still holds
        then is told then, and what has passed is a row that says so.

        Args:
            when: "gap" (a stretch was not seen), "loss" (messages were dropped or conflated),
                "dead_letter", "disconnected", "stale" (connected, but silent), "failing" (most
                of the last messages became dead letters), "blocked" (the loop was late by more
                than 0.5 s), "failed" (an error ended the session), "ended"; a comparison such as
                "queue > 0.8" or "in_rate < 1" of a figure in `mdkit.monitoring.figures` with a
                number; or a quick function of the session, which is called in its loop: what is
                true holds, and a text says itself.
            do: called with a `Notice` (`text`, `alert`, `session`, `time`, `figures`).
                `md.webhook(url)` posts it; "notebook" shows it below this cell, or in a script
                on stderr. A coroutine function runs in the session's loop, any other in a thread
                of its own, so that it may take its time. What it raises is the row's `error`,
                part of `stats()["problems"]`, and logged.
            cooldown: seconds.

        Returns the alert, of which `cancel()` is the end. Raises `SettingsError`, with near
        matches, for what means nothing, and `SessionError` once the session has ended.
        """
        call: Any = do
        if do == "notebook":
            from mdkit.monitoring.notice import Notices

            call = Notices()
            self._notices = (*self._notices, call)
        return self._do(lambda: self._all_alerts().add(when, call, cooldown))

    def alerts(self) -> pd.DataFrame:
        """Return what alerts came to, a row an episode, by the time it began (UTC).

        `text` is what was the matter; `state` is "told", "telling", "waiting" (for the end of the
        cool-down), "not told" (it passed within that) or "failed", with the `error`. The newest
        10,000 are kept.
        """
        return self._look(lambda: self._all_alerts().frame())

    def prometheus(self) -> str:
        """Return the session's metrics as text in Prometheus's format, one family a metric.

        Names begin with `mdkit_`, times are in seconds and sizes in bytes; what only grows ends
        with `_total`. All have the label `session`, messages `symbol` and `channel` as well.
        """
        return "".join(write(self._look(self._families), self.name))

    def metrics_endpoint(self, port: int = 0, host: str = "127.0.0.1") -> MetricsEndpoint:
        """Serve `prometheus()` at http://127.0.0.1:PORT/metrics until the session ends.

        Args:
            port: 0 takes any free one; the answer's `url` says which.
            host: the address to listen at. Another than the default lets other machines read
                the metrics; there is no password. Requests that were sent to another name than
                an address, localhost or `host`, and those of web pages, are refused.

        A session that has not started answers once it does. The session whose name this one takes
        gives way at its port. Raises `SettingsError` for what can be no port or address, and
        `SessionError` for one that is taken, or once the session has ended.
        """
        from mdkit.monitoring.endpoint import MetricsEndpoint

        if in_browser():
            raise SessionError(
                "The metrics cannot be served from a browser, where Python has no sockets: "
                "session.prometheus() is their text."
            )
        if self._is_over():
            raise SessionError("This session has ended; make a new one with md.live(...).")
        for former in getattr(self._predecessor, "_endpoints", ()):
            if former.port == port:  # as when a cell is run again
                former.close()
        endpoint = MetricsEndpoint(host, port, self._lines)
        self._endpoints = (*self._endpoints, endpoint)
        if self._loop is not None:
            self._do(endpoint.begin)
        return endpoint

    def _lines(self) -> Iterator[str]:
        return write(self._families(), self.name)

    def _families(self) -> list[Family]:
        return collect(self.pipeline, self._alerts)

    def _all_alerts(self) -> Alerts:
        if self._alerts is None:
            self._alerts = Alerts(self.pipeline, self, self.name)
            if self._is_over():
                self._alerts.close()
        return self._alerts

    def _is_over(self) -> bool:
        return self._ended.done()

    def _show_notices(self) -> None:
        for notices in self._notices:
            notices.show()

    def _begin_monitoring(self) -> None:
        for endpoint in self._endpoints:
            endpoint.begin()

    async def _end_monitoring(self) -> None:
        """Tell what is left to tell, for some seconds, and close what is served."""
        try:
            if self._alerts is not None:
                await self._alerts.finish(_ALERT_SECONDS)
        finally:
            self._close_monitoring()

    def _close_monitoring(self) -> None:
        if self._alerts is not None:
            self._alerts.close()
        for endpoint in self._endpoints:
            endpoint.close()
