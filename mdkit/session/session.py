"""A Session, which a person holds: it owns a pipeline and the loop that turns it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mdkit.errors import SessionError
from mdkit.events import Signal
from mdkit.notebook.kernel import in_notebook
from mdkit.notebook.loops import LoopThread, call_in, check_loop, running_loop
from mdkit.pipeline.explain import Diagnosis, diagnose, explain
from mdkit.pipeline.health import Health
from mdkit.pipeline.pipeline import Pipeline
from mdkit.pipeline.receipt import Receipt
from mdkit.recording.recorder.recorder import Recorder
from mdkit.session.arguments import checked_count
from mdkit.session.lifecycle import SessionLife
from mdkit.session.monitoring import SessionMonitoring
from mdkit.session.options import Runner
from mdkit.session.stopping import Stopping
from mdkit.session.subscribing import SubscriptionChanges
from mdkit.session.tables import diagnostics
from mdkit.session.tables.books import BookTables, known_as
from mdkit.session.tables.lookups import check_table
from mdkit.session.tables.orderflow import OrderFlowTables
from mdkit.session.views import SessionViews
from mdkit.views.clock import Clock

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mdkit.views.dashboard.dashboard import Dashboard
    from mdkit.views.dashboard.sender import Player

T = TypeVar("T")


class Session(SessionLife[Receipt], SessionViews, BookTables, OrderFlowTables, SessionMonitoring):
    """A running feed and everything it has brought. Made by `live()`.

    Methods may be called from any thread. A failure in the background is raised once, by the
    next call; after that the session can still be looked at.

    Example:
        >>> session = md.live(["AAPL.US"], source=md.Simulated(speed=None, count=500))
        >>> receipt = session.run_blocking()
        >>> session.frame("depth", "AAPL.US")[["bid", "ask"]].shape
        (500, 2)
    """

    def __init__(
        self,
        pipeline: Pipeline,
        runner: Runner = "notebook",
        name: str = "default",
        predecessor: SessionLife[Any] | None = None,
    ) -> None:
        super().__init__(name, predecessor)
        self.runner: Runner = runner
        self.pipeline = pipeline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._life: asyncio.Task[None] | None = None
        self._asked_to_stop: float | None = None
        self._changes = SubscriptionChanges(pipeline)
        self._clock: Clock | None = None
        self._dashboards: list[Dashboard] = []

    # -- life -------------------------------------------------------------------------------

    def _begin(self) -> None:
        here = running_loop()
        if self.runner == "notebook" and here is not None:
            self._loop = here
            self._life = here.create_task(self._run(), name=f"mdkit session {self.name}")
        else:
            self.pipeline.has_own_thread = True
            self._thread = LoopThread(self._run, f"mdkit session {self.name}")
            self._loop = self._thread.loop

    async def _run(self) -> None:
        """The whole life of the session, in its loop."""
        # Before `start` has come back to it: a strategy may stop its session at the first message.
        self._loop = asyncio.get_running_loop()
        try:
            if self._predecessor is not None:
                await self._predecessor._end()
                self._predecessor = None
            self._begin_monitoring()
            if self._asked_to_stop is None:  # it may have been, before the loop came to this
                self.pipeline.start()
            else:
                self.pipeline.stop(self._asked_to_stop)
            receipt = await self.pipeline.wait()
            await self._end_monitoring()
            self._ended.set_result(receipt)
        except asyncio.CancelledError:
            # The loop is closing down: there is no time to drain, but nothing may leak.
            self._close_monitoring()
            self._ended.set_exception(
                SessionError("The session's loop was closed before the session was stopped.")
            )
            await self.pipeline.stop(timeout=0.0)
        except BaseException as error:
            self.pipeline.failure = self.pipeline.failure or error
            try:
                await self._end_monitoring()
            finally:
                self._ended.set_exception(error)

    def _before_beginning(self) -> None:
        check_loop(may_use_running=self.runner == "notebook")

    def _before_blocking(self) -> None:
        if self._loop is not None and running_loop() is self._loop:
            raise SessionError(
                "The session runs in this very loop, so waiting would block it: write "
                "`await session.run(seconds)`, or make it with runner='thread'."
            )
        if not self._begun.is_set():
            self.runner = "thread"

    def _ask_to_stop(self, timeout: float) -> None:
        self._asked_to_stop = timeout
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is gone: so is the session
                self._loop.call_soon_threadsafe(self.pipeline.stop, timeout)

    def _stopping(self, timeout: float) -> Stopping[Receipt]:
        return Stopping(self._ended, self._loop, self._show_end, self.pipeline.watchdog, timeout)

    def _why_not_ended(self) -> str:
        return str(self.pipeline.watchdog.held or super()._why_not_ended())

    async def _show_end(self) -> None:
        """Have the dashboard show how it ended, in the name of the cell that waits for that.

        A program that runs notebooks ignores what background tasks of earlier cells publish.
        """
        if self._clock is not None:
            await self._clock.last_picture()
        for dashboard in self._dashboards:
            await dashboard.last_picture()
            dashboard.leave_picture()
        self._show_notices()

    def _let_go(self) -> None:
        while self._dashboards:
            self._dashboards.pop().let_go()

    def _pause(self, on: bool) -> None:
        self._do(self.pipeline.pause if on else self.pipeline.resume)

    def subscribe(self, channel: str, *symbols: str) -> None:
        """Add symbols to a channel while running.

        Raises `SettingsError` for what can be no symbol or channel, and for one that the demo's
        exchange does not trade. What another service refuses is a row of `gaps()` within seconds,
        and part of `explain()`.
        """
        self._change("subscribe", channel, symbols)

    def unsubscribe(self, channel: str, *symbols: str) -> None:
        """Take symbols from a channel while running.

        Raises `SettingsError` for what is not subscribed to.
        """
        self._change("unsubscribe", channel, symbols)

    def on_signal(self, callback: Callable[[Signal], Any]) -> None:
        """Call `callback` with every signal from now on, in the session's loop."""
        self._do(lambda: self.pipeline.on_signal(callback))

    def record(self, path: str | Path | Recorder) -> Recorder:
        """Write from now on everything that arrives into a file, until the session ends.

        The suffix says how it is compressed: `.gz`, `.zst`, or not at all. `md.replay` plays it.
        Raises `SettingsError` for a file that exists and `SessionError` while recording.
        """
        recorder = path if isinstance(path, Recorder) else Recorder(path)
        if not self.running:
            raise SessionError("Only a running session can be recorded: call start() first.")
        self._do(lambda: self.pipeline.record(recorder))
        return recorder

    def stop_recording(self) -> None:
        """Record nothing more, while the session goes on.

        The file is complete, and the recorder `closed`, once what it holds has been handled.
        """
        if self._loop is not None and not self._ended.done():
            self._do(self.pipeline.recordings.end)

    # -- looking ------------------------------------------------------------------------------

    @property
    def receipt(self) -> Receipt | None:
        """What the session did, once it has stopped."""
        return self.pipeline.receipt

    def frame(
        self,
        channel: str,
        symbol: str | None = None,
        last: int | None = None,
        *,
        levels: int | None = None,
        every: str | timedelta | None = None,
    ) -> pd.DataFrame:
        """Return the events of a channel as an ordinary DataFrame of this moment.

        Index `received`: when they came off the socket (UTC). Depth has the best bid and ask,
        `mid`, `spread`, `pressure`, and the sizes summed over five levels. Without a symbol: all,
        with a column for it.

        Args:
            channel: "depth", "trade", "ticker" or "bar".
            symbol: one symbol, or None for all.
            last: how many rows, None for all.
            levels: for depth, how many levels a side: `bid_2`, `bid_size_2`, ... are added.
            every: for depth and tickers, a time such as "1s": what stood at the end of each
                second; the index `time` is then that end, and a row knows nothing later.

        Raises `SettingsError`, with near matches, for what is not subscribed to.
        """

        if symbol is not None:
            symbol = known_as(self.pipeline.source, symbol)

        def look() -> pd.DataFrame:
            check_table(self.pipeline, channel, symbol)
            frames = self.pipeline.frames
            return frames.frame(channel, symbol, last, levels=levels, every=every)

        return self._look(look)

    def signals(self, last: int | None = None) -> pd.DataFrame:
        """Return what the strategies said: symbol, strategy, value, by time received."""
        return self._look(lambda: self.pipeline.signals.snapshot(last))

    def metrics(self, last: int | None = None) -> pd.DataFrame:
        """Return queue depth, rates (messages a second) and loop lag (ms), five rows a second."""
        return self._look(lambda: self.pipeline.metrics.snapshot(last))

    def ledger(self) -> pd.DataFrame:
        """Return where every message went: a row per symbol and channel.

        received = processed + dropped + conflated + dead_lettered + invalid + queued + spilled
        + in_flight, in every row and at every moment.
        """
        return self._look(self.pipeline.ledger.frame)

    def dead_letters(self) -> pd.DataFrame:
        """Return the newest 1,000 messages on which a strategy failed: the error, where, traceback.

        `where` is the line of the strategy's code; empty where a message was not handled for
        another reason, such as a worker process that died.
        """
        return self._look(
            lambda: diagnostics.dead_letters(self.pipeline.lanes.outcome.dead_letters)
        )

    def invalid(self) -> pd.DataFrame:
        """Return the newest 100 messages that could not be used: the reason and a sample."""
        return self._look(lambda: diagnostics.invalid(self.pipeline.lanes.outcome.invalid))

    def gaps(self) -> pd.DataFrame:
        """Return the stretches that were not seen: symbol, channel, reason, from, to, lost.

        `lost` is how many messages are known to be missing: 0 where REST has filled the gap,
        <NA> where nobody can know. A worker process that died is a row too: `lost` is what died
        with it, <NA> if nothing did.
        """
        return self._look(lambda: diagnostics.gaps(self.pipeline.gaps))

    def clocks(self) -> pd.DataFrame:
        """Return how far apart the exchange's clock and this one are, and the delay, by symbol.

        See `mdkit.gap.quality.Clocks`.
        """
        return self._look(self.pipeline.lanes.clocks.frame)

    def health(self) -> Health:
        """Return a judgement on the last seconds: state, bottleneck, rates, lag."""
        return self._look(self.pipeline.health)

    def diagnose(self) -> Diagnosis:
        """Return `consumer_bound`, `producer_bound` or `balanced`; its `advice` says what helps."""
        return self._look(lambda: diagnose(self.pipeline))

    def explain(self) -> str:
        """Return one sentence, made of measurements, on how the session is doing."""
        if not self._begun.is_set():
            return "Not started: call start(), run_blocking(seconds), or `await` run(seconds)."
        held = self.pipeline.watchdog.held
        if held is not None and running_loop() is not self._loop:
            return f"{held}; nothing else happens meanwhile."
        return self._look(lambda: explain(self.pipeline))

    def memory(self) -> pd.Series[Any]:
        """Return bytes by what holds them; see `mdkit.pipeline.memory.memory`."""
        return self._look(lambda: diagnostics.memory_table(self.pipeline))

    def stats(self) -> dict[str, Any]:
        """Return the session's figures: ledger totals, queue, strategies, problems."""
        return self._look(lambda: diagnostics.stats(self.pipeline))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols subscribed to, and those that came without being asked for."""
        return tuple(dict.fromkeys((*self.pipeline.source.symbols, *self._seen())))

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that the session lives in; None before it has begun."""
        return self._loop

    def dashboard(
        self,
        *,
        hz: float = 30.0,
        levels: int = 5,
        symbol: str | None = None,
        player: Player | None = None,
    ) -> Dashboard:
        """Return the live canvas with pause, follow and stop; showing it is returning it.

        `hz`: pictures a second, at most 60; it goes slower by itself, and says so, when they take
        more than 5 % of the loop. `levels`: that pressure sums at first. `symbol`: shown at first.
        `player`: what moves a recording about, as in `md.explore`. A dashboard made earlier gives
        way to its last picture.
        """
        from mdkit.views.dashboard.dashboard import Dashboard

        levels = checked_count("levels", levels, 1, "pressure sums at least 1 a side")
        if symbol is not None and symbol not in self.symbols:
            check_table(self.pipeline, "depth", symbol)
        self._let_go()
        dashboard = Dashboard(self, hz=hz, levels=levels, symbol=symbol, player=player)
        self._dashboards = [dashboard]
        return dashboard

    def _ipython_display_(self) -> None:
        """Show the dashboard in a notebook, once started; else what `_repr_html_` returns."""
        if not in_notebook() or not self.running:
            raise NotImplementedError
        self.dashboard()._ipython_display_()

    def plot(self) -> Figure:
        """Return a figure: queue depth and rates, and each symbol's pressure, gaps shaded.

        Of more than a dozen symbols the busiest are drawn, and the figure says which.
        """
        from mdkit.charts.report import draw

        return draw(self)

    def save(self, folder: str | Path) -> Path:
        """Write charts (PNG), tables (CSV) and a report (HTML) into a folder; return the report.

        The folder is made if need be; files of an earlier save are replaced.
        """
        from mdkit.charts.report import save

        return save(self, Path(folder).expanduser())

    def _seen(self) -> tuple[str, ...]:
        return tuple(account.symbol for account in tuple(self.pipeline.ledger) if account.symbol)

    @property
    def _failure(self) -> BaseException | None:
        return self.pipeline.failure

    @property
    def _failing(self) -> bool:
        return self.pipeline.monitor.failing

    @property
    def _paused(self) -> bool:
        return self.pipeline.paused

    def _repr_html_(self) -> str:
        from mdkit.charts.cells import session_html

        return self._do(lambda: session_html(self))

    def __repr__(self) -> str:
        totals, health = self.pipeline.ledger.totals(), self.pipeline.health()
        look, lost = self.pipeline.buffer.statistics(), totals["dropped"] + totals["conflated"]
        return (
            f"<Session {self.name!r} {self.state} on {self.pipeline.source.name}: "
            f"{totals['received']:,} received at {health.in_rate:,.0f}/s, "
            f"queue {look.depth:,}/{look.maxsize:,} {health.state}, {lost:,} lost, "
            f"{totals['dead_lettered'] + totals['invalid']:,} bad, "
            f"{self.pipeline.lanes.outcome.signals:,} signals>"
        )

    # -- crossing over to the loop ---------------------------------------------------------------

    def _look(self, function: Callable[[], T]) -> T:
        self._tell_failure()
        return self._do(function)

    def _do(self, function: Callable[[], T]) -> T:
        if self._loop is None or self._ended.done():
            return function()
        try:
            return call_in(self._loop, function)
        except SessionError:
            if (held := self.pipeline.watchdog.held) is not None:
                raise SessionError(f"{held}. Make it return, or interrupt it.") from None
            raise

    def _change(self, verb: str, channel: str, symbols: tuple[str, ...]) -> None:
        if self._loop is not None and self._ended.done():
            raise SessionError("This session has ended; make a new one with md.live(...).")
        wanted = self._do(lambda: self._changes.check(verb, channel, symbols))
        loop = self._loop
        if loop is None:
            raise SessionError("Start the session first.")
        self._do(lambda: self._changes.make(loop, verb, channel, wanted))
