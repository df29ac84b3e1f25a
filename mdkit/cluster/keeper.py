"""Keeps the shards of a session alive on a cluster: deals them out, looks, moves, ends them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mdkit.cluster.post import MOST_LOSSES, Post
from mdkit.cluster.shard import LEASE_SECONDS, Look, Order, Shard, SignalRow
from mdkit.errors import MdkitError, SessionError, SettingsError
from mdkit.events import Gap, Signal
from mdkit.frames import SignalFrame

LOOK_SECONDS = 1.0
_TICK_SECONDS = 0.05
_MAKE_SECONDS = 5.0
_LOOK_PATIENCE = 2.0
_TABLES_SECONDS = 60.0
_LAST_ROWS = 500_000
_SIGNALS = 10_000
_GAPS = 100_000


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
        self.past: list[Look] = []
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
        homeless = [post for post in self.posts if post.future is None and not self._ending]
        workers = self.workers() if homeless else []
        for post in self.posts:
            if post in homeless:
                self._place(post, workers)
            elif post.actor is None and post.future and post.future.status == "finished":
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
        if not others:
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
            bool(post.lost_at),
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
            if post.actor is None and not _is_loss(error):
                raise _why_not_made(post, error)
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
        """Give a shard up; a new one takes its symbols over.

        Its counts and signals stay as they were last seen; its frames are gone.
        """
        reason = f"worker lost: {post.worker}, {trouble}; what its frames held is gone"
        with self.lock:
            if post.look is not None:
                self.past.append(post.look)
            self.losses.append(reason)
            if not post.blind_since_ns:
                post.blind_since_ns = post.seen_ns or time.time_ns()
                post.blind_reason = reason
            post.actor = post.look = None
        self._free(post)
        post.lost_at.append(time.monotonic())
        if len(post.lost_at) == MOST_LOSSES and post.lost_at[-1] - post.lost_at[0] < 60.0:
            raise SessionError(
                f"Shard {post.number} ({', '.join(post.symbols[:5])}) has lost its worker "
                f"{MOST_LOSSES} times within a minute, the last time: {reason}. Something in it "
                "may end the process, such as a strategy or a lack of memory."
            )

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
                elif post.actor is None and (
                    time.monotonic() > made_by or (post.future and post.future.status == "error")
                ):
                    self._free(post)
            if all(post.future is None or post.ended for post in self.posts):
                break
            with suppress(MdkitError):  # the first failure has been told already
                self.turn()
            time.sleep(_TICK_SECONDS / 5)
        self._close_gaps()
        last = _LAST_ROWS // len(self.posts) if self.posts else 0
        for post, _, remains in self.call(
            self.posts, "remains", lambda post: (last,), _TABLES_SECONDS
        ):
            with self.lock:
                post.remains = remains
        self.call(self.posts, "close", lambda post: (), _MAKE_SECONDS)
        for post in self.posts:
            self._free(post)

    def _free(self, post: Post) -> None:
        future, post.future = post.future, None
        post.actor = post.answer = None
        if future is not None:
            # Releasing would not do: calls that are never answered hold on to the task.
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
        except MdkitError as error:
            post.heard_at = time.monotonic()  # it lives, but a strategy holds it up
            post.trouble = str(error)
        except Exception:
            return

    def refresh(self) -> None:
        """Look at all shards now. One that does not answer stays as it was last seen."""
        posts = [post for post in self.posts if not post.ended]
        for post, actor, look in self.call(posts, "look", lambda post: post.seen, _LOOK_PATIENCE):
            self._take_in(post, actor, look)

    def call(
        self,
        posts: Sequence[Post],
        method: str,
        arguments: Callable[[Post], Sequence[Any]],
        patience: float,
    ) -> list[tuple[Post, Any, Any]]:
        """Call a method of shards, all at once: shard, whom was asked, and what it said.

        Left out are those that do not answer within `patience` seconds, are lost meanwhile, or
        owe an answer already.
        """
        due = time.monotonic() + patience
        asked: list[tuple[Post, Any, Any]] = []
        for post in posts:
            actor = post.actor
            owes = post.answer is not None and time.monotonic() - post.asked_at > _LOOK_PATIENCE
            if actor is not None and not owes:
                with suppress(Exception):
                    asked.append((post, actor, getattr(actor, method)(*arguments(post))))
        answers = []
        for post, actor, answer in asked:
            while not answer.done() and post.actor is actor and time.monotonic() < due:
                with suppress(Exception):
                    answer.result(timeout=_TICK_SECONDS)
            if answer.done():
                with suppress(Exception):
                    answers.append((post, actor, answer.result(timeout=1.0)))
        return answers

    def _take_in(self, post: Post, actor: Any, look: Look) -> None:
        """Take in what a look brought, unless its shard has been given up meanwhile."""
        with self.lock:
            if actor is not post.actor:
                return
            post.heard_at = time.monotonic()
            if post.look is not None and look.at_ns < post.look.at_ns:
                return  # two looks crossed, and the later one has brought everything
            signals_seen, gaps_seen = post.seen
            post.look, post.trouble = look, ""
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


def _is_loss(error: BaseException) -> bool:
    """Whether a shard was not made because its worker went away."""
    told = "KilledWorker", "CommClosedError"
    return type(error).__name__ in told or "Worker holding Actor was lost" in str(error)


def _why_not_made(post: Post, error: BaseException) -> BaseException:
    if isinstance(error, MdkitError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return SettingsError(
            f"The workers cannot import {error.name!r}: install mdkit on them, as here."
        )
    return SessionError(
        f"Worker {post.worker} could not make its shard ({type(error).__name__}: {error}); check "
        "that it has the same versions of Python and mdkit as this process."
    )
