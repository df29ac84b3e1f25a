"""The alerts of a session: what they wait for, what they do, and what became of that."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mdkit.errors import SessionError, SettingsError
from mdkit.monitoring.conditions import Condition, When, condition
from mdkit.monitoring.episodes import Episodes
from mdkit.monitoring.figures import NUMBERS, Figures, figures, fresh_figures
from mdkit.monitoring.telling import Do, Teller, described
from mdkit.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 10_000
_logger = logging.getLogger("mdkit")

RowState = Literal["waiting", "telling", "told", "failed", "not told"]
"""Of a row of `alerts()`: the cool-down runs; `do` runs; it ran; it, or the condition, failed;
what was to be told ended within the cool-down."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What an alert tells; `do` is called with it.

    Attributes:
        session: the session's name.
        alert: the condition, such as "queue > 0.8".
        text: what is the matter, in a sentence without keys.
        time: when it began (UTC).
        figures: the figures of the session at that moment; see `mdkit.monitoring.figures`.
    """

    session: str
    alert: str
    text: str
    time: datetime
    figures: dict[str, float]

    def __str__(self) -> str:
        return f"mdkit session {self.session!r}, {self.alert}: {self.text}"


@dataclass(slots=True)
class _Row:
    notice: Notice
    state: RowState
    told: datetime | None = None
    error: str = ""


class Alert:
    """One alert of a session, made by `session.alert`. `cancel()` ends it."""

    def __init__(self, waits_for: Condition, do: Do, cooldown: float) -> None:
        self.when = waits_for.text
        self.is_active = True
        self._condition = waits_for
        self._episodes = Episodes(cooldown)
        self._teller = Teller(do, self.when)
        self._row: _Row | None = None
        self._faults = Episodes(cooldown)

    def cancel(self) -> None:
        """Wait for nothing more. What is being told is told, what waits for that is not."""
        self.is_active = False
        if self._row is not None and self._row.state == "waiting":
            self._row.state = "not told"

    def __repr__(self) -> str:
        return f"<Alert {self.when!r}{'' if self.is_active else ', ended'}>"


class Alerts:
    """Looks at all alerts of a session whenever its sampler does, in the session's loop.

    `subject` is what functions are called with; `problem` takes what could not be told.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        subject: Any,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.told = self.failed = 0
        self._pipeline = pipeline
        self._subject = subject
        self._name = name
        self._clock = clock
        self._alerts: list[Alert] = []
        self._rows: deque[_Row] = deque(maxlen=_ROWS)
        self._telling = 0
        self._changed = asyncio.Event()
        self._is_closed = False

    def add(self, when: When, do: Do, cooldown: float) -> Alert:
        """Wait for a condition from now on. Raises `SettingsError` for what cannot be meant."""
        if not callable(do):
            raise SettingsError(
                f"do={do!r} cannot be called: give a function of one notice, md.webhook(url), or "
                "'notebook'."
            )
        if isinstance(cooldown, bool) or not (
            isinstance(cooldown, int | float) and 0 <= cooldown < math.inf
        ):
            raise SettingsError(f"cooldown={cooldown!r} is no time: give seconds, 0 or more.")
        if self._is_closed:
            raise SessionError("This session has ended: nothing more can happen in it.")
        now = fresh_figures(self._pipeline)  # events count from here
        alert = Alert(condition(when, self._subject, now), do, cooldown)
        if not self._alerts:
            self._pipeline.on_sample.append(self.look)
        self._alerts.append(alert)
        return alert

    def look(self) -> None:
        """See which conditions hold, and tell of what began. Raises nothing."""
        if self._is_closed or not self._alerts:
            return
        now = figures(self._pipeline)
        for alert in self._alerts:
            if alert.is_active:
                self._look_at(alert, now)

    def _look_at(self, alert: Alert, now: Figures) -> None:
        try:
            said = alert._condition(now)
        except Exception as error:
            if alert._faults.look(True, self._clock()).tells:
                text = "the condition could not be looked at"
                self._note(self._new_row(alert, now, text, "telling"), described(error))
            return
        alert._faults.look(False, self._clock())
        step = alert._episodes.look(bool(said), self._clock())
        if step.begins:
            alert._row = self._new_row(alert, now, said, "waiting")
        row = alert._row
        if step.passes and row is not None:
            row.state = "not told"
        if step.tells and row is not None:
            if not step.begins:  # what has come to it meanwhile is told as well
                row.notice = self._notice(alert, now, said, row.notice.time)
            self._tell(alert, row)
            if alert._condition.was_told(now):
                alert._episodes.close()

    def _new_row(self, alert: Alert, now: Figures, said: str, state: RowState) -> _Row:
        row = _Row(self._notice(alert, now, said, datetime.now(UTC)), state)
        self._rows.append(row)
        return row

    def _notice(self, alert: Alert, now: Figures, said: str, at: datetime) -> Notice:
        numbers = {name: value for name, value in asdict(now).items() if name in NUMBERS}
        return Notice(self._name, alert.when, said, at, numbers)

    def _tell(self, alert: Alert, row: _Row) -> None:
        row.state = "telling"
        self._telling += 1

        def done(error: str) -> None:
            self._telling -= 1
            self._changed.set()
            if row.state == "telling":  # else the session's end came first
                self._note(row, error)

        try:
            alert._teller.tell(row.notice, done)
        except Exception as error:  # such as: no further thread can be started
            done(described(error))

    def _note(self, row: _Row, error: str) -> None:
        if not error:
            row.state, row.told = "told", datetime.now(UTC)
            self.told += 1
            return
        row.state, row.error = "failed", error
        self.failed += 1
        text = f"Alert {row.notice.alert!r} ({row.notice.text}) was not told: {error}"
        _logger.warning("mdkit: %s", text)
        self._pipeline.problem(SessionError(text))

    async def finish(self, timeout: float) -> None:
        """Look for the last time, wait up to `timeout` seconds for what is being told, and end."""
        with contextlib.suppress(Exception):
            self.look()
        deadline = time.monotonic() + timeout
        while self._telling and (left := deadline - time.monotonic()) > 0:
            self._changed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        self.close()

    def close(self) -> None:
        """End at once; what was not told by now is so noted."""
        if self._is_closed:
            return
        self._is_closed = True
        for row in self._rows:
            if row.state == "telling":
                self._note(row, "the session ended while this was being told")
            elif row.state == "waiting":
                row.state = "not told"
        for alert in self._alerts:
            alert.cancel()
            alert._teller.close()

    def frame(self) -> pd.DataFrame:
        """Return one row an episode, oldest first; see `Session.alerts`."""
        import pandas as pd

        from mdkit.frames.display import Table

        rows = list(self._rows)
        times = [row.notice.time for row in rows]
        index = pd.DatetimeIndex(pd.to_datetime(times, utc=True), name="time")
        told = pd.Series([row.told for row in rows], dtype="object")
        return Table(
            {
                "alert": [row.notice.alert for row in rows],
                "text": [row.notice.text for row in rows],
                "state": [row.state for row in rows],
                "told": pd.DatetimeIndex(pd.to_datetime(told, utc=True)),
                "error": [row.error for row in rows],
            },
            index=index,
        )
