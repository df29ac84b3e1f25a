"""What a view is: it looks at a pipeline, in the session's loop, and draws in the notebook's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

    from mdkit.pipeline.pipeline import Pipeline


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
