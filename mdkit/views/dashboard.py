"""The dashboard: a canvas of one session, and what it leaves in the saved notebook."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite
from typing import Any, Protocol

from mdkit.canvas.rings import in_ms
from mdkit.canvas.widget import CanvasWidget
from mdkit.errors import MdkitError, SessionError, SettingsError
from mdkit.notebook.kernel import in_notebook
from mdkit.notebook.loops import call_in, running_loop
from mdkit.pipeline.pipeline import Pipeline
from mdkit.views.collector import Collector, constants
from mdkit.views.series import STEPS_MS
from mdkit.views.state import ledger_of, sentence_of, state_of
from mdkit.views.text import hint
from mdkit.views.ticker import Ticker, call_soon

MAX_HZ = 60.0
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_QUIET_SECONDS = 0.2
"""How often a picture is sent when nothing has come: the axis of time goes on."""
_SLOW_SECONDS = 0.5
"""How often sentences and tables are looked at, and series while nobody can see them."""
_PATIENCE = 1.0
"""Seconds that another thread's loop may take to look at what a still shows."""
_SIGNAL_ROWS = 14
_UNTOLD = object()


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


class Dashboard:
    """One session on a canvas, drawn by the browser from what the kernel sends.

    Book over time with trades, gaps and signals; footprint, pressure, flow and queue on the same
    axis of time; ladder, trades, signals and health. Pause keeps the picture while the feed goes
    on; to hold the feed itself there is `session.pause()`. Stop stops the feed and leaves the last
    picture, which needs no widgets: a saved or exported notebook shows it.

    Args:
        session: what to show.
        hz: pictures a second, at most 60; less by itself when they take over 5 % of the loop.
        levels: that pressure sums at first.
        symbol: shown at first; None for the first that comes.
        player: of the recording that the session plays, if it does.

    Attributes:
        widget: the anywidget, for hosts that show widgets in their own way.
    """

    def __init__(
        self,
        session: WatchedSession,
        *,
        hz: float = 30.0,
        levels: int = 5,
        symbol: str | None = None,
        player: Player | None = None,
    ) -> None:
        if not 0 < hz <= MAX_HZ:
            raise SettingsError(
                f"{hz:g} pictures a second are not possible: choose up to {MAX_HZ:g}."
            )
        self.session = session
        self.widget = CanvasWidget(self._hear)
        self.collector = Collector(session.pipeline, symbol)
        self.ticker = Ticker(self._tick, hz, self._end)
        self.player = player
        self.pictures = 0
        self.paused_ms: float | None = None
        self._levels = levels
        self._told: dict[str, Any] = {}
        self._slow: dict[str, Any] = {}
        self._slow_at = self._sent_at = self._looked_at = 0.0
        self._asked: list[Mapping[str, Any]] = []
        self._display: Any = None
        self._plain: Any = None
        self._closed = False
        self._began_over = session.pipeline.finished.is_set()
        self._here = running_loop()
        loop = session.loop if session.loop is not None else self._here
        if self._began_over:
            loop = self._here
        if loop is not None and loop.is_running():
            self.ticker.start(loop)

    # -- controls -----------------------------------------------------------------------------

    @property
    def hz(self) -> float:
        """Pictures a second."""
        return self.ticker.hz

    def pause(self) -> None:
        """Keep the picture; the feed goes on."""
        self._asked.append({"kind": "pause", "on": True})

    def resume(self) -> None:
        """Let the picture follow the feed again; what came meanwhile is there."""
        self._asked.append({"kind": "pause", "on": False})

    freeze, follow = pause, resume

    def show(self, symbol: str) -> None:
        """Show another symbol in every pane."""
        self._asked.append({"kind": "ask", "symbol": symbol})

    def stop(self) -> None:
        """Stop the feed; the last picture stays."""
        self.session.stop()

    def close(self) -> None:
        """End the widget and leave its last picture."""
        self._finish()

    # -- pictures, in the session's loop --------------------------------------------------------

    def _hear(self, content: Mapping[str, Any]) -> None:
        """Keep what the page asks for until the next tick: this may be any thread."""
        if content["kind"] == "stop":
            call_soon(self._here, self.stop)
        else:
            self._asked.append(content)

    def _tick(self) -> bool:
        session = self.session
        if (loop := session.loop) is not None and not self._over and loop is not running_loop():
            self.ticker.start(loop)  # the session has begun since, in a loop of its own
            return False
        if self._over and not self._began_over:
            return False
        self._answer()
        now = time.monotonic()
        is_seen = self.widget.visible and self.paused_ms is None
        if not is_seen and not self.widget.anew:
            if now - self._looked_at > _SLOW_SECONDS:
                self._looked_at = now
                self.collector.update()
            return True
        is_new = self.collector.update()
        if self.collector.is_anew:
            self.collector.is_anew = False
            self.widget.anew = True
        if self.widget.ready and (
            is_new or self.widget.anew or now - self._sent_at > _QUIET_SECONDS
        ):
            self._send(now)
        return True

    @property
    def _over(self) -> bool:
        return self.session.pipeline.finished.is_set()

    def _send(self, now: float) -> None:
        anew = self.widget.anew
        if anew:
            self._told = {}
        self._sent_at = now
        parts = self.collector.parts(anew)
        self.widget.send_picture(self._head(now), parts)
        self.pictures += 1

    def _head(self, now: float) -> dict[str, Any]:
        """Return what has changed of the header since the last picture."""
        pipeline = self.session.pipeline
        if now - self._slow_at > _SLOW_SECONDS or not self._told:
            self._slow_at = now
            self._slow = {
                "state": state_of(pipeline),
                "sentence": self._sentence(),
                "ledger": ledger_of(pipeline),
                "symbols": list(self.session.symbols),
                "rate": pipeline.health().in_rate,
                "newest": self._signals(),
                "signals": pipeline.lanes.outcome.signals,
                "over": self._over,
                "can_stop": not self._over,
                "paused": self.paused_ms,
                "first_levels": self._levels,
                **constants(pipeline),
            }
        head = {**self.collector.head(), **self._slow}
        if self.player is not None:
            head["player"] = self.player.head()
        changed = {
            name: value for name, value in head.items() if self._told.get(name, _UNTOLD) != value
        }
        changed["now"] = head["now"]
        self._told |= changed
        return changed

    def _sentence(self) -> str:
        said = sentence_of(self.session.pipeline, self.collector.symbol)
        wanted, got = 1 / self.ticker.hz, self.ticker.interval
        if got > 1.5 * wanted and not self.ticker.resting:
            said += f" Pictures come {1 / got:.1f} times a second, so as not to hold up the feed."
        return f"{said} Pictures: {self.ticker.trouble}" if self.ticker.trouble else said

    def _signals(self) -> list[tuple[Any, ...]]:
        block = self.session.pipeline.signals.since(
            self.session.pipeline.signals.total - _SIGNAL_ROWS
        )
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
                was, on = self.paused_ms, bool(content.get("on"))
                self.paused_ms = self.collector.now_ms if on else None
                if (was is None) == on:
                    self._told.pop("paused", None)
                    self._slow_at = 0.0
                    if on and self.widget.visible:
                        self._send(time.monotonic())
            elif kind == "player" and self.player is not None:
                self.player.do(content)
            if kind in ("ack", "range"):
                begin, end = content.get("from"), content.get("to")
                if isinstance(begin, int | float) and isinstance(end, int | float):
                    self.collector.range = (float(begin), float(end))

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

    # -- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        """Send how it ended, and give way to the still, in the notebook's own loop."""
        self.collector.update()
        if self.widget.greeted:
            self._slow_at = 0.0
            self._send(time.monotonic())
        call_soon(self._here, self._finish)

    async def last_picture(self, timeout: float = 5.0) -> None:
        """Wait until the still of a session that has ended is there."""
        deadline = time.monotonic() + timeout
        # The ticker may live in another loop, whose tasks cannot be awaited in this one.
        while not self._closed and self.ticker.running and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if self._over and not self._began_over:
            self._finish()

    def leave_picture(self) -> None:
        """Update the cell that shows the dashboard, if it has ended, to its last picture."""
        if self._closed:
            self._refresh_still()

    def _finish(self) -> None:
        """Replace the widget by the last picture: nothing can move or be pressed any more."""
        if self._closed:
            return
        self._closed = True
        self.ticker.stop()
        if self._over:
            self.collector.update()
        self._refresh_still()
        if self._plain is not None:
            self._plain.close()
        _close(self.widget)

    # -- what stays -----------------------------------------------------------------------------

    def picture(self) -> bytes:
        """Return the still as PNG, drawn now; empty before anything has come."""
        from mdkit.views.still import Seen, look, still_png

        def seen() -> Seen | None:
            if not self.ticker.running and not self._closed:
                self.collector.update()
            return look(self.collector)

        loop = self.session.loop
        if loop is None:
            return still_png(seen())
        try:  # what is looked at changes in that loop, which may be another thread's
            return still_png(call_in(loop, seen, _PATIENCE))
        except SessionError:  # something blocks it, so that nothing changes
            return still_png(look(self.collector))

    def still(self, picture: bytes | None = None) -> str:
        """Return the dashboard as it is now as HTML that needs no widgets and no scripts."""
        pipeline = self.session.pipeline
        shown = self.picture() if picture is None else picture
        image = base64.b64encode(shown).decode()
        drawn = (
            f'<img alt="order book, pressure and queue" style="max-width:100%" '
            f'src="data:image/png;base64,{image}">'
            if shown
            else "<p>Nothing has come yet.</p>"
        )
        sentence = escape(sentence_of(pipeline, self.collector.symbol))
        return (
            f'<div class="mdkit-dashboard-still"><p><b>{escape(state_of(pipeline))}</b> '
            f"{escape(pipeline.source.name)}: {sentence} {escape(ledger_of(pipeline))}</p>"
            f"{drawn}</div>"
        )

    def __repr__(self) -> str:
        return hint(
            f"Dashboard of session {self.session.name!r}",
            "print(session.explain()), or session.save(folder) for charts in files",
        )

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None, **options: Any
    ) -> dict[str, Any]:
        """Return the dashboard in every form it has; whoever shows it takes the richest it can.

        Where there are no widgets that is its picture of this moment, and in a terminal a line
        that says what to do.
        """
        return self._bundle()

    def _bundle(self) -> dict[str, Any]:
        picture = self.picture()
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.still(picture)}
        if picture:
            bundle["image/png"] = base64.b64encode(picture).decode()
        if not self._closed:
            bundle[_WIDGET_VIEW] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.widget.model_id,
            }
        return bundle

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not in_notebook():  # plain IPython shows `_repr_mimebundle_`, and nothing to update
            raise NotImplementedError
        if self._display is None:
            if self._here is not None and not self._closed:
                from mdkit.views.plain import PlainPicture

                self._plain = PlainPicture(
                    self.picture, lambda: self.widget.greeted, self._show_instead
                )
            self._display = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            display(self._bundle(), raw=True, display_id=self._display.display_id)  # type: ignore[no-untyped-call]

    def _show_instead(self, widget: Any) -> None:
        """Show another widget in the canvas's place, or None: the canvas again."""
        if self._display is None or self._closed:
            return
        bundle = self._bundle()
        if widget is not None:
            bundle[_WIDGET_VIEW]["model_id"] = widget.model_id
        self._display.update(bundle, raw=True)

    def _refresh_still(self) -> None:
        if self._display is not None:
            self._display.update(self._bundle(), raw=True)


def _close(widget: CanvasWidget) -> None:
    """Close a widget and its layout, which would else stay in the kernel."""
    layout = widget.layout
    widget.close()
    if layout is not None:
        layout.close()
