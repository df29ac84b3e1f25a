"""`explore()`: a recording on the live canvas, with a scrub bar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdkit.api.live import live
from mdkit.errors import RecordingError
from mdkit.recording.moments import nanoseconds
from mdkit.recording.reading.info import recording_info
from mdkit.recording.replay.replay import replay
from mdkit.session.session import Session
from mdkit.views.dashboard.dashboard import Dashboard
from mdkit.views.dashboard.player import RecordingPlayer


class Explorer:
    """A recording that plays on the canvas; made by `explore`, shown by returning it.

    Attributes:
        session: plays the recording: its frames, signals and gaps are those of what was played
            since the last jump.
        dashboard: the canvas.
        info: what the recording holds.

    Example:
        >>> explorer = md.explore(md.sample())
        >>> explorer.info.symbols, explorer.session.symbols
        (('AAPL.US', 'MSFT.US'), ('AAPL.US', 'MSFT.US'))
        >>> explorer.close()
    """

    def __init__(
        self, path: Any, strategies: Sequence[Any], speed: float | None, name: str, **options: Any
    ) -> None:
        self.info = recording_info(path)
        if not self.info.messages:
            raise RecordingError(f"{path} holds no messages: there is nothing to explore.")
        self._replay = replay(path, speed=speed, loop=True)
        self.session: Session = live(
            source=self._replay, strategies=strategies, name=name, **options
        )
        self._player = RecordingPlayer(self._replay, self.info, self.session.pipeline)
        self.session.start()
        self.dashboard: Dashboard = self.session.dashboard(player=self._player)

    def play(self, speed: float | None = 1.0) -> None:
        """Play on, so many times faster than it was recorded; None for as fast as possible."""
        self._replay.set_speed(speed)
        self._replay.resume()

    def pause(self) -> None:
        """Let the recording's time stand still."""
        self._replay.pause()

    def seek(self, time: Any) -> None:
        """Go to a time, given as to `Replay.seek`: strategies begin anew, and frames are empty."""
        self._replay.seek(nanoseconds(time, "time"))

    def jump(self, kind: str) -> None:
        """Go to the next "gap", "burst" or "signal".

        To a signal it plays on, as fast as possible, and pauses there. Raises `SettingsError`
        for another kind, and where there is no further one.
        """
        self._player.jump(kind)

    def close(self) -> None:
        """End the session; the canvas leaves its last picture."""
        self.session.stop()

    def __repr__(self) -> str:
        return f"<Explorer of {self._replay!r}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self.dashboard._repr_mimebundle_(include, exclude)

    def _ipython_display_(self) -> None:
        self.dashboard._ipython_display_()


def explore(
    path: str | Path | Sequence[str | Path],
    *,
    strategies: Sequence[Any] = (),
    speed: float | None = 1.0,
    levels: int = 10,
    bars: str | None = None,
    name: str = "explore",
) -> Explorer:
    """Open a recording on the live canvas, with a scrub bar, play, pause, speed and jumps.

    Args:
        path: a file, a pattern or a list, as for `md.read_recording`.
        strategies: what to run on it; a jump begins them anew.
        speed: how many times faster than it was recorded; None for as fast as possible.
        levels: levels a side that are kept.
        bars: fold trades into bars of this interval, for strategies of bars.
        name: of the session; a second one of the same name replaces the first.

    The recording is read once at the beginning, for its gaps and bursts, and begins again at its
    end. Raises `RecordingError` when there is no such file or nothing in it.

    Example:
        >>> explorer = md.explore(md.sample(), strategies=[md.strategies.pressure], speed=10)
        >>> explorer.info.messages
        1859
        >>> explorer.close()
    """
    return Explorer(path, strategies, speed, name, levels=levels, bars=bars)
