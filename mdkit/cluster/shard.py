"""What runs on a worker: one ordinary session for some of the symbols, kept as a Dask actor."""

from __future__ import annotations

import pickle
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

# Loaded here and now: the first snapshot would load it in the session's loop, and hold that up.
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.events import Depth, Gap, Signal
from mdkit.frames import KINDS
from mdkit.pipeline.explain import explain
from mdkit.pipeline.health import Health
from mdkit.pipeline.receipt import Receipt
from mdkit.queue.ledger import COLUMNS
from mdkit.session.opening import forget, open_session
from mdkit.session.options import SessionOptions
from mdkit.session.session import Session

T = TypeVar("T")

LEASE_SECONDS = 30.0
"""A shard that nobody has asked for so long ends by itself: its notebook is gone."""

FAMILIES = "_families"
"""Of those: its metrics, before they are text."""
TABLES = ("dead_letters", "invalid", "clocks", "metrics", "memory", "stats", "diagnose", FAMILIES)
"""Methods of a session whose results are wanted of a shard as well."""

SignalRow = tuple[int, str, str, float, int]
"""received_ns, symbol, strategy, value, exchange_ns: a row of `SignalFrame`."""


@dataclass(frozen=True)
class ShardConfig:
    """What every shard of a session is made with.

    It travels inside a task's arguments, which Dask prints when a task fails: so its repr shows
    neither the key nor the strategies.

    Attributes:
        options: those of the session, without strategies. The source is "tickdb" or a URL, and
            the settings are the notebook's, the key included; a worker's environment has no say.
        strategies: a pickled tuple of them.
    """

    options: SessionOptions = field(repr=False)
    strategies: bytes = field(repr=False)


@dataclass(frozen=True)
class Snapshot:
    """The state of a shard at one moment, with the signals and gaps since the snapshot before.

    Attributes:
        at_ns: the worker's clock, which also stamps the messages.
        accounts: symbol, channel and the ledger's counts.
        signals_from, gaps_from: how many came before the first of these.
        signal_count: how many there were in all.
        receipt, failure: how it ended; None while it runs.
    """

    at_ns: int
    accounts: tuple[tuple[str, str, tuple[int, ...]], ...]
    signals_from: int
    signals: Sequence[SignalRow]
    signal_count: int
    gaps_from: int
    gaps: Sequence[Gap]
    health: Health
    waiting: int
    maxsize: int
    connects: int
    explanation: str
    receipt: Receipt | None
    failure: BaseException | None


@dataclass(frozen=True)
class Remains:
    """What a shard leaves behind: its tables, since they are gone with it."""

    frames: dict[str, pd.DataFrame]
    """Of all symbols, by kind."""
    books: dict[str, Depth | None]
    tables: dict[str, Any]

    def frame(self, channel: str, symbol: str | None) -> pd.DataFrame:
        """Return the frame of a symbol, or of all."""
        table = self.frames[channel]
        return table if symbol is None else table[table["symbol"] == symbol].drop(columns="symbol")


@dataclass
class Lease:
    """How long a shard may live without being asked."""

    asked_at: float = field(default_factory=time.monotonic)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.asked_at + LEASE_SECONDS - time.monotonic()


class Heard:
    """The newest signals of a session, and how many there were in all."""

    def __init__(self, capacity: int) -> None:
        self.rows: deque[SignalRow] = deque(maxlen=capacity)
        self.count = 0

    def note(self, signal: Signal) -> None:
        """Take a signal down."""
        self.count += 1
        self.rows.append(
            (
                signal.received_ns,
                signal.symbol,
                signal.strategy,
                signal.value,
                signal.exchange_ns,
            )
        )


