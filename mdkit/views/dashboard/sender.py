"""Pictures of a session, sent to its canvas from the session's own loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Protocol

from mdkit.canvas.rings import Rows, in_ms
from mdkit.canvas.widget import CanvasWidget
from mdkit.errors import MdkitError
from mdkit.notebook.loops import running_loop
from mdkit.pipeline.pipeline import Pipeline
from mdkit.views.dashboard.collector import Collector, constants
from mdkit.views.dashboard.series import STEPS_MS
from mdkit.views.dashboard.state import ledger_of, may_trade, sentence_of, state_of
from mdkit.views.dashboard.ticker import Ticker

_QUIET_SECONDS = 0.2
"""How often a picture is sent when nothing has come: the axis of time goes on."""
_SLOW_SECONDS = 0.5
"""How often sentences and tables are looked at, and series while nobody can see them."""
_BUSY_SECONDS = 0.1
"""How often series are looked at while the page is not done with the last pictures."""
_SIGNAL_ROWS = 14
_MISSING = object()


class WatchedSession(Protocol):
    """What a session has that its dashboard needs."""

    name: str
    pipeline: Pipeline

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols subscribed to, and those that came."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that the session lives in; None before it has begun."""

    def stop(self) -> object:
        """Stop the feed."""


class Player(Protocol):
    """What a canvas needs to play a recording with a scrub bar."""

    def head(self) -> dict[str, Any]:
        """Return where it is and what there is to jump to, for the page."""

    def do(self, content: Mapping[str, Any]) -> None:
        """Do what the page asks for."""


