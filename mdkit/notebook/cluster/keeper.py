"""Keeps the shards of a session alive on a cluster: deals them out, looks, moves, ends them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mdkit.errors import MdkitError, SessionError, SettingsError
from mdkit.events import Gap, Signal
from mdkit.frames import SignalFrame
from mdkit.notebook.cluster.shard import LEASE_SECONDS, Look, Order, Remains, Shard, SignalRow

if TYPE_CHECKING:
    import pandas as pd

LOOK_SECONDS = 1.0
_TICK_SECONDS = 0.05
_MAKE_SECONDS = 5.0
_LAST_ROWS = 500_000
_FEWEST_ROWS = 100
_SIGNALS = 10_000
_GAPS = 100_000

Key = tuple[str, str | None]
"""(channel, symbol), the symbol None for all of a shard's."""


@dataclass(eq=False)
class Post:
    """One shard: its symbols, the worker that reads them now, and what was last seen of it.

    Attributes:
        heard_at: when it last answered, or was given to its worker.
        seen_ns: the worker's clock at the last look that found it connected, 0 before.
        blind_since_ns: since when nobody reads the symbols of a lost worker; 0 when they are
            read.
        kept: frames that were fetched.
        remains: its tables, once it has ended.
    """

    number: int
    symbols: tuple[str, ...]
    worker: str = ""
    future: Any = None
    actor: Any = None
    answer: Any = None
    look: Look | None = None
    heard_at: float = 0.0
    asked_at: float = 0.0
    seen_ns: int = 0
    blind_since_ns: int = 0
    blind_reason: str = ""
    is_told_to_stop: bool = False
    kept: dict[Key, pd.DataFrame] = field(default_factory=dict)
    remains: Remains | None = None

    @property
    def seen(self) -> tuple[int, int]:
        """How many signals and gaps of the present shard have been seen."""
        look = self.look
        return (look.signal_count, look.gaps_from + len(look.gaps)) if look else (0, 0)

    @property
    def ended(self) -> bool:
        """Whether the session on the worker has come to its end."""
        return self.look is not None and self.look.receipt is not None


@dataclass(frozen=True)
class Past:
    """What was last seen of a shard whose worker was lost."""

    look: Look | None
    kept: dict[Key, pd.DataFrame]


