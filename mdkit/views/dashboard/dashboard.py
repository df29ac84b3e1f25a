"""The dashboard: a canvas of one session, and what it leaves in the saved notebook."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from html import escape
from threading import Lock
from typing import TYPE_CHECKING, Any

from mdkit.canvas.widget import CanvasWidget, widget_view
from mdkit.errors import SessionError, SettingsError
from mdkit.notebook.kernel import in_notebook, in_voila
from mdkit.notebook.loops import call_in, running_loop
from mdkit.views.dashboard.sender import PictureSender, Player, WatchedSession
from mdkit.views.dashboard.state import ledger_of, sentence_of, state_of
from mdkit.views.dashboard.ticker import call_soon
from mdkit.views.text import hint

MAX_HZ = 60.0
_HEAVY = {"session", "player", "widget", "collector", "ticker", "_sender"}
"""What a dashboard has that keeps its session alive."""
_PAGE_IMAGES = {"image/webp": b"RIFF", "image/png": b"\x89PNG\r\n"}
"""What the page may send, and how such begins."""
_MOST_BYTES = 2_000_000
_MOST_SAID = 1_000
_PATIENCE = 1.0
"""Seconds that another thread's loop may take to look at what a still shows."""


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
        self.player = player
        self.widget = CanvasWidget(self._on_ask)
        self._sender = PictureSender(
            session,
            self.widget,
            hz=hz,
            levels=levels,
            symbol=symbol,
            player=player,
            at_end=self._end,
            stays=in_voila(),
        )
        self.collector, self.ticker = self._sender.collector, self._sender.ticker
        self._display: Any = None
        self._plain: Any = None
        self._kept: Any = None
        self._name = session.name
        self._keeping = Lock()
        self._closed = False
        self._here = running_loop()
        self._sender.start(self._here)

    # -- controls -----------------------------------------------------------------------------

    @property
    def hz(self) -> float:
        """Pictures a second."""
        return self.ticker.hz

    @property
    def pictures(self) -> int:
        """How many pictures were sent."""
        return self._sender.pictures

    @property
    def paused_ms(self) -> float | None:
        """The moment at which the picture stands, ms since the epoch; None while it moves."""
        return self._sender.paused_ms

    def pause(self) -> None:
        """Keep the picture; the feed goes on."""
        self._sender.ask({"kind": "pause", "on": True})

    def resume(self) -> None:
        """Let the picture follow the feed again; what came meanwhile is there."""
        self._sender.ask({"kind": "pause", "on": False})

    freeze, follow = pause, resume

    def show(self, symbol: str) -> None:
        """Show another symbol in every pane."""
        self._sender.ask({"kind": "ask", "symbol": symbol})

    def stop(self) -> None:
        """Stop the feed; the last picture stays."""
        self.session.stop()

    def close(self) -> None:
        """End the widget and leave its last picture."""
        self._finish()

    def _on_ask(self, content: Mapping[str, Any]) -> None:
        """Do what the page asks for; this may be any thread."""
        kind = content["kind"]
        if kind == "stop":
            call_soon(self._here, self.stop)
        elif kind == "still":
            self._keep(content)
        else:
            self._sender.ask(content)

    # -- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        """Send how it ended, and give way to the still, in the notebook's own loop."""
        self._sender.send_last()
        if self._sender.stays and self._sender.is_over and self._here is not None:
            # The page, which is yet to come, could not find a widget that has been closed.
            self._sender.start(self._here)
        else:
            call_soon(self._here, self._finish)

    def let_go(self) -> None:
        """End it, since another takes its place; its last picture stays in the cell that showed it.

        IPython holds on to whatever a cell has returned, and with it would hold all of a session.
        """
        call_soon(self._here, self._let_go)

    def _let_go(self) -> None:
        self._finish()
        for name in _HEAVY & vars(self).keys():
            delattr(self, name)

    @property
    def _is_replaced(self) -> bool:
        return "session" not in vars(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _HEAVY:
                raise SessionError(
                    f"This dashboard of session {self._name!r} has been replaced by another: "
                    "session.dashboard() returns the one that is live."
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    async def last_picture(self, timeout: float = 5.0) -> None:
        """Wait until the still of a session that has ended is there."""
        if self._closed or self._sender.stays:
            return
        deadline = time.monotonic() + timeout
        # The ticker may live in another loop, whose tasks cannot be awaited in this one.
        while not self._closed and self.ticker.running and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if not self._closed and self._sender.is_over and not self._sender.is_past:
            self._finish()

    def leave_picture(self) -> None:
        """Update the cell that shows the dashboard, if it has ended, to its last picture."""
        if self._closed and not self._is_replaced:
            self._refresh_still()

    def _finish(self) -> None:
        """Replace the widget by the last picture: nothing can move or be pressed any more."""
        if self._closed:
            return
        self._closed = True
        self.ticker.stop()
        if self._sender.is_over:
            self.collector.update()
        self._show_kept("")
        self._refresh_still()
        if self._plain is not None:
            self._plain.close()
        self.widget.close()

    # -- what stays -----------------------------------------------------------------------------

    def picture(self) -> bytes:
        """Return the still as PNG, drawn now; empty before anything has come."""
        from mdkit.views.dashboard.still import Seen, look, still_png

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
        drawn = _image(shown, "image/png") if shown else "<p>Nothing has come yet.</p>"
        sentence = escape(sentence_of(pipeline, self.collector.symbol))
        return (
            f'<div class="mdkit-dashboard-still"><p><b>{escape(state_of(pipeline))}</b> '
            f"{escape(pipeline.source.name)}: {sentence} {escape(ledger_of(pipeline))}</p>"
            f"{drawn}</div>"
        )

    def _keep(self, content: Mapping[str, Any]) -> None:
        """Put the page's own picture beside the canvas, where a notebook that is saved has it.

        In an output of its own: an update of the one with the canvas would begin that anew.
        """
        kind, pictures = str(content.get("type")), content.get("buffers")
        if self._closed or kind not in _PAGE_IMAGES or not pictures:
            return
        if len(pictures[0]) > _MOST_BYTES or not pictures[0].startswith(_PAGE_IMAGES[kind]):
            return
        told = str(content.get("said"))[:_MOST_SAID]
        said = f"{self.session.pipeline.source.name}, while the session ran: {told}"
        self._show_kept(
            f'<div data-mdkit-kept="{self._sender.kept}"><p>{escape(said)}</p>'
            f"{_image(pictures[0], kind)}</div>"
        )

    def _show_kept(self, html: str) -> None:
        with self._keeping:  # the end, and the page's picture, may come in two threads
            if self._kept is not None and (not html or not self._closed):
                self._kept.update({"text/html": html, "text/plain": ""}, raw=True)

    def __repr__(self) -> str:
        if self._is_replaced:
            return f"<Dashboard of session {self._name!r}: replaced by another>"
        return hint(
            f"Dashboard of session {self._name!r}",
            "print(session.explain()), or session.save(folder) for charts in files",
        )

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None, **options: Any
    ) -> dict[str, Any]:
        """Return the dashboard in every form it has; whoever shows it takes the richest it can.

        Where there are no widgets that is its picture of this moment, and in a terminal a line
        that says what to do.
        """
        if self._is_replaced:
            return {"text/plain": repr(self)}
        picture = self.picture()
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.still(picture)}
        if picture:
            bundle["image/png"] = base64.b64encode(picture).decode()
        if not self._closed:
            bundle |= widget_view(self.widget)
        return bundle

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not in_notebook():  # plain IPython shows `_repr_mimebundle_`, and nothing to update
            raise NotImplementedError
        if self._display is None:
            if self._here is not None and not self._closed:
                from mdkit.views.dashboard.plain import PlainPicture

                self._plain = PlainPicture(
                    self.picture, lambda: self.widget.greeted, self._show_instead
                )
            self._display = display(self._repr_mimebundle_(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
            if not in_voila() and not self._closed:
                nothing = {"text/html": "", "text/plain": ""}
                self._kept = display(nothing, raw=True, display_id=True)  # type: ignore[no-untyped-call]
                self._sender.kept = self._kept.display_id
        else:
            display(self._repr_mimebundle_(), raw=True, display_id=self._display.display_id)  # type: ignore[no-untyped-call]

    def _show_instead(self, widget: Any) -> None:
        """Show another widget in the canvas's place, or None: the canvas again."""
        if self._display is None or self._closed:
            return
        bundle = self._repr_mimebundle_()
        if widget is not None:
            bundle |= widget_view(widget)
        self._display.update(bundle, raw=True)

    def _refresh_still(self) -> None:
        if self._display is not None:
            self._display.update(self._repr_mimebundle_(), raw=True)


def _image(picture: bytes, kind: str) -> str:
    return (
        f'<img alt="order book, pressure and queue" style="max-width:100%" '
        f'src="data:{kind};base64,{base64.b64encode(picture).decode()}">'
    )
