"""A thread that notices when the loop stands still, and which strategy it stands still in.

A strategy that never returns holds the loop, so nothing in the loop could tell of it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from mdkit.events import Signal
from mdkit.machine import in_browser
from mdkit.workers.calls import Call
from mdkit.workers.failures import is_users, line_of

_logger = logging.getLogger("mdkit")
NOTED = 1.0
"""Seconds that a strategy may hold the loop before that is noted."""
TOLD = 5.0
"""Seconds after which it is told, while it goes on."""
_LOOK_SECONDS = 0.5
_OURS = "mdkit.workers."


@dataclass(frozen=True, slots=True)
class Held:
    """A loop, or a symbol's lane, that a strategy or callback holds, or held.

    `by` says who, `where` the line it was in, `seconds` for how long at least, `symbol` whose
    event it was given ("" for a callback), `what` is held.
    """

    by: str
    where: str
    seconds: float
    symbol: str = ""
    what: str = "the event loop"

    def __str__(self) -> str:
        event = f" over an event of {self.symbol}" if self.symbol else ""
        return f"{self.by} has held {self.what} for {self.seconds:.0f} s{event}, at {self.where}"


class Watchdog:
    """Watches the loop that `start` is called in; the loop says that it turns with `beat`.

    `running` gives the strategy or callback that the loop is in, and what that was called with.
    `tell` is called in the watchdog's thread, once for each time that the loop is held for
    `told` seconds. A loop that is held by anything but a strategy or a callback, such as a
    notebook's cell, is none of its business.
    """

    def __init__(
        self,
        running: Callable[[], Call | None],
        tell: Callable[[Held], None],
        *,
        noted: float = NOTED,
        told: float = TOLD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.longest: Held | None = None
        """The longest time so far that a strategy or callback held the loop."""
        self._running = running
        self._tell = tell
        self._noted = noted
        self._told = told
        self._clock = clock
        self._loop_thread = 0
        self._beat_at = 0.0
        self._held: Held | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to watch the calling thread."""
        self._loop_thread = threading.get_ident()
        self._beat_at = self._clock()
        if in_browser():  # nobody can look while the loop stands still
            return
        threading.Thread(target=self._watch, name="mdkit watchdog", daemon=True).start()

    def stop(self) -> None:
        """End; the thread follows at once."""
        self._ended.set()

    def beat(self) -> None:
        """Say that the loop turns."""
        self._beat_at = self._clock()
        self._held = None

    @property
    def held(self) -> Held | None:
        """What holds the loop now, for longer than `noted` seconds; None when it turns."""
        return self._held

    def _watch(self) -> None:
        call: Call | None = None
        since, was_told = 0.0, False
        while not self._ended.wait(min(_LOOK_SECONDS, self._noted / 2)):
            now = self._clock()
            if now - self._beat_at < self._noted:
                call = None
                continue
            found = self._running()
            frame = sys._current_frames().get(self._loop_thread)
            if found is None or frame is None:
                call = None
                continue
            called, event = found
            if call is None or called is not call[0] or event is not call[1]:
                # A loop that has much to do is in some call whenever one looks, but not in the
                # same one: every call is with an event of its own.
                call, since, was_told = found, now, False
                continue
            symbol = "" if isinstance(event, Signal) else str(getattr(event, "symbol", ""))
            held = Held(str(called), _line_in(frame), now - since, symbol)
            if held.seconds < self._noted:
                continue
            self._held = held
            if self.longest is None or held.seconds > self.longest.seconds:
                self.longest = held
            if held.seconds >= self._told and not was_told:
                was_told = True
                _logger.warning("mdkit: %s. Make it return, or interrupt it.", held)
                self._tell(held)


def _line_in(frame: FrameType) -> str:
    """Return the innermost line of somebody's own code, of what a strategy has called."""
    inside: FrameType | None = frame
    while inside is not None and not str(inside.f_globals.get("__name__")).startswith(_OURS):
        if is_users(inside.f_code):
            return line_of(inside.f_code, inside.f_lineno)
        inside = inside.f_back
    return line_of(frame.f_code, frame.f_lineno)