class Keeper:
    """The shards of one session on the workers of a Dask cluster.

    `begin`, `turn` and `end` belong to one thread; whatever looks may come from any.

    A call to a worker that has just been lost fails or is never answered. Such failures are
    passed over: what became of the shard is read from its Dask future.

    Args:
        client: a `distributed.Client`.
        channels: what is subscribed to, which is what a lost worker leaves unseen.
    """

    def __init__(self, client: Any, order: Order, channels: Sequence[str]) -> None:
        self.client = client
        self.order = order
        self.channels = tuple(channels)
        self.posts: list[Post] = []
        self.past: list[Past] = []
        self.losses: list[str] = []
        self.gaps: list[Gap] = []
        self.gap_count = 0
        self.signals = SignalFrame(_SIGNALS)
        self.signals_missed = 0
        self.callbacks: list[Callable[[Signal], Any]] = []
        self.callback_errors: list[str] = []
        self.paused = False
        self._ending = False
        # Guards what looks bring; never held while a worker is waited for.
        self.lock = threading.RLock()

    # -- life ---------------------------------------------------------------------------------

    def begin(self, symbols: Sequence[str], shards: int) -> None:
        """Deal the symbols out and place every shard."""
        self.signals = SignalFrame((self.order.options.get("rows") or _SIGNALS) * shards)
        self.posts = [Post(n, tuple(symbols[n::shards])) for n in range(shards)]
        workers = self.workers()
        for post in self.posts:
            self._place(post, workers)

    def turn(self) -> None:
        """Do what is due: take in answers, ask again, move the shards of lost workers.

        Raises what made a shard fail: a wrong key, say, or a strategy that may not fail.
        """
        if self.client.status != "running":
            raise SessionError(
                "The Dask client was closed before the session was stopped; its shards end by "
                f"themselves within {LEASE_SECONDS:.0f} s."
            )
        for post in self.posts:
            trouble = self._trouble(post)
            if trouble:
                self._lose(post, trouble)
            if post.future is None:
                self._place(post, self.workers())
            elif post.actor is None and post.future.status == "finished":
                self._meet(post)
            self._collect(post)
            if post.look is not None and post.look.failure is not None and not self._ending:
                raise post.look.failure
            often = _TICK_SECONDS if post.blind_since_ns or self._ending else LOOK_SECONDS
            is_due = time.monotonic() - post.asked_at >= often
            if post.actor is not None and post.answer is None and is_due and not post.ended:
                post.asked_at = time.monotonic()
                with suppress(Exception):
                    post.answer = post.actor.look(*post.seen)

    def workers(self) -> list[str]:
        """Return the addresses of the cluster's workers."""
        return sorted(self.client.nthreads())

    def _place(self, post: Post, workers: Sequence[str]) -> None:
        """Have a worker make a shard: the one that has the fewest, not the one just lost."""
        others = [worker for worker in workers if worker != post.worker] or list(workers)
        if not others or self._ending:
            return
        load = [other.worker for other in self.posts if other.future is not None]
        post.worker = min(others, key=load.count)
        # A name that says nothing, since everyone on the cluster can see it.
        name = f"mdkit-shard-{uuid.uuid4().hex}"
        post.future = self.client.submit(
            Shard,
            self.order,
            post.symbols,
            name,
            actor=True,
            key=name,
            workers=[post.worker],
            allow_other_workers=False,
            pure=False,
        )
        post.heard_at = post.asked_at = time.monotonic()

    def _meet(self, post: Post) -> None:
        """Take over what stands for the shard here, now that the worker has made it."""
        with suppress(Exception), self.client.as_current():
            post.actor = post.future.result(timeout=_MAKE_SECONDS)
            post.heard_at, post.asked_at = time.monotonic(), 0.0
            if self.paused:
                post.actor.pause(True)

    def _trouble(self, post: Post) -> str:
        """Say what became of a shard that is no more, or nothing.

        Raises what kept the shard from being made.
        """
        if post.future is None:
            return ""
        status = post.future.status
        if status in ("lost", "cancelled"):
            return "the cluster has forgotten it"
        if status == "error":
            error = post.future.exception()
            if post.actor is None and isinstance(error, MdkitError):
                raise error
            if post.actor is None and isinstance(error, ModuleNotFoundError):
                raise SettingsError(
                    f"The workers cannot import {error.name!r}: install mdkit[cluster] on them."
                )
            return "its process ended"
        if post.ended and not self._ending:
            assert post.look is not None
            return f"the session on it ended ({post.look.receipt})"
        now = time.monotonic()
        if post.actor is not None and now - post.heard_at > LEASE_SECONDS:
            return f"it has not answered for {LEASE_SECONDS:.0f} s"
        if post.actor is None and now - post.asked_at > LOOK_SECONDS:
            # It may wait for a busy worker, but not for one that is gone.
            post.asked_at = now
            return "" if post.worker in self.workers() else "it left the cluster"
        return ""

    def _lose(self, post: Post, trouble: str) -> None:
        """Give a shard up, keeping what was last seen of it; a new one takes its symbols over."""
        reason = f"worker lost: {post.worker}, {trouble}"
        future, post.future = post.future, None
        with self.lock:
            self.past.append(Past(post.look, post.kept))
            self.losses.append(reason)
            if not post.blind_since_ns:
                post.blind_since_ns = post.seen_ns or time.time_ns()
                post.blind_reason = reason
            post.kept = {}
            post.actor = post.look = post.answer = None
        future.release()

    def end(self, timeout: float) -> None:
        """Stop every shard, wait for their receipts, take over their tables, free the workers."""
        self._ending = True
        made_by = time.monotonic() + _MAKE_SECONDS
        deadline = made_by + timeout
        while self.client.status == "running" and time.monotonic() < deadline:
            for post in self.posts:
                if post.actor is not None and not post.is_told_to_stop:
                    post.is_told_to_stop, post.asked_at = True, 0.0
                    with suppress(Exception):
                        post.actor.stop(timeout)
                elif post.actor is None and time.monotonic() > made_by:
                    self._free(post)
            if all(post.future is None or post.ended for post in self.posts):
                break
            with suppress(MdkitError):  # a shard that could not even be made
                self.turn()
            time.sleep(_TICK_SECONDS / 5)
        self._close_gaps()
        tables = sum(len(post.look.accounts) for post in self.posts if post.look) or 1
        for post in self.posts:
            if post.actor is not None:
                with suppress(Exception):
                    self._inherit(post, max(_FEWEST_ROWS, _LAST_ROWS // tables))
            self._free(post)

    def _inherit(self, post: Post, last: int) -> None:
        remains: Remains = post.actor.remains(last).result(timeout=30.0)
        with self.lock:
            post.remains = remains
            post.kept.clear()
            post.kept.update(remains.frames.items())
        post.actor.close().result(timeout=5.0)

    def _free(self, post: Post) -> None:
        future, post.future = post.future, None
        post.actor = post.answer = None
        if future is not None:
            with suppress(Exception):
                self.client.cancel([future], force=True)
            future.release()

    # -- looking --------------------------------------------------------------------------------

    def _collect(self, post: Post) -> None:
        answer = post.answer
        if answer is None or not answer.done():
            return
        post.answer = None
        try:
            self._take_in(post, post.actor, answer.result(timeout=1.0))
        except MdkitError:
            post.heard_at = time.monotonic()  # it lives, but a strategy holds it up
        except Exception:
            return

    def refresh(self, timeout: float = 5.0) -> None:
        """Look at all shards now. One that does not answer in time stays as it was last seen."""
        deadline = time.monotonic() + timeout
        asked: list[tuple[Post, Any, Any]] = []
        for post in self.posts:
            actor = post.actor
            if actor is not None and not post.ended:
                with suppress(Exception):
                    asked.append((post, actor, actor.look(*post.seen)))
        for post, actor, answer in asked:
            with suppress(Exception):
                look = answer.result(timeout=max(0.01, deadline - time.monotonic()))
                self._take_in(post, actor, look)

    def _take_in(self, post: Post, actor: Any, look: Look) -> None:
        """Take in what a look brought, unless its shard has been given up meanwhile."""
        with self.lock:
            if actor is not post.actor:
                return
            post.heard_at = time.monotonic()
            if post.look is not None and look.at_ns < post.look.at_ns:
                return  # two looks crossed, and the later one has brought everything
            signals_seen, gaps_seen = post.seen
            post.look = look
            self.signals_missed += max(0, look.signals_from - signals_seen)
            rows = look.signals[max(0, signals_seen - look.signals_from) :]
            self.signals.extend(rows)
            self._add_gaps(look.gaps[max(0, gaps_seen - look.gaps_from) :])
            if look.health.connected:
                post.seen_ns = look.at_ns
                if post.blind_since_ns:
                    self._note_blindness(post, look.at_ns)
        self._tell(rows)

    def _note_blindness(self, post: Post, to_ns: int) -> None:
        since_ns, post.blind_since_ns = post.blind_since_ns, 0
        self._add_gaps(
            [
                # The clocks of two workers may differ: no gap ends before it begins.
                Gap(symbol, channel, post.blind_reason, since_ns, max(since_ns, to_ns))
                for symbol in post.symbols
                for channel in self.channels
            ]
        )

    def _add_gaps(self, gaps: Sequence[Gap]) -> None:
        self.gap_count += len(gaps)
        self.gaps.extend(gaps)
        del self.gaps[:-_GAPS]

    def _close_gaps(self) -> None:
        """Note what nobody reads when everything ends."""
        with self.lock:
            for post in self.posts:
                if post.blind_since_ns:
                    self._note_blindness(post, time.time_ns())

    def _tell(self, rows: Sequence[SignalRow]) -> None:
        for received_ns, symbol, strategy, value, exchange_ns in rows if self.callbacks else ():
            signal = Signal(symbol, strategy, value, exchange_ns, received_ns)
            for callback in tuple(self.callbacks):
                try:
                    callback(signal)
                except Exception as error:
                    self.callback_errors.append(f"{callback!r} failed: {error!r}")
                    del self.callback_errors[:-100]
