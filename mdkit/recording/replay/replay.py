"""Recordings played as a live feed: paced as they were received, or as fast as they are taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from mdkit.errors import RecordingError, SessionError, SettingsError
from mdkit.events import Gap
from mdkit.machine import aside
from mdkit.recording.format import Connected, Disconnected, Subscribed
from mdkit.recording.moments import moment, nanoseconds
from mdkit.recording.reading.files import Happening, Paths, RecordingFiles
from mdkit.recording.replay.cursor import Cursor
from mdkit.sources.source import Sink
from mdkit.venues.codec import Codec

_BATCH = 256
_ROUND_NS = 1_000_000
_ROUNDING = 1e-8  # seconds


class Replay:
    """A `Source` that plays recordings; see `replay`.

    Attributes:
        speed: how many times faster than recorded, or None. May be changed by `set_speed`.
        connects, disconnects: as many as the recording tells of so far.
        lap: which round is played, from 1; 0 before the first.
    """

    stale_for = 0.0

    def __init__(
        self,
        paths: Paths,
        speed: float | None = 1.0,
        *,
        loop: int | bool = 1,
        start: Any = None,
        symbols: Iterable[str] | str | None = None,
        as_seen: bool = True,
    ) -> None:
        if speed is not None and not 0 < speed < float("inf"):
            raise SettingsError(
                f"speed={speed!r} is not usable: give a factor such as 1.0 or 10, or None for as "
                "fast as the messages are taken."
            )
        if loop is not True and (isinstance(loop, bool) or loop < 1):
            raise SettingsError(
                f"loop={loop!r} is not usable: give a number of rounds, or True for no end."
            )
        self._recordings = RecordingFiles(paths)
        self._wanted: tuple[str, ...] | None = None
        self.speed = speed
        self.loop = loop
        self.as_seen = as_seen
        self.lap = 0
        self.connects = self.disconnects = 0
        self.name = f"replay of {self._recordings.paths[0].name}"
        if len(self._recordings.sessions) > 1:
            self.name += f" and {len(self._recordings.sessions) - 1} more"
        if symbols is not None:
            self.only((symbols,) if isinstance(symbols, str) else symbols)
        self._target: int | None = None if start is None else nanoseconds(start, "start")
        self._paused_ns: int | None = None
        self._is_paused = self._is_stopping = self._is_over = self._is_down = False
        self._is_resubscribed = False  # since the beginning of the recordings
        self._has_played = self._has_delivered = False  # ever; since the last beginning
        self._sought: int | None = None  # a time behind the end, which is at `_end_ns`
        self._end_ns = 0
        self._home: asyncio.AbstractEventLoop | None = None
        self._change = asyncio.Event()
        if self._target is not None:
            self._change.set()
        self._position_ns = self._first_ns = 0
        self._next_ns: int | None = None
        # Recorded time `_anchor_ns` is played at `_anchor` of the loop's clock; None: not yet.
        self._anchor: float | None = None
        self._anchor_ns = 0

    # -- what others look at -----------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols asked for, or those that the recordings say they are of."""
        return self._recordings.symbols if self._wanted is None else self._wanted

    @property
    def codec(self) -> Codec:
        """What the recorded messages mean."""
        return self._recordings.codec

    @property
    def allow_nonpositive(self) -> bool:
        """Whether the recording was made with prices of 0 and below allowed."""
        return self._recordings.allow_nonpositive

    @property
    def connected(self) -> bool:
        """Whether it plays, and was connected at this place when it was recorded."""
        return self._home is not None and not self._is_over and not self._is_down

    @property
    def paused(self) -> bool:
        """Whether `pause` is in force."""
        return self._is_paused

    def only(self, symbols: Iterable[str]) -> None:
        """Play these symbols alone. Raises `SettingsError` for one that was not recorded."""
        wanted = tuple(dict.fromkeys(symbols))
        if not wanted:
            raise SettingsError("symbols is empty: name at least one, or leave it out for all.")
        known = self._recordings.symbols
        if known and not set(wanted).issubset(known):
            known = tuple(dict.fromkeys((*known, *self._recordings.later_symbols())))
        for symbol in wanted:
            if known and symbol not in known:
                raise SettingsError(f"{self.name} has no {symbol}; it has {', '.join(known)}.")
        self._wanted = wanted

    def clock_ns(self) -> int:
        """The recording's present in ns since the epoch; 0 before it plays."""
        if self._paused_ns is not None:
            return self._paused_ns
        if self._anchor is None or self._home is None or self.speed is None or self._is_over:
            return self._position_ns
        # Where the session cannot keep up, the present is that of what it has been given.
        now = self._time_now() if self._next_ns is None else min(self._time_now(), self._next_ns)
        return max(self._position_ns, now)

    def __repr__(self) -> str:
        pace = "as fast as taken" if self.speed is None else f"{self.speed:g}x"
        state = "over" if self._is_over else "not started" if self._home is None else "playing"
        if self._is_paused and not self._is_over:
            state = "paused"
        at = f" at {moment(self.clock_ns())}" if self.clock_ns() else ""
        return f"<Replay {self.name}, {pace}, {state}{at}>"

    # -- control, from any thread --------------------------------------------------------------

    def pause(self) -> None:
        """Deliver nothing, and let the recording's time stand still, until `resume`."""

        def change() -> None:
            if not self._is_paused:
                self._paused_ns = self.clock_ns()
                self._is_paused = True

        self._do(change)

    def resume(self) -> None:
        """Go on where `pause` stopped."""

        def change() -> None:
            if self._is_paused:
                self._anchor_at(self._paused_ns or 0)
                self._is_paused = False
                self._paused_ns = None

        self._do(change)

    def seek(self, time: Any) -> None:
        """Begin anew at a time, later or earlier: strategies and frames know of nothing before.

        `time` is a datetime, a Timestamp, text such as "2025-01-31 14:30:05" (UTC unless it says
        otherwise), or nanoseconds since the epoch. Before the beginning means the beginning;
        behind the end ends the round. What was delivered is handled first. Then strategies are
        new instances, and frames, signals and gaps are empty; the ledger goes on. A recording of
        the session ends there, which is told as a problem.

        Raises `SettingsError` when that is no time, `SessionError` when the replay is over.
        """
        target = nanoseconds(time, "time")
        if self._is_over:
            raise SessionError("The replay is over; make a new one with md.replay(...).")

        def change() -> None:
            self._target = target
            if self._is_paused:
                self._paused_ns = target

        self._do(change)

    def set_speed(self, speed: float | None) -> None:
        """Play faster or slower from here on; None is as fast as the messages are taken."""
        if speed is not None and not 0 < speed < float("inf"):
            raise SettingsError(f"speed={speed!r} is not usable: give a positive factor, or None.")

        def change() -> None:
            self._anchor_at(self.clock_ns())
            self.speed = speed

        self._do(change)

    def stop(self) -> None:
        """Ask `run` to return soon; messages in hand are still delivered."""

        def change() -> None:
            self._is_stopping = True

        self._do(change)

    def _do(self, change: Callable[[], None]) -> None:
        """Make a change in the loop that plays, or here if there is none."""

        def make() -> None:
            change()
            self._change.set()

        home = self._home
        if home is None or home.is_closed() or _running_loop() is home:
            make()
        else:
            home.call_soon_threadsafe(make)

    # -- playing -------------------------------------------------------------------------------

    async def run(self, sink: Sink) -> None:
        """Deliver to the end of the last round. Raises `SessionError` when run twice.

        What is wrong with the files is told to the sink as problems.
        """
        if self._home is not None:
            raise SessionError("This replay has been played; make a new one with md.replay(...).")
        self._home = asyncio.get_running_loop()
        try:
            if self.as_seen:
                for session in self._recordings.sessions:
                    await aside(session.unseen)
            while not self._is_stopping and (self.loop is True or self.lap < self.loop):
                self.lap += 1
                if not await self._play(sink):
                    break
        finally:
            self._is_over = True
        if not self._is_stopping:
            for fault in self._recordings.faults:
                sink.problem(RecordingError(fault))
            why = self._why_nothing()
            if why:
                sink.problem(RecordingError(why))

    async def _play(self, sink: Sink) -> bool:
        """Play a round; return whether there was anything in it."""
        cursor = await self._begin_round(sink)
        if cursor.is_over:
            return False
        if self._change.is_set():
            cursor = await self._heed(cursor, sink)
        horizon = 0
        while not (cursor.is_over or self._is_stopping):
            if self.speed is not None and cursor.due_ns > horizon:
                horizon = self._horizon(cursor.due_ns)
            if self.speed is None or cursor.due_ns <= horizon:
                taken = cursor.take(_BATCH, None if self.speed is None else horizon)
                self._position_ns = cursor.passed_ns
                self._next_ns = None if cursor.is_over else cursor.due_ns
                if isinstance(taken, list):
                    self._has_played = self._has_delivered = True
                    await sink.deliver(taken)
                    # A sink with room to spare does not suspend, and others need their turn too.
                    await asyncio.sleep(0)
                else:
                    self._pass_on(sink, taken)
            else:
                await self._wait_for(cursor.due_ns)
            if self._change.is_set():
                cursor = await self._heed(cursor, sink)
                self._next_ns = None if cursor.is_over else cursor.due_ns
                horizon = 0
        return True

    def _why_nothing(self) -> str:
        """Return why what was asked for gave no message at all; nothing if it gave some."""
        told = f"The {self.name} played no message"
        if self._has_played:
            return ""
        if self._sought is not None and self._end_ns:
            return (
                f"{told}: it ends at {moment(self._end_ns)}, before {moment(self._sought)}; begin "
                "earlier."
            )
        if self._wanted is not None:
            return f"{told} about {', '.join(self._wanted)}; see md.recording_info for what it has."
        return ""

    async def _begin_round(self, sink: Sink) -> Cursor:
        """Open the recordings; the round begins a moment after the end of the one before."""
        cursor = self._open(sink)
        if not cursor.is_over:
            await self._begin_anew(sink)
        if self._anchor is not None and self.speed is not None and not cursor.is_over:
            self._anchor += (self._position_ns + _ROUND_NS - self._anchor_ns) / 1e9 / self.speed
            self._anchor_ns = cursor.due_ns
        return cursor

    def _open(self, sink: Sink) -> Cursor:
        if self._is_resubscribed:
            sink.expect(self.symbols)
            self._is_resubscribed = False
        cursor = Cursor(self._recordings.play(as_seen=self.as_seen, symbols=self._wanted))
        self._is_down = False
        self._first_ns = cursor.due_ns
        return cursor

    def _pass_on(self, sink: Sink, item: Happening) -> None:
        if isinstance(item, Gap):
            self._has_delivered = True
            sink.gap(item)
        elif isinstance(item, Subscribed):
            sink.expect(item.symbols if self._wanted is None else self._wanted)
            self._is_resubscribed = True
        elif isinstance(item, Connected):
            self._is_down = False
            self.connects += 1
        elif isinstance(item, Disconnected):
            self._is_down = True
            self.disconnects += 1

    async def _heed(self, cursor: Cursor, sink: Sink) -> Cursor:
        """Do what was asked from outside, and stay here while paused."""
        while True:
            self._change.clear()
            if self._target is not None:
                target, self._target = self._target, None
                cursor = await self._find(target, cursor, sink)
            if self._is_stopping or not self._is_paused:
                return cursor
            await self._change.wait()

    async def _find(self, target_ns: int, cursor: Cursor, sink: Sink) -> Cursor:
        """Return the recordings from a time on."""
        await self._begin_anew(sink)
        if target_ns <= self._position_ns:
            cursor = self._open(sink)
        while not (cursor.is_over or self._is_stopping) and cursor.due_ns < target_ns:
            passed = cursor.take(_BATCH, target_ns - 1)
            if isinstance(passed, Connected | Disconnected):
                self._is_down = isinstance(passed, Disconnected)
            elif isinstance(passed, Subscribed):
                self._pass_on(sink, passed)
            await asyncio.sleep(0)
        if cursor.is_over:
            self._sought, self._end_ns = target_ns, cursor.passed_ns
        self._position_ns = max(target_ns, self._first_ns)
        if self._is_paused:
            self._paused_ns = self._position_ns
        if cursor.is_over:
            self._anchor = None
        else:
            self._anchor_at(self._position_ns)
        return cursor

    async def _begin_anew(self, sink: Sink) -> None:
        """Have what was delivered forgotten, if anything was."""
        if self._has_delivered:
            self._has_delivered = False
            await sink.begin_anew()

    # -- time ----------------------------------------------------------------------------------

    def _anchor_at(self, ns: int) -> None:
        """Play recorded time `ns` now, and what follows at its distance."""
        self._anchor = self._home.time() if self._home is not None and ns else None
        self._anchor_ns = ns

    def _horizon(self, next_ns: int) -> int:
        """Return the recorded time up to which everything is due."""
        if self._anchor is None:
            self._anchor_at(next_ns)
        assert self._home is not None
        # A timer may fire a rounding error early, and what it was for is due all the same.
        is_due = self._home.time() >= self._when(next_ns) - _ROUNDING
        return max(self._time_now(), next_ns) if is_due else min(self._time_now(), next_ns - 1)

    def _when(self, due_ns: int) -> float:
        """Return the time of the loop's clock at which a recorded time is played."""
        assert self._anchor is not None
        assert self.speed is not None
        return self._anchor + (due_ns - self._anchor_ns) / 1e9 / self.speed

    def _time_now(self) -> int:
        if self._anchor is None or self._home is None or self.speed is None:
            return self._anchor_ns
        return self._anchor_ns + int((self._home.time() - self._anchor) * self.speed * 1e9)

    async def _wait_for(self, due_ns: int) -> None:
        """Return when a recorded time has come, or something was asked from outside."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._when(due_ns)):
                await self._change.wait()


def replay(
    path: Paths,
    speed: float | None = 1.0,
    *,
    loop: int | bool = 1,
    start: Any = None,
    symbols: Iterable[str] | str | None = None,
    as_seen: bool = True,
) -> Replay:
    """Return recordings as a source for `md.live(source=...)`.

    Args:
        path: a recording, a pattern such as "data/*.jsonl.gz", or a list. Parts of a rotated
            recording are put in order, several recordings are merged by time of receipt.
        speed: 1.0 keeps the recorded distances, 10 is ten times as fast. None is as fast as the
            session takes the messages; it is held up rather than anything be lost.
        loop: how many rounds, or True for no end. Every round has the recorded times again, and
            begins anew as after `Replay.seek`.
        start: begin at this time; see `Replay.seek`.
        symbols: play these alone; `SettingsError` for one that was not recorded.
        as_seen: leave out what the strategies of the recorded session did not see, because it
            was dropped or conflated, and tell the gaps that this made. False plays all that had
            arrived.

    Messages keep their recorded time of receipt, whatever the speed. Lines without a time come
    together with what is before them. Where the session is slower than the speed asks for, the
    replay falls behind, and catches up when it can.

    Raises `RecordingError` when there is no such recording, `SettingsError` for arguments that
    cannot work.

    Example:
        >>> played = md.replay(md.sample(), speed=None)
        >>> session = md.live(source=played, strategies=[md.strategies.pressure])
        >>> session.run_blocking().balanced
        True
    """
    return Replay(path, speed, loop=loop, start=start, symbols=symbols, as_seen=as_seen)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
