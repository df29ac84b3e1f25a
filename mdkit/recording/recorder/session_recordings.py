"""What is recorded of a pipeline: the recording that is made, and those that are being finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mdkit.channels.channel import Channel
from mdkit.channels.channels import Channels
from mdkit.errors import MdkitError, RecordingError, SessionError
from mdkit.events import Gap
from mdkit.machine import aside
from mdkit.queue.buffer import Buffer
from mdkit.queue.channel import Loss
from mdkit.queue.turn import Turn
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.recorder.session_recording import SessionRecording
from mdkit.sources.connection import RawMessage
from mdkit.sources.feed import Feed
from mdkit.sources.source import Source, codec_of_source

_LOOK_SECONDS = 0.02


class SessionRecordings:
    """Begins and ends recordings while a pipeline runs.

    A recording ends once what it holds has been handled, or was dropped: only then is it known
    what strategies saw of it.

    Args:
        source: whose messages are recorded.
        channels: that they belong to.
        buffer: that they wait in, which reports what it gives up.
        on_problem: called with trouble that the session survives.
        turn: held while messages are recorded and put into the buffer.

    Attributes:
        current: the recording that is written, or None.
    """

    def __init__(
        self,
        source: Source,
        channels: Channels,
        buffer: Buffer[Channel],
        on_problem: Callable[[MdkitError], None],
        turn: Turn,
    ) -> None:
        self.current: SessionRecording | None = None
        self._source = source
        self._channels = channels
        self._buffer = buffer
        self._on_problem = on_problem
        self._turn = turn
        self._lines = 0  # of the recordings so far
        self._has_noted = False
        self._ending: dict[SessionRecording, asyncio.Task[None]] = {}

    def begin(self, recorder: Recorder) -> None:
        """Record from now on what arrives. Raises `SessionError` when that is done already."""
        if self.current is not None and self.current.recorder.running:
            raise SessionError(
                f"This session is being recorded already, into {self.current.recorder.path}; "
                "stop that first."
            )
        self.end()
        self.current = SessionRecording(
            recorder,
            self._channels,
            source=self._source.name,
            symbols=self._source.symbols,
            venue=codec_of_source(self._source).name,
            on_problem=self._on_problem,
            connections=getattr(self._source, "feeds", tuple),
            after=self._lines,
        )
        self._listen()

    # -- what happens, written where anything is recorded -----------------------------------------

    def frames(self, feed: Feed, frames: Sequence[RawMessage]) -> int:
        """Write what a venue sent on a connection; return the place of the first frame."""
        return 0 if self.current is None else self.current.frames(feed, frames)

    def gap(self, gap: Gap) -> None:
        """Write a gap, in its place among the messages."""
        if self.current is not None:
            self.current.gap(gap)

    def subscribed(self, symbols: Sequence[str]) -> None:
        """Write a change of subscriptions."""
        if self.current is not None:
            self.current.subscribed(self._source.clock_ns(), symbols)

    def feed_changed(self, feed: Feed) -> None:
        """Write that a connection to a venue carries more."""
        if self.current is not None:
            self.current.feed_changed(feed)

    def feed_ended(self, feed: Feed, at: int) -> int:
        """Write that a connection to a venue has ended for good; return the place of what was
        kept back until then, and received at `at`."""
        return 0 if self.current is None else self.current.feed_ended(feed, at)

    def connected(self, feed: Feed | None = None) -> None:
        """Write that the source, or one of its feeds, has made a connection."""
        if self.current is None:
            return
        if feed is None:
            self.current.connected(self._source.clock_ns())
        else:
            self.current.feed_opened(feed, self._source.clock_ns())

    def disconnected(self, reason: str, feed: Feed | None = None) -> None:
        """Write that the source, or one of its feeds, has lost its connection."""
        if self.current is None:
            return
        if feed is None:
            self.current.disconnected(self._source.clock_ns(), reason)
        else:
            self.current.feed_closed(feed, self._source.clock_ns(), reason)

    def end_at_a_jump(self) -> None:
        """End the recording, and say so: what comes does not follow what it holds."""
        if self.current is not None:
            self._on_problem(
                RecordingError(
                    f"The recording {self.current.recorder.path} ends where the replay "
                    "jumped, or began its next round: record that to another file."
                )
            )
            self.end()

    # -- ends --------------------------------------------------------------------------------------

    def end(self) -> None:
        """Record nothing that comes from now on; the file is complete soon after."""
        current, self.current = self.current, None
        if current is not None:
            current.take_no_more()
            self._lines = current.lines
            self._ending[current] = asyncio.ensure_future(self._finish(current))
            self._listen()

    def note_left(self) -> None:
        """Keep what waits in the buffer now as never handled; only the first time."""
        if not self._has_noted and self._buffer.on_loss is not None:
            self._has_noted = True
            self._lost("left", list(self._buffer.places()))

    async def close(self) -> None:
        """Finish all files at once: what is still queued will not be handled."""
        for task in self._ending.values():
            task.cancel()
        unfinished = [*self._ending] if self.current is None else [*self._ending, self.current]
        for recording in unfinished:
            await _close(recording)
        self.current = None
        self._ending.clear()
        self._listen()

    def _listen(self) -> None:
        """Have the buffer report what it gives up while anything is recorded."""
        is_recorded = self.current is not None or self._ending
        self._buffer.on_loss = self._lost if is_recorded else None

    def _lost(self, what: Loss, places: Sequence[int]) -> None:
        if self.current is not None:
            self.current.lost(what, places)
        for recording in self._ending:
            recording.lost(what, places)

    async def _finish(self, recording: SessionRecording) -> None:
        if self._turn.taken:
            await self._turn.wait()  # what was written last is in the queue then
            self._turn.end()
        recording.wait_for_queued()
        while recording.waits:  # noqa: ASYNC110 - workers have better to do than to tell
            await asyncio.sleep(_LOOK_SECONDS)
        await _close(recording)
        del self._ending[recording]
        self._listen()


async def _close(recording: SessionRecording) -> None:
    recording.end()
    await aside(recording.recorder.close)