class PictureSender:
    """Collects what is new, sends it, and does what the page asks for, some times a second.

    Args:
        session: what is shown.
        widget: what pictures are sent to.
        hz: pictures a second, at most.
        levels: that pressure sums at first.
        symbol: shown at first; None for the first that comes.
        player: of the recording that the session plays, if it does.
        at_end: called in the session's loop once it has ended.
        stays: goes on after the end, for a page that comes later.

    Attributes:
        paused_ms: the moment at which the picture stands, ms since the epoch; None while it moves.
        pictures: how many were sent.
        is_past: whether the session had ended before anything was sent.
        kept: names the output that wants the page's own picture now and then; "" for none.
    """

    def __init__(
        self,
        session: WatchedSession,
        widget: CanvasWidget,
        *,
        hz: float,
        levels: int,
        symbol: str | None,
        player: Player | None,
        at_end: Callable[[], None],
        stays: bool = False,
    ) -> None:
        self.session = session
        self.widget = widget
        self.player = player
        self.collector = Collector(session.pipeline, symbol)
        self.ticker = Ticker(self._tick, hz, at_end)
        self.pictures = 0
        self.paused_ms: float | None = None
        self.is_past = self.is_over
        self.stays = stays
        self.kept = ""
        self._here: asyncio.AbstractEventLoop | None = None
        self._levels = levels
        self._head_sent: dict[str, Any] = {}
        self._slow_at = self._sent_at = self._looked_at = 0.0
        self._is_new = False
        self._asked: list[Mapping[str, Any]] = []

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self.session.pipeline.finished.is_set()

    def start(self, here: asyncio.AbstractEventLoop | None) -> None:
        """Send from now on, in the session's loop, or `here` where it has none yet or any more."""
        self._here = here
        is_ended = self.is_past or (self.stays and self.is_over)
        loop = here if is_ended or self.session.loop is None else self.session.loop
        if loop is not None and loop.is_running():
            self.ticker.start(loop)

    def ask(self, content: Mapping[str, Any]) -> None:
        """Do something at the next tick; from any thread."""
        self._asked.append(content)
        if content.get("kind") == "ack":
            self.ticker.wake()

    def send_last(self) -> None:
        """Send how it ended, if there is a page."""
        self.collector.update()
        if self.widget.greeted:
            self._slow_at = 0.0
            self._send(time.monotonic())

    def _tick(self) -> bool:
        session = self.session
        if (loop := session.loop) is not None and not self.is_over and loop is not running_loop():
            self.ticker.start(loop)  # the session has begun since, in a loop of its own
            return False
        if self.is_over and not self.is_past and not (self.stays and running_loop() is self._here):
            return False
        self._answer()
        now = time.monotonic()
        is_seen = self.widget.visible and self.paused_ms is None
        if not is_seen and not self.widget.anew:
            if now - self._looked_at > _SLOW_SECONDS:
                self._looked_at = now
                self.collector.update()
            return True
        self.ticker.waits = not self.widget.ready
        if self.ticker.waits and now - self._looked_at < _BUSY_SECONDS:
            return True  # the page is not done yet: what comes meanwhile is looked at together
        self._looked_at = now
        self._is_new |= self.collector.update()
        if self.collector.is_anew:
            self.collector.is_anew = False
            self.widget.anew = True
        if not self.ticker.waits and (
            self._is_new or self.widget.anew or now - self._sent_at > _QUIET_SECONDS
        ):
            self._is_new = False
            self._send(now)
        return True

    def _send(self, now: float) -> None:
        self._sent_at = now

        def collect(anew: bool) -> tuple[dict[str, Any], dict[str, Rows]]:
            if anew:
                self._head_sent = {}
            parts = self.collector.parts(anew)
            return self._head(now), parts

        self.widget.send_picture(collect)
        self.pictures += 1

    def _head(self, now: float) -> dict[str, Any]:
        """Return what has changed of the header since the last picture."""
        head = self.collector.head()
        if now - self._slow_at > _SLOW_SECONDS or not self._head_sent:
            self._slow_at = now
            head |= self._slow_head()
        if self.player is not None:
            head["player"] = self.player.head()
        changed = {
            name: value
            for name, value in head.items()
            if self._head_sent.get(name, _MISSING) != value
        }
        changed["now"] = head["now"]
        self._head_sent |= changed
        return changed

    def _slow_head(self) -> dict[str, Any]:
        """Return what is looked at twice a second: words, counts and the newest signals."""
        pipeline = self.session.pipeline
        return {
            "state": state_of(pipeline),
            "sentence": self._sentence(),
            "ledger": ledger_of(pipeline),
            "symbols": list(self.session.symbols),
            "rate": pipeline.health().in_rate,
            "newest": self._signals(),
            "signals": pipeline.lanes.outcome.signals,
            "over": self.is_over,
            "can_stop": not self.is_over,
            "may_trade": may_trade(pipeline.source),
            "paused": self.paused_ms,
            "first_levels": self._levels,
            "kept": self.kept,
            **constants(pipeline),
        }

    def _sentence(self) -> str:
        sentence = sentence_of(self.session.pipeline, self.collector.symbol)
        wanted, got = 1 / self.ticker.hz, self.ticker.interval
        if got > 1.5 * wanted:
            sentence += (
                f" Pictures come {1 / got:.1f} times a second, so as not to hold up the feed."
            )
        return f"{sentence} Pictures: {self.ticker.trouble}" if self.ticker.trouble else sentence

    def _signals(self) -> list[tuple[Any, ...]]:
        signals = self.session.pipeline.signals
        block = signals.since(signals.total - _SIGNAL_ROWS)
        rows = zip(
            in_ms(block.received).tolist(),
            *(column.tolist() for column in block.objects),
            [value if isfinite(value) else None for value in block.floats[0].tolist()],
            strict=True,
        )
        return list(rows)[::-1]

    def _answer(self) -> None:
        """Do what the page, or a method, has asked for."""
        while self._asked:
            content = self._asked.pop(0)
            kind = content.get("kind")
            if kind == "ask":
                self._turn_to(content)
            elif kind == "pause":
                self._pause(bool(content.get("on")))
            elif kind == "player" and self.player is not None:
                self.player.do(content)
            elif kind in ("ack", "range"):
                begin, end = content.get("from"), content.get("to")
                if isinstance(begin, int | float) and isinstance(end, int | float):
                    self.collector.range = (float(begin), float(end))

    def _pause(self, on: bool) -> None:
        if on == (self.paused_ms is not None):
            return
        self.paused_ms = self.collector.now_ms if on else None
        self._head_sent.pop("paused", None)
        self._slow_at = 0.0
        if on and self.widget.visible:
            self._send(time.monotonic())

    def _turn_to(self, content: Mapping[str, Any]) -> None:
        collector = self.collector
        level, symbol = content.get("level"), content.get("symbol")
        try:
            if isinstance(level, int) and 0 <= level < len(STEPS_MS):
                collector.level = level
            if isinstance(symbol, str) and symbol in self.session.symbols:
                collector.begin(symbol)
            if "interval" in content:
                collector.fold(content["interval"])
        except MdkitError as error:
            self.ticker.trouble = str(error)
        self.widget.anew = True
