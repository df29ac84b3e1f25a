"""ipywidgets' HTML, which in a terminal is a line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import ipywidgets

from mdkit.views.text import hint


class ShownView(Protocol):
    """What a widget asks of the view that it shows."""

    title: str
    in_terminal: str

    def still(self) -> str:
        """Return the view as it looks now as HTML that needs no widgets."""


class _Told:
    """Tells what a view's widget is, in place of its contents or an object's address."""

    def __init__(self, view: ShownView, **options: Any) -> None:
        super().__init__(**options)
        self._line: Callable[[], str] = lambda: hint(
            f"View {view.title!r} of a session", view.in_terminal
        )
        self._still: Callable[[], str] = view.still

    def __repr__(self) -> str:
        return self._line()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return the widget, its picture of this moment as HTML, and the line."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)  # type: ignore[misc]
        bundle["text/plain"] = repr(self)
        if still := self._still():
            bundle["text/html"] = still
        return bundle


class HtmlWidget(_Told, ipywidgets.HTML):  # type: ignore[misc]
    """Shows a view's HTML."""
