"""The views put together, with controls; it leaves its last picture in the saved notebook."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets
from PIL import Image

from mdkit.notebook.kernel import in_notebook
from mdkit.pipeline.pipeline import Pipeline
from mdkit.views.clock import Clock
from mdkit.views.health import HealthView
from mdkit.views.ladder import DepthCurveView, LadderView
from mdkit.views.pressure import PressureView
from mdkit.views.queue import QueueView
from mdkit.views.tables import SignalsView, TapeView
from mdkit.views.text import hint

_ALL = "(all)"
_PARTS = ("layout", "style")
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class WatchedSession(Protocol):
    """What a session has that its dashboard needs."""

    name: str
    pipeline: Pipeline

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols subscribed to, and those that came."""

    def stop(self) -> object:
        """Stop the feed."""


class Dashboard:
    """Queue, pressure, order book, depth, trades, signals and health of one session.

    Freeze keeps the picture while the feed goes on, and Follow lets it move again; to hold the
    feed itself there is `session.pause()`. Stop stops the feed and leaves the last
    picture, which needs no widgets: a saved or exported notebook shows it.

    Args:
        session: what to show.
        hz: pictures a second, at most 10.
        levels: of the ladder.
    """

    def __init__(
        self, session: WatchedSession, clock: Clock, *, hz: float = 4.0, levels: int = 10
    ) -> None:
        self.session = session
        self.clock = clock
        clock.hz = hz
        self.health = HealthView(self._note)
        self.queue = QueueView()
        self.pressure = PressureView()
        self.ladder = LadderView(levels=levels)
        self.curve = DepthCurveView()
        self.tape = TapeView(rows=8)
        self.signals = SignalsView(rows=8)
        self.views = (
            self.health,
            self.queue,
            self.pressure,
            self.ladder,
            self.curve,
            self.signals,
            self.tape,
        )
        self._display: Any = None
        self._closed = False
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._make_controls(levels, hz)
        self.widget = self._lay_out()
        clock.after_draw.append(self._after_draw)
        clock.at_end.append(self._finish)
        clock.add(*self.views)

    # -- making -----------------------------------------------------------------------------

    def _make_controls(self, levels: int, hz: float) -> None:
        def button(label: str, icon: str, tip: str) -> ipywidgets.Button:
            layout = ipywidgets.Layout(width="96px")
            return ipywidgets.Button(description=label, icon=icon, tooltip=tip, layout=layout)

        self.freeze_button = button("Freeze", "pause", "Freeze the picture; the feed goes on")
        self.follow_button = button("Follow", "play", "Let the picture follow the feed again")
        self.follow_button.disabled = True
        self.stop_button = button("Stop", "stop", "Stop the feed and keep the last picture")
        self.symbol_choice = ipywidgets.Dropdown(
            options=[_ALL],
            value=_ALL,
            description="symbol",
            layout=ipywidgets.Layout(width="190px"),
            style={"description_width": "50px"},
        )
        self.levels_choice = ipywidgets.IntSlider(
            value=levels,
            min=1,
            max=max(20, levels),
            description="levels",
            continuous_update=False,
            layout=ipywidgets.Layout(width="210px"),
            style={"description_width": "44px"},
        )
        self.rate_choice = ipywidgets.FloatSlider(
            value=hz,
            min=0.5,
            max=10,
            step=0.5,
            description="pictures/s",
            continuous_update=False,
            layout=ipywidgets.Layout(width="230px"),
            readout_format=".1f",
            style={"description_width": "64px"},
        )
        self.freeze_button.on_click(lambda _: self._do(self.freeze))
        self.follow_button.on_click(lambda _: self._do(self.follow))
        self.stop_button.on_click(lambda _: self._do(self.stop))
        self.symbol_choice.observe(lambda change: self._do(self._choose), "value")
        self.levels_choice.observe(lambda change: self._do(self._choose), "value")
        self.rate_choice.observe(lambda change: self._do(self._choose), "value")

    def _lay_out(self) -> ipywidgets.VBox:
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        controls = ipywidgets.HBox(
            [
                self.freeze_button,
                self.follow_button,
                self.stop_button,
                self.symbol_choice,
                self.levels_choice,
                self.rate_choice,
            ],
            layout=wrap,
        )
        lists = ipywidgets.HBox([self.signals.widget, self.tape.widget], layout=wrap)
        left = ipywidgets.VBox(
            [self.queue.widget, self.pressure.widget, lists],
            layout=ipywidgets.Layout(flex="0 1 630px"),  # two tables side by side
        )
        right = ipywidgets.VBox(
            [self.ladder.widget, self.curve.widget],
            layout=ipywidgets.Layout(flex="0 1 310px"),
        )
        body = ipywidgets.HBox([left, right], layout=wrap)
        box = ipywidgets.VBox([self.health.widget, controls, body])
        box.add_class("mdkit-dashboard")
        return box

    # -- controls ---------------------------------------------------------------------------

    def freeze(self) -> None:
        """Freeze the picture; the feed goes on."""
        self.clock.frozen = True
        self._set_buttons()
        self._refresh_still()

    def follow(self) -> None:
        """Follow the feed again."""
        self.clock.frozen = False
        self.clock.touch()
        self._set_buttons()

    def pause(self) -> None:
        """Do what `freeze` does, by its former name; unlike `session.pause()`."""
        self.freeze()

    def resume(self) -> None:
        """Do what `follow` does, by its former name."""
        self.follow()

    def stop(self) -> None:
        """Stop the feed; the last picture stays."""
        self.stop_button.disabled = True
        self.session.stop()

    def close(self) -> None:
        """Take the dashboard off the clock and leave its last picture."""
        if not self._closed:
            self.clock.remove(*self.views)
            self._finish()

    def _choose(self) -> None:
        symbol = None if self.symbol_choice.value == _ALL else self.symbol_choice.value
        self.ladder.symbol = self.curve.symbol = self.tape.symbol = symbol
        self.ladder.levels = self.levels_choice.value
        self.clock.hz = self.rate_choice.value
        self.clock.touch()

    def _set_buttons(self) -> None:
        self.freeze_button.disabled = self.clock.frozen or self._closed
        self.follow_button.disabled = not self.clock.frozen or self._closed
        self.stop_button.disabled = self._closed

    def _do(self, action: Callable[[], None]) -> None:
        """Run a control's action in the notebook's loop: callbacks may come in any thread."""
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(action)
        else:
            action()

    def _after_draw(self) -> None:
        known = [_ALL, *self.session.symbols]
        if list(self.symbol_choice.options) != known:
            self.symbol_choice.options = known

    def _note(self) -> str:
        """Say what is wrong with the pictures, if anything."""
        notes = []
        if self.clock.slowed and not self.session.pipeline.finished.is_set():
            notes.append(
                f"drawing takes {self.clock.share:.0%} of the time, so the picture changes only "
                f"every {self.clock.interval:.1f} s"
            )
        if self.clock.trouble:
            notes.append(self.clock.trouble)
        return "; ".join(notes)

    # -- what stays -----------------------------------------------------------------------------

    def still(self) -> str:
        """Return the dashboard as it looks now as HTML that needs no widgets and no scripts."""

        def stack(*parts: str) -> str:
            return "".join(f"<div>{part}</div>" for part in parts)

        def row(*parts: str) -> str:
            return f'<div style="display:flex;flex-wrap:wrap;gap:16px">{stack(*parts)}</div>'

        lists = row(self.signals.still(), self.tape.still())
        left = stack(self.queue.still(), self.pressure.still(), lists)
        right = stack(self.ladder.still(), self.curve.still())
        return f'<div class="mdkit-dashboard-still">{self.health.still()}{row(left, right)}</div>'

    def picture(self) -> bytes:
        """Return the charts stacked in one PNG; empty before the first was drawn."""
        parts = [view.picture for view in (self.queue, self.pressure) if view.picture]
        if not parts:
            return b""
        images = [Image.open(io.BytesIO(part)) for part in parts]
        sheet = Image.new(
            "RGB", (max(i.width for i in images), sum(i.height for i in images)), "white"
        )
        top = 0
        for image in images:
            sheet.paste(image, (0, top), image)
            top += image.height
        out = io.BytesIO()
        sheet.save(out, "PNG")
        return out.getvalue()

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
        return self._encoded()

    def _bundle(self) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.still()}
        picture = self.picture()
        if picture:
            bundle["image/png"] = picture
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
            self._display = display(self._encoded(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            display(self._encoded(), raw=True, display_id=self._display.display_id)  # type: ignore[no-untyped-call]

    def _encoded(self) -> dict[str, Any]:
        import base64

        bundle = self._bundle()
        if "image/png" in bundle:
            bundle["image/png"] = base64.b64encode(bundle["image/png"]).decode()
        return bundle

    def _refresh_still(self) -> None:
        if self._display is not None:
            self._display.update(self._encoded(), raw=True)

    def leave_picture(self) -> None:
        """Update the cell that shows the dashboard, if it has ended, to its last picture."""
        if self._closed:
            self._refresh_still()

    def _finish(self) -> None:
        """Replace the widgets by the last picture: nothing can move or be pressed any more."""
        if self._closed:
            return
        self._closed = True
        self._set_buttons()
        for callbacks, own in (
            (self.clock.after_draw, self._after_draw),
            (self.clock.at_end, self._finish),
        ):
            if own in callbacks:
                callbacks.remove(own)
        self._refresh_still()
        if self._display is not None:
            for widget in _tree(self.widget):
                widget.close()


def _tree(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """A widget and all that belongs to it; closing a box alone leaves the rest in the kernel."""
    found = [widget]
    parts = [*getattr(widget, "children", ()), *(getattr(widget, n, None) for n in _PARTS)]
    for part in parts:
        if isinstance(part, ipywidgets.Widget):
            found += _tree(part)
    return found
