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

from mdkit.channels.handlers import Handler
from mdkit.events import Event
from mdkit.stream import lanes
from mdkit.stream.failures import is_users, line_of

_logger = logging.getLogger("mdkit")
NOTED = 1.0
"""Seconds that a strategy may hold the loop before that is noted."""
TOLD = 5.0
"""Seconds after which it is told, while it goes on."""
_LOOK_SECONDS = 0.5


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

    `tell` is called in the watchdog's thread, once for each time that the loop is held for
    `told` seconds. A loop that is held by anything but a strategy or a callback, such as a
    notebook's cell, is none of its business.
    """

    def __init__(
        self,
        tell: Callable[[Held], None],
        *,
        noted: float = NOTED,
        told: float = TOLD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.longest: Held | None = None
        """The longest time so far that a strategy or callback held the loop."""
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
        call: FrameType | None = None
        since, was_told = 0.0, False
        while not self._ended.wait(min(_LOOK_SECONDS, self._noted / 2)):
            now = self._clock()
            if now - self._beat_at < self._noted:
                call = None
                continue
            found = _call_in(sys._current_frames().get(self._loop_thread))
            if found is None:
                call = None
                continue
            by, symbol, frame, innermost = found
            if frame is not call:
                # A loop that has much to do is in some call whenever one looks, but not in the
                # same one. (The frame is kept, so that no other can be in its place in memory.)
                call, since, was_told = frame, now, False
                continue
            held = Held(by, line_of(innermost.f_code, innermost.f_lineno), now - since, symbol)
            if held.seconds < self._noted:
                continue
            self._held = held
            if self.longest is None or held.seconds > self.longest.seconds:
                self.longest = held
            if held.seconds >= self._told and not was_told:
                was_told = True
                _logger.warning("mdkit: %s. Make it return, or interrupt it.", held)
                self._tell(held)


def _call_in(frame: FrameType | None) -> tuple[str, str, FrameType, FrameType] | None:
    """Return the strategy or callback that a thread is in, and for which symbol; or None.

    With it come the frame of its call, and the innermost frame of somebody's own code.
    """
    called, innermost = None, frame
    while frame is not None:
        if frame.f_globals.get("__name__") == lanes.__name__:
            by = _called_by(frame)
            if by is None or called is None or innermost is None:
                return None
            return by, _symbol_in(frame), called, innermost
        if is_users(frame.f_code) and innermost is not None and not is_users(innermost.f_code):
            innermost = frame
        called, frame = frame, frame.f_back
    return None


def _called_by(frame: FrameType) -> str | None:
    """Return what a frame of the lanes has called: the strategy, or a callback."""
    called = frame.f_code.co_name
    if called == "_publish":
        return "An on_signal callback"
    local = frame.f_locals
    handler = local.get("handler", local.get("self"))
    return f"Strategy {handler.name}" if isinstance(handler, Handler) else None


def _symbol_in(frame: FrameType) -> str:
    """Return whose event a frame of the lanes has given to a strategy."""
    for name in ("event", "bar", "gap"):
        thing = frame.f_locals.get(name)
        if isinstance(thing, Event):
            return str(getattr(thing, "symbol", ""))
    return ""
