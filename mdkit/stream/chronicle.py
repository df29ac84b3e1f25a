"""What is recorded of a pipeline: the recording that is made, and those that are being finished."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mdkit.channels.channel import Channel
from mdkit.errors import SessionError
from mdkit.queue.channel import Loss
from mdkit.stream.record import Recorder
from mdkit.stream.scribe import Scribe

if TYPE_CHECKING:
    from mdkit.stream.pipeline import Pipeline

_LOOK_SECONDS = 0.02


class Chronicle:
    """Begins and ends recordings while a pipeline runs.

    A recording ends once what it holds has been handled, or was dropped: only then is it known
    what strategies saw of it.

    Attributes:
        scribe: who is told of what arrives, or None.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.scribe: Scribe | None = None
        self._pipeline = pipeline
        self._ending: dict[Scribe, asyncio.Task[None]] = {}

    def begin(self, recorder: Recorder) -> None:
        """Write down from now on what arrives. Raises `SessionError` when that is done already."""
        if self.scribe is not None and self.scribe.recorder.running:
            raise SessionError(
                f"This session is being recorded already, into {self.scribe.recorder.path}; "
                "stop that first."
            )
        self.end()
        source = self._pipeline.source
        self.scribe = Scribe(
            recorder,
            self._pipeline.channels,
            source=source.name,
            symbols=source.symbols,
            venue=self._pipeline.codec.name,
            on_problem=self._pipeline.problem,
        )
        self.listen()

    def end(self) -> None:
        """Write down nothing that comes from now on; the file is complete soon after."""
        scribe, self.scribe = self.scribe, None
        if scribe is not None:
            scribe.take_no_more()
            self._ending[scribe] = asyncio.ensure_future(self._finish(scribe))
            self.listen()

    async def close(self) -> None:
        """Finish all files at once: what is still queued will not be handled."""
        for task in self._ending.values():
            task.cancel()
        scribes = [*self._ending] if self.scribe is None else [*self._ending, self.scribe]
        for scribe in scribes:
            await _close(scribe)
        self.scribe = None
        self._ending.clear()
        self.listen()

    def listen(self) -> None:
        """Have the pipeline's buffer tell of losses."""
        told = self.scribe is not None or self._ending
        self._pipeline.buffer.on_loss = self._lost if told else None

    def _lost(self, channel: Channel, what: Loss, first: int, count: int) -> None:
        if self.scribe is not None:
            self.scribe.lost(channel, what, first, count)
        for scribe in self._ending:
            scribe.lost(channel, what, first, count)

    async def _finish(self, scribe: Scribe) -> None:
        while scribe.waits:  # noqa: ASYNC110 - workers have better to do than to tell
            await asyncio.sleep(_LOOK_SECONDS)
        await _close(scribe)
        del self._ending[scribe]
        self.listen()


async def _close(scribe: Scribe) -> None:
    scribe.end()
    await asyncio.to_thread(scribe.recorder.close)
