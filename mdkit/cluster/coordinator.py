"""Keeps the shards of a session alive on a cluster: places, observes, moves and ends them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mdkit.cluster.handle import MOST_LOSSES, ShardHandle
from mdkit.cluster.shard import LEASE_SECONDS, Shard, ShardConfig, SignalRow, Snapshot
from mdkit.errors import MdkitError, SessionError, SettingsError
from mdkit.events import Gap, Signal
from mdkit.frames import SignalFrame

SNAPSHOT_SECONDS = 1.0
_TICK_SECONDS = 0.05
_MAKE_SECONDS = 5.0
_SNAPSHOT_PATIENCE = 2.0
_TABLES_SECONDS = 60.0
_LAST_ROWS = 500_000
_SIGNALS = 10_000
_GAPS = 100_000


class Coordinator:
    """The shards of one session on the workers of a Dask cluster.

    `begin`, `turn` and `end` belong to one thread; what only reads may come from any.

    A call to a worker that has just been lost fails or is never answered. Such failures are
    passed over: what became of the shard is read from its Dask future.

    Args:
        client: a `distributed.Client`.
        config: what every shard is made with.
    """

    def __init__(self, client: Any, config: ShardConfig) -> None:
        self.client = client
        self.config = config
        self.handles: list[ShardHandle] = []
        self.lost: list[Snapshot] = []
        self.losses: list[str] = []
        self.gaps: list[Gap] = []
        self.gap_count = 0
        self.signals = SignalFrame(_SIGNALS)
        self.signals_missed = 0
        self.callbacks: list[Callable[[Signal], Any]] = []
        self.callback_errors: list[str] = []
        self.paused = False
        self._ending = False
        # Guards what snapshots bring; never held while a worker is waited for.
        self.lock = threading.RLock()

    # -- life ---------------------------------------------------------------------------------

    def begin(self, symbols: Sequence[str], shards: int) -> None:
        """Deal the symbols out and place every shard."""
        self.signals = SignalFrame((self.config.options.rows or _SIGNALS) * shards)
        self.handles = [ShardHandle(n, tuple(symbols[n::shards])) for n in range(shards)]
        workers = self.workers()
        for handle in self.handles:
            self._place(handle, workers)

    def turn(self) -> None:
        """Do what is due: take in answers, ask again, move the shards of lost workers.

        Raises what made a shard fail: a wrong key, say, or a strategy that may not fail.
        """
        if self.client.status != "running":
            raise SessionError(
                "The Dask client was closed before the session was stopped; its shards end by "
                f"themselves within {LEASE_SECONDS:.0f} s."
            )
        for handle in self.handles:
            trouble = self._trouble(handle)
            if trouble:
                self._lose(handle, trouble)
        homeless = [handle for handle in self.handles if handle.future is None and not self._ending]
        workers = self.workers() if homeless else []
        for handle in self.handles:
            if handle in homeless:
                self._place(handle, workers)
            elif handle.actor is None and handle.future and handle.future.status == "finished":
                self._meet(handle)
            self._collect(handle)
            if (
                handle.snapshot is not None
                and handle.snapshot.failure is not None
                and not self._ending
            ):
                raise handle.snapshot.failure
            often = _TICK_SECONDS if handle.blind_since_ns or self._ending else SNAPSHOT_SECONDS
            is_due = time.monotonic() - handle.asked_at >= often
            if handle.actor is not None and handle.answer is None and is_due and not handle.ended:
                handle.asked_at = time.monotonic()
                with suppress(Exception):
                    handle.answer = handle.actor.snapshot(*handle.seen)

    def workers(self) -> list[str]:
        """Return the addresses of the cluster's workers."""
        return sorted(self.client.nthreads())

    def _place(self, handle: ShardHandle, workers: Sequence[str]) -> None:
        """Have a worker make a shard: the one that has the fewest, not the one just lost."""
        others = [worker for worker in workers if worker != handle.worker] or list(workers)
        if not others:
            return
        load = [other.worker for other in self.handles if other.future is not None]
        handle.worker = min(others, key=load.count)
        # A name that says nothing, since everyone on the cluster can see it.
        name = f"mdkit-shard-{uuid.uuid4().hex}"
        handle.future = self.client.submit(
            Shard,
            self.config,
            handle.symbols,
            name,
            bool(handle.lost_at),
            actor=True,
            key=name,
            workers=[handle.worker],
            allow_other_workers=False,
            pure=False,
        )
        handle.heard_at = handle.asked_at = time.monotonic()

    def _meet(self, handle: ShardHandle) -> None:
        """Take over what stands for the shard here, now that the worker has made it."""
        with suppress(Exception), self.client.as_current():
            handle.actor = handle.future.result(timeout=_MAKE_SECONDS)
            handle.heard_at, handle.asked_at = time.monotonic(), 0.0
            if self.paused:
                handle.actor.pause(True)

    def _trouble(self, handle: ShardHandle) -> str:
        """Say what became of a shard that is no more, or nothing.

        Raises what kept the shard from being made.
        """
        if handle.future is None:
            return ""
        status = handle.future.status
        if status in ("lost", "cancelled"):
            return "the cluster has forgotten it"
        if status == "error":
            error = handle.future.exception()
            if handle.actor is None and not _is_loss(error):
                raise _why_not_made(handle, error)
            return "its process ended"
        if handle.ended and not self._ending:
            assert handle.snapshot is not None
            return f"the session on it ended ({handle.snapshot.receipt})"
        now = time.monotonic()
        if handle.actor is not None and now - handle.heard_at > LEASE_SECONDS:
            return f"it has not answered for {LEASE_SECONDS:.0f} s"
        if handle.actor is None and now - handle.asked_at > SNAPSHOT_SECONDS:
            # It may wait for a busy worker, but not for one that is gone.
            handle.asked_at = now
            return "" if handle.worker in self.workers() else "it left the cluster"
        return ""

    def _lose(self, handle: ShardHandle, trouble: str) -> None:
        """Give a shard up; a new one takes its symbols over.

        Its counts and signals stay as they were last seen; its frames are gone.
        """
        reason = f"worker lost: {handle.worker}, {trouble}; what its frames held is gone"
        with self.lock:
            if handle.snapshot is not None:
                self.lost.append(handle.snapshot)
            self.losses.append(reason)
            if not handle.blind_since_ns:
                handle.blind_since_ns = handle.seen_ns or time.time_ns()
                handle.blind_reason = reason
            handle.actor = handle.snapshot = None
        self._free(handle)
        handle.lost_at.append(time.monotonic())
        if len(handle.lost_at) == MOST_LOSSES and handle.lost_at[-1] - handle.lost_at[0] < 60.0:
            raise SessionError(
                f"Shard {handle.number} ({', '.join(handle.symbols[:5])}) has lost its worker "
                f"{MOST_LOSSES} times within a minute, the last time: {reason}. Something in it "
                "may end the process, such as a strategy or a lack of memory."
            )

    def end(self, timeout: float) -> None:
        """Stop every shard, wait for their receipts, take over their tables, free the workers."""
        self._ending = True
        made_by = time.monotonic() + _MAKE_SECONDS
        deadline = made_by + timeout
        while self.client.status == "running" and time.monotonic() < deadline:
            for handle in self.handles:
                if handle.actor is not None and not handle.is_told_to_stop:
                    handle.is_told_to_stop, handle.asked_at = True, 0.0
                    with suppress(Exception):
                        handle.actor.stop(timeout)
                elif handle.actor is None and (
                    time.monotonic() > made_by
                    or (handle.future and handle.future.status == "error")
                ):
                    self._free(handle)
            if all(handle.future is None or handle.ended for handle in self.handles):
                break
            with suppress(MdkitError):  # the first failure has been told already
                self.turn()
            time.sleep(_TICK_SECONDS / 5)
        self._close_gaps()
        last = _LAST_ROWS // len(self.handles) if self.handles else 0
        for handle, _, remains in self.call(
            self.handles, "remains", lambda handle: (last,), _TABLES_SECONDS
        ):
            with self.lock:
                handle.remains = remains
        self.call(self.handles, "close", lambda handle: (), _MAKE_SECONDS)
        for handle in self.handles:
            self._free(handle)

    def _free(self, handle: ShardHandle) -> None:
        future, handle.future = handle.future, None
        handle.actor = handle.answer = None
        if future is not None:
            # Releasing would not do: calls that are never answered hold on to the task.
            with suppress(Exception):
                self.client.cancel([future], force=True)
            future.release()

    # -- snapshots ------------------------------------------------------------------------------

    def _collect(self, handle: ShardHandle) -> None:
        answer = handle.answer
        if answer is None or not answer.done():
            return
        handle.answer = None
        try:
            self._take_in(handle, handle.actor, answer.result(timeout=1.0))
        except MdkitError as error:
            handle.heard_at = time.monotonic()  # it lives, but a strategy holds it up
            handle.trouble = str(error)
        except Exception:
            return

    def refresh(self) -> None:
        """Take a snapshot of all shards now. One that does not answer stays as it was last seen."""
        handles = [handle for handle in self.handles if not handle.ended]
        for handle, actor, snapshot in self.call(
            handles, "snapshot", lambda handle: handle.seen, _SNAPSHOT_PATIENCE
        ):
            self._take_in(handle, actor, snapshot)

    def call(
        self,
        handles: Sequence[ShardHandle],
        method: str,
        arguments: Callable[[ShardHandle], Sequence[Any]],
        patience: float,
    ) -> list[tuple[ShardHandle, Any, Any]]:
        """Call a method of shards, all at once: shard, whom was asked, and what it said.

        Left out are those that do not answer within `patience` seconds, are lost meanwhile, or
        owe an answer already.
        """
        due = time.monotonic() + patience
        asked: list[tuple[ShardHandle, Any, Any]] = []
        for handle in handles:
            actor = handle.actor
            owes = (
                handle.answer is not None
                and time.monotonic() - handle.asked_at > _SNAPSHOT_PATIENCE
            )
            if actor is not None and not owes:
                with suppress(Exception):
                    asked.append((handle, actor, getattr(actor, method)(*arguments(handle))))
        answers = []
        for handle, actor, answer in asked:
            while not answer.done() and handle.actor is actor and time.monotonic() < due:
                with suppress(Exception):
                    answer.result(timeout=_TICK_SECONDS)
            if answer.done():
                with suppress(Exception):
                    answers.append((handle, actor, answer.result(timeout=1.0)))
        return answers

    def _take_in(self, handle: ShardHandle, actor: Any, snapshot: Snapshot) -> None:
        """Apply what a snapshot brought, unless its shard has been given up meanwhile."""
        with self.lock:
            if actor is not handle.actor:
                return
            handle.heard_at = time.monotonic()
            if handle.snapshot is not None and snapshot.at_ns < handle.snapshot.at_ns:
                return  # two crossed, and the later one has brought everything
            signals_seen, gaps_seen = handle.seen
            handle.snapshot, handle.trouble = snapshot, ""
            self.signals_missed += max(0, snapshot.signals_from - signals_seen)
            rows = snapshot.signals[max(0, signals_seen - snapshot.signals_from) :]
            self.signals.extend(rows)
            self._add_gaps(snapshot.gaps[max(0, gaps_seen - snapshot.gaps_from) :])
            if snapshot.health.connected:
                handle.seen_ns = snapshot.at_ns
                if handle.blind_since_ns:
                    self._note_blindness(handle, snapshot.at_ns)
        self._tell(rows)

    def _note_blindness(self, handle: ShardHandle, to_ns: int) -> None:
        since_ns, handle.blind_since_ns = handle.blind_since_ns, 0
        self._add_gaps(
            [
                # The clocks of two workers may differ: no gap ends before it begins.
                Gap(symbol, channel, handle.blind_reason, since_ns, max(since_ns, to_ns))
                for symbol in handle.symbols
                for channel in self.config.options.subscribed_channels
            ]
        )

    def _add_gaps(self, gaps: Sequence[Gap]) -> None:
        self.gap_count += len(gaps)
        self.gaps.extend(gaps)
        del self.gaps[:-_GAPS]

    def _close_gaps(self) -> None:
        """Note what nobody reads when everything ends."""
        with self.lock:
            for handle in self.handles:
                if handle.blind_since_ns:
                    self._note_blindness(handle, time.time_ns())

    def _tell(self, rows: Sequence[SignalRow]) -> None:
        for received_ns, symbol, strategy, value, exchange_ns in rows if self.callbacks else ():
            signal = Signal(symbol, strategy, value, exchange_ns, received_ns)
            for callback in tuple(self.callbacks):
                try:
                    callback(signal)
                except Exception as error:
                    self.callback_errors.append(f"{callback!r} failed: {error!r}")
                    del self.callback_errors[:-100]


def _is_loss(error: BaseException) -> bool:
    """Whether a shard was not made because its worker went away."""
    told = "KilledWorker", "CommClosedError"
    return type(error).__name__ in told or "Worker holding Actor was lost" in str(error)


def _why_not_made(handle: ShardHandle, error: BaseException) -> BaseException:
    if isinstance(error, MdkitError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return SettingsError(
            f"The workers cannot import {error.name!r}: install mdkit on them, as here."
        )
    return SessionError(
        f"Worker {handle.worker} could not make its shard ({type(error).__name__}: {error}); check "
        "that it has the same versions of Python and mdkit as this process."
    )
