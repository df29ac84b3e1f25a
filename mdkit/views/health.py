"""One line on how the session is: its state, and the sentence that explains it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple

from mdkit.pipeline.explain import explain
from mdkit.pipeline.pipeline import Pipeline
from mdkit.views.ladder import FAINT, TEXT
from mdkit.views.view import HtmlView

_COLOURS = {
    "normal": "#3aa676",
    "elevated": "#d98032",
    "critical": "#d9534f",
    "failing": "#d9534f",
    "paused": "#3b82d0",
    "stopped": "#8a8f98",
    "failed": "#d9534f",
    "not connected": "#d98032",
}


class HealthData(NamedTuple):
    """The state in a word, and the sentence."""

    state: str
    sentence: str
    source: str


class HealthView(HtmlView):
    """A coloured word and the `explain()` sentence; `note` gives what else there is to say."""

    title = "Health"

    def __init__(self, note: Callable[[], str] = str) -> None:
        super().__init__()
        self.note = note

    def look(self, pipeline: Pipeline) -> HealthData:
        """Return state and sentence."""
        health = pipeline.health()
        if pipeline.failure is not None:
            state = "failed"
        elif pipeline.receipt is not None:
            state = "stopped"
        elif pipeline.paused:
            state = "paused"
        elif not health.connected:
            state = "not connected"
        else:
            state = health.state
        return HealthData(state, explain(pipeline), pipeline.source.name)

    def draw(self, data: Any) -> None:
        """Show the line."""
        note = self.note()
        if note:
            note = f' <span style="color:{FAINT}">{escape(note)}</span>'
        self.show(
            f'<div style="color:{TEXT};font-size:12.5px;line-height:1.5">'
            f'<span style="background:{_COLOURS[data.state]};color:white;border-radius:4px;'
            f'padding:1px 7px;font-weight:600">{data.state}</span> '
            f'<span style="color:{FAINT}">{escape(data.source)}</span> '
            f"{escape(data.sentence)}{note}</div>"
        )