class Shard:
    """A session on a worker. All methods return soon, since a worker runs them one by one.

    The frames of one that takes over from a lost one begin with a gap.
    """

    def __init__(
        self, config: ShardConfig, symbols: Sequence[str], name: str, takes_over: bool = False
    ) -> None:
        try:
            strategies = pickle.loads(config.strategies)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"A worker cannot import {error.name!r}, which a strategy needs: install it "
                "there, or send it with client.upload_file(...)."
            ) from None
        options = replace(
            config.options, symbols=symbols, strategies=strategies, runner="thread", name=name
        )
        self._session = open_session(options)
        if takes_over:
            frames = self._session.pipeline.frames
            for symbol in symbols:
                for channel in options.subscribed_channels:
                    frames.table(channel, symbol).break_off()
        self._heard = Heard(self._session.pipeline.signals.capacity)
        self._session.on_signal(self._heard.note)
        self._session.start()
        self._lease = Lease()
        threading.Thread(
            target=_watch,
            args=(self._session, self._lease),
            name=f"mdkit lease {name}",
            daemon=True,
        ).start()
        # Dask lets go of an actor when its client is gone; that is sooner than the lease ends.
        weakref.finalize(self, self._lease.over.set).atexit = False

    def snapshot(self, signals_seen: int, gaps_seen: int) -> Snapshot:
        """Return how it does, with the signals and gaps that came after those seen already."""
        self._lease.asked_at = time.monotonic()
        session = self._session
        pipeline = session.pipeline

        def read() -> Snapshot:
            heard, gaps = self._heard, pipeline.gaps
            new_signals = min(heard.count - signals_seen, len(heard.rows))
            new_gaps = min(pipeline.gap_count - gaps_seen, len(gaps))
            queue = pipeline.buffer.statistics()
            return Snapshot(
                at_ns=time.time_ns(),
                accounts=tuple(
                    (account.symbol, account.channel, tuple(getattr(account, c) for c in COLUMNS))
                    for account in pipeline.ledger
                ),
                signals_from=heard.count - new_signals,
                signals=_newest(heard.rows, new_signals),
                signal_count=heard.count,
                gaps_from=pipeline.gap_count - new_gaps,
                gaps=_newest(gaps, new_gaps),
                health=pipeline.health(),
                waiting=queue.depth + queue.spilled,
                maxsize=queue.maxsize,
                connects=getattr(pipeline.source, "connects", 0),
                explanation=explain(pipeline),
                receipt=pipeline.receipt,
                failure=pipeline.failure,
            )

        # In its loop, all at once: the ledger of one moment is balanced.
        return session._do(read)

    def frame(self, channel: str, symbol: str | None, last: int | None) -> pd.DataFrame:
        """Return the session's `frame`."""
        frames = self._session.pipeline.frames
        levels = frames.levels if channel == "depth" else None
        return self._session._do(lambda: frames.frame(channel, symbol, last, levels=levels))

    def book(self, symbol: str) -> Depth | None:
        """Return the newest book of a symbol."""
        frames = self._session.pipeline.frames
        return self._session._do(lambda: frames.book(symbol))

    def table(self, name: str) -> Any:
        """Return what the session's method of that name does, one of `TABLES`."""
        method = getattr(self._session, name)
        if name == FAMILIES:  # which others call in the session's loop, and never fails
            return self._session._do(method)
        try:
            return method()
        except Exception:
            # A failure is told once by the session itself, and by every snapshot.
            if self._session.pipeline.failure is None:
                raise
            return method()

    def pause(self, on: bool) -> None:
        """Pause or resume."""
        (self._session.pause if on else self._session.resume)()

    def stop(self, timeout: float) -> None:
        """Begin to stop; `snapshot` has the receipt once it has."""
        self._session._begin_to_stop(timeout)

    def remains(self, last: int) -> Remains:
        """Return the tables, of each kind the `last` rows; for when it has stopped."""
        frames = self._session.pipeline.frames
        return Remains(
            {
                kind: frames.frame(
                    kind, None, last, levels=frames.levels if kind == "depth" else None
                )
                for kind in KINDS
            },
            {symbol: frames.book(symbol) for symbol in frames.symbols("depth")},
            {name: self.table(name) for name in TABLES},
        )

    def close(self) -> None:
        """Free what the worker would keep of it."""
        self._lease.over.set()


def _watch(session: Session, lease: Lease) -> None:
    """End a shard's session when nobody wants it any more. Knows the shard not, so it can go."""
    while not lease.over.wait(max(0.0, lease.left)) and lease.left > 0:
        continue
    session._begin_to_stop(1.0)
    forget(session)


def _newest(things: deque[T], count: int) -> list[T]:
    return list(islice(things, len(things) - count, None))
