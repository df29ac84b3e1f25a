"""What a view is: it looks at a pipeline, in the session's loop, and draws in the notebook's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

    from mdkit.pipeline.pipeline import Pipeline
    from mdkit.views.raster import Raster


class View(ABC):
    """One part of a dashboard, usable alone.

    `look` runs in the session's loop and only copies what it needs; `draw` runs in the
    notebook's loop, on the main thread, and puts it into `widget`.
    """

    title = ""
    in_terminal = "print(session.explain())"
    """What to write where there are no widgets."""

    @property
    @abstractmethod
    def widget(self) -> ipywidgets.DOMWidget:
        """The widget that shows the view."""

    @abstractmethod
    def look(self, pipeline: Pipeline) -> Any:
        """Return what there is to draw; cheap, and no reference into the pipeline."""

    @abstractmethod
    def draw(self, data: Any) -> None:
        """Show what `look` returned."""

    def steps(self, data: Any) -> Iterator[None]:
        """Do what `draw` does in steps of some milliseconds, between which the loop may turn.

        The view shows nothing new before the last step, and may be left before that.
        """
        self.draw(data)
        yield from ()

    @abstractmethod
    def still(self) -> str:
        """Return the view as it looks now as HTML that needs no widgets."""


class HtmlView(View):
    """A view whose picture is HTML."""

    def __init__(self) -> None:
        from mdkit.views.widgets import HtmlWidget

        self._html = HtmlWidget(self)

    @property
    def widget(self) -> ipywidgets.DOMWidget:
        """The HTML widget."""
        return self._html

    def show(self, html: str) -> None:
        """Put HTML into the widget unless it is there already."""
        if html != self._html.value:
            self._html.value = html

    def still(self) -> str:
        """Return the HTML."""
        return str(self._html.value)


class PictureView(View):
    """A view whose picture is a PNG, drawn by `chart`, which is `width` by `height` pixels."""

    def __init__(self, chart: Raster, width: int, height: int) -> None:
        import ipywidgets

        from mdkit.views.widgets import ImageWidget

        # Hidden until there is something to see: a browser shows no picture as a broken one.
        layout = ipywidgets.Layout(width=f"{width}px", max_width="100%", visibility="hidden")
        self._image = ImageWidget(self, format="png", layout=layout)
        self._size = (width, height)
        self._raster = chart

    @property
    def widget(self) -> ipywidgets.DOMWidget:
        """The image widget."""
        return self._image

    @property
    def picture(self) -> bytes:
        """The last PNG drawn; empty before the first."""
        return bytes(self._image.value)

    @abstractmethod
    def prepare(self, data: Any) -> bool:
        """Give the chart what `look` returned; False when there is nothing to draw."""

    def draw(self, data: Any) -> None:
        """Draw and show a frame."""
        for _ in self.steps(data):
            pass

    def steps(self, data: Any) -> Iterator[None]:
        """Draw a frame in steps; the last one shows it."""
        if self.prepare(data):
            yield
            yield from self._raster.frame()
            self._image.value = self._raster.png()
            self._image.layout.visibility = "visible"

    def still(self) -> str:
        """Return the last picture as an <img> that holds its data."""
        import base64

        if not self.picture:
            return ""
        data = base64.b64encode(self.picture).decode()
        width, height = self._size
        return (
            f'<img alt="{escape(self.title)}" width="{width}" height="{height}" '
            f'src="data:image/png;base64,{data}">'
        )
