"""A recording played on the canvas: play, pause, speed, and jumps to what is of interest."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from mdkit.canvas.rings import MS
from mdkit.errors import MdkitError, SettingsError
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.reading.info import RecordingInfo
from mdkit.recording.replay.replay import Replay
from mdkit.suggestions import instead

KINDS = ("gap", "burst", "signal")
"""What can be jumped to. A signal: where a strategy's value changes its sign."""
_BEFORE_NS = 2_000_000_000
"""How long before a gap or a burst a jump goes, so that it is seen to come."""
_MOST_MARKS = 200


class RecordingPlayer:
    """Moves a replay about, for the canvas and for `Explorer`.

    Args:
        replay: what plays.
        info: what the recording holds.
        pipeline: the session's, whose signals are watched by a jump to the next one.
    """

    def __init__(self, replay: Replay, info: RecordingInfo, pipeline: Pipeline) -> None:
        self.replay = replay
        self._pipeline = pipeline
        self._span = (info.start_ns, info.end_ns)
        gaps = sorted(gap.from_ns for gap in info.gaps if gap.to_ns > gap.from_ns)
        self.moments: dict[str, list[int]] = {"gap": gaps, "burst": list(info.bursts)}
        self._marks = {
            kind: [at / MS for at in times[:_MOST_MARKS]] for kind, times in self.moments.items()
        }
        self.trouble = ""
        self._speed_before: float | None = None
        self._seeks_signal = False
        self._signs: dict[tuple[str, str], bool] = {}
        pipeline.on_signal(self._look_at)

    def head(self) -> dict[str, Any]:
        """Return where it is and what there is to jump to, for the page."""
        begin, end = self._span
        return {
            "from": begin / MS,
            "to": end / MS,
            "paused": self.replay.paused,
            "speed": self.replay.speed,
            "note": "looking for a signal" if self._seeks_signal else self.trouble,
            "marks": self._marks,
        }

    def do(self, content: Mapping[str, Any]) -> None:
        """Do what the page asks for; what cannot be done is a note on the scrub bar."""
        self.trouble = ""
        try:
            verb = content.get("do")
            if verb == "play":
                self.replay.resume()
            elif verb == "pause":
                self.replay.pause()
            elif verb == "seek":
                self.replay.seek(int(float(content["at"]) * MS))
            elif verb == "speed":
                self.replay.set_speed(content.get("speed"))
            elif verb == "next":
                self.jump(str(content.get("kind")))
        except MdkitError as error:
            self.trouble = str(error)

    def jump(self, kind: str) -> None:
        """Go to the next gap or burst, or play on as fast as possible to the next signal.

        Raises `SettingsError` for another kind, and where there is none before the end, as of
        signals where no strategy runs.
        """
        if kind not in KINDS:
            raise SettingsError(f"no jump to the next {kind!r}: {instead(kind, KINDS)}.")
        if kind == "signal":
            if not self._pipeline.timers:
                raise SettingsError("no strategy runs that could give a signal: give strategies=")
            if not self._seeks_signal:
                self._speed_before, self._seeks_signal = self.replay.speed, True
            self.replay.set_speed(None)
            self.replay.resume()
            return
        times = self.moments[kind]
        place = bisect_right(times, self.replay.clock_ns() + _BEFORE_NS + 1)
        if place == len(times):
            raise SettingsError(f"there is no further {kind}")
        self.replay.seek(times[place] - _BEFORE_NS)

    def _look_at(self, signal: Any) -> None:
        key, sign = (signal.symbol, signal.strategy), signal.value > 0
        before = self._signs.get(key)
        self._signs[key] = sign
        if self._seeks_signal and before is not None and before != sign:
            self._seeks_signal = False
            self.replay.pause()
            self.replay.set_speed(self._speed_before)
