"""What a view is: it looks at a pipeline, in the session's loop, and draws in the notebook's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

    from mdkit.stream.pipeline import Pipeline


class View(ABC):
    """One part of a dashboard, usable alone.

    `look` runs in the session's loop and only copies what it needs; `draw` runs in the
    notebook's loop, on the main thread, and puts it into `widget`.
    """

    title = ""

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

    @abstractmethod
    def still(self) -> str:
        """Return the view as it looks now as HTML that needs no widgets."""


class HtmlView(View):
    """A view whose picture is HTML."""

    def __init__(self) -> None:
        import ipywidgets

        self._html = ipywidgets.HTML()

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
    """A view whose picture is a PNG."""

    def __init__(self, width: int, height: int) -> None:
        import ipywidgets

        self._image = ipywidgets.Image(
            format="png", layout=ipywidgets.Layout(width=f"{width}px", max_width="100%")
        )
        self._size = (width, height)

    @property
    def widget(self) -> ipywidgets.DOMWidget:
        """The image widget."""
        return self._image

    @property
    def picture(self) -> bytes:
        """The last PNG drawn; empty before the first."""
        return bytes(self._image.value)

    def show(self, png: bytes) -> None:
        """Put a picture into the widget."""
        self._image.value = png

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
