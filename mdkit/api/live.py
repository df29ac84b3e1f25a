"""`live()`: the door to everything that is live."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mdkit.backfill.rest import RestBackfill
from mdkit.errors import SettingsError
from mdkit.exchange import Exchange
from mdkit.exchange.simulated import Simulated
from mdkit.history.intervals import KLINE_INTERVALS, check_interval
from mdkit.machine import cores
from mdkit.notebook.kernel import load_what_notebooks_show
from mdkit.pipeline.pipeline import Pipeline, WorkerKind
from mdkit.queue.policies import Overflow, check_overflow
from mdkit.recording.recorder import Recorder
from mdkit.session.arguments import (
    check_policies_channels,
    checked_channel,
    checked_count,
    checked_strategies,
    checked_symbols,
    with_called_for,
)
from mdkit.session.feeds import key_of, open_history, open_source
from mdkit.session.session import Runner, Session
from mdkit.settings import Settings
from mdkit.sources.source import Source
from mdkit.venues.routes import CHANNELS
from mdkit.workers.lanes import OnError

_sessions: dict[str, Any] = {}


@atexit.register
def _stop_all() -> None:
    """End sessions that run in threads while their loops still turn: sockets, files, processes."""
    for session in list(_sessions.values()):
        session.close_at_exit()


def live(
    symbols: Sequence[str] | str | None = None,
    *,
    channels: Sequence[str] | str | None = None,
    source: str | Source | Exchange | Simulated | None = None,
    api_key: str | None = None,
    strategies: Sequence[Any] = (),
    workers: int | None = None,
    worker_kind: WorkerKind = "task",
    maxsize: int | None = None,
    overflow: Overflow | Mapping[str, Overflow] = "block",
    block_timeout: float | None = None,
    max_retries: int = 3,
    on_error: OnError = "dead_letter",
    runner: Runner = "notebook",
    bars: str | None = None,
    warmup: int = 0,
    backfill: bool = True,
    record: str | Path | Recorder | None = None,
    rows: int | None = None,
    levels: int = 10,
    allow_nonpositive: bool = False,
    name: str = "default",
    settings: Settings | None = None,
    client: Any = None,
    shards: int | None = None,
) -> Session:
    """Make a session: a feed, a bounded queue, and your strategies. It begins with `start()`.

    Args:
        symbols: what to watch; unless given, SUBSCRIBED_SYMBOLS, or what a given `Exchange`
            carries.
        channels: any of "depth", "trade", "ticker". None is "depth", or, where that is none of
            what a strategy is called with, that as well; a line says so.
        source: None takes TickDB when TICKDB_API_KEY is set and else the embedded exchange,
            and prints one line saying which; "tickdb"; "demo"; a ws:// or wss:// URL; an
            `Exchange`; "simulated", the embedded exchange's market in the session's own loop,
            without process, socket or REST, which begins at once; an `md.Simulated` for options
            such as `rate` and `seed`; or any `Source`.
        api_key: overrides TICKDB_API_KEY.
        strategies: functions or classes made with `@md.strategy(...)`, or `md.messages(fn)`.
        workers: what serves the symbols' lanes (WORKER_COUNT). Tasks share one core; more than
            one helps strategies that await. Of processes there is one a core unless you say.
        worker_kind: "task", or "process" for strategies that are too much for one core: each
            process runs the strategies of some of the symbols. `session.diagnose().advice` says
            whether that would help.
        maxsize: messages the queue holds in memory (MAX_QUEUE_DEPTH).
        overflow: what to do when it is full: "block", "drop_oldest", "drop_newest",
            "conflate", "spill", or a dict by channel. See `mdkit.queue.buffer.Buffer`.
        block_timeout: seconds that "block" may hold the connection up before messages go to
            disk; half the keepalive budget (HEARTBEAT_INTERVAL) unless given.
        max_retries: how often a message is tried again after a `TransientError`.
        on_error: "dead_letter" keeps a failed message and goes on; "raise" stops the session.
        runner: "notebook" uses the running loop, "thread" a loop of its own in a thread, which
            a busy cell cannot stall. Without a running loop both mean a thread. The thread's
            loop is uvloop's where that is installed (`pip install uvloop`), unless the environment
            says MDKIT_UVLOOP=0.
        bars: fold trades into bars of this interval ("1m", "1h", "1d", ...), for strategies of
            bars and `frame("bar")`. Tickers are taken where they are subscribed to and trades
            are not; where neither is, trades are subscribed to.
        warmup: how many completed bars of each symbol the strategies see before live begins.
        backfill: whether to ask the REST service, after a reconnect, for what was missed: the
            current book, the latest trades, missing bars. Such rows say `source` "rest".
        record: a file to write everything that arrives into, such as "data/today.jsonl.gz", or
            a `Recorder` for more options. It replays with `md.replay`.
        rows: how many events a frame keeps for each symbol; 10,000 unless given, or fewer where
            there are so many symbols that it would be more than 500,000 together.
        levels: how many levels of a book a frame keeps, a side.
        allow_nonpositive: take prices of 0 and below as they are, for what has such (spreads,
            power, some futures). Elsewhere they are errors: such a message is invalid, such a
            trade or bar is left out, and both are counted and told.
        name: calling `live` again with the same name, as re-running a cell does, stops and
            replaces the session of that name.
        settings: overrides what is read from the environment.
        client: a `dask.distributed.Client`: the symbols are dealt out over the cluster's
            workers, and what comes back is a `ClusterSession` (needs dask and distributed). Each
            shard makes a connection of its own, which the plan must allow.
        shards: how many there are; one a worker unless given.

    Raises `SettingsError` when an argument cannot work, `AuthenticationError` when TickDB is
    asked for without a key.
    """
    load_what_notebooks_show()
    settings = settings or Settings()
    asked_workers = workers
    wanted = checked_symbols(() if symbols is None else symbols)
    if symbols is not None and not wanted:
        raise SettingsError(
            'symbols is empty: name at least one, such as "AAPL.US", or leave it out for '
            "SUBSCRIBED_SYMBOLS, or what the source carries."
        )
    if channels is None:
        chosen: tuple[str, ...] = ("depth",)
    else:
        chosen = (channels,) if isinstance(channels, str) else tuple(channels)
    for channel in chosen:
        checked_channel(channel)
    if not chosen:
        raise SettingsError(f"channels is empty: choose from {', '.join(CHANNELS)}.")
    if runner not in ("notebook", "thread"):
        raise SettingsError(f'runner={runner!r} does not exist: choose "notebook" or "thread".')
    if on_error not in ("dead_letter", "raise"):
        raise SettingsError(f'on_error={on_error!r} is not "dead_letter" or "raise".')
    asked: dict[str, Any] = {"workers": workers, "worker_kind": worker_kind}
    for name_of, given in asked.items():
        if given == "auto":
            raise SettingsError(
                f'{name_of}="auto" does not exist any more: leave it out, and once messages come '
                'session.diagnose().advice says whether worker_kind="process" would help.'
            )
    if worker_kind not in ("task", "process"):
        raise SettingsError(f'worker_kind={worker_kind!r} does not exist: "task" or "process".')
    if workers is None:
        workers = cores() if worker_kind == "process" else settings.worker_count
    workers = checked_count("workers", workers, 1, "at least 1 must serve the queue")
    max_retries = checked_count("max_retries", max_retries, 0, "0 never tries again")
    check_overflow(overflow)
    check_policies_channels(overflow)
    ready = checked_strategies(strategies)
    if bars is not None:
        bars = check_interval(bars)
        if not {"trade", "ticker"} & set(chosen):
            chosen = (*chosen, "trade")
    elif warmup:
        raise SettingsError(f'warmup={warmup} needs bars of some interval, such as bars="1m".')
    if type(warmup) is not int or warmup < 0:
        raise SettingsError(f"warmup={warmup!r} is not a number of bars.")
    if warmup and bars not in KLINE_INTERVALS:
        raise SettingsError(
            f"warmup={warmup} cannot be had for bars={bars!r}: the service keeps history for "
            f"{', '.join(KLINE_INTERVALS)}."
        )
    if source is None or isinstance(source, str | Exchange | Simulated):
        chosen = with_called_for(ready, chosen, bars, may_add=channels is None)
    else:  # it brings what it brings
        with_called_for(ready, CHANNELS, bars)
    feed = open_source(source, chosen, wanted, settings, api_key)
    predecessor = _sessions.get(name)
    if client is not None:
        from mdkit.cluster import ClusterSession

        if record is not None:
            raise SettingsError(
                "record= cannot be had with client=, since each worker would write a file of its "
                "own: record the same feed with a session in this process."
            )
        options = {
            "channels": chosen,
            "workers": asked_workers,
            "worker_kind": worker_kind,
            "maxsize": maxsize,
            "overflow": overflow,
            "block_timeout": block_timeout,
            "max_retries": max_retries,
            "on_error": on_error,
            "bars": bars,
            "warmup": warmup,
            "backfill": backfill,
            "rows": rows,
            "levels": levels,
            "allow_nonpositive": allow_nonpositive,
        }
        # The key of this feed, which a worker's settings would send nowhere else.
        options["api_key"] = key_of(feed)
        spread = _sessions[name] = ClusterSession(
            client, shards, feed, ready, settings, options, name, predecessor
        )
        # It has a session's methods; saying so in types would take two overloads of 27 keywords.
        return cast(Session, spread)
    history = open_history(feed, settings, api_key) if backfill or warmup else None
    if warmup and history is None:
        raise SettingsError(
            f"warmup={warmup} cannot be had from {feed.name}, which has no REST service to ask "
            "for bars: leave warmup out."
        )
    pipeline = Pipeline(
        feed,
        ready,
        workers=workers,
        worker_kind=worker_kind,
        maxsize=settings.max_queue_depth if maxsize is None else maxsize,
        overflow=overflow,
        block_timeout=settings.heartbeat_interval if block_timeout is None else block_timeout,
        spill_quota_bytes=settings.spill_quota_bytes,
        max_retries=max_retries,
        on_error=on_error,
        frame_rows=rows,
        levels=levels,
        interval=bars,
        made_of="trade" if "trade" in chosen else "ticker",
        warmup=warmup,
        backfill=RestBackfill(history) if history is not None else None,
        allow_nonpositive=allow_nonpositive,
        recorder=record if record is None or isinstance(record, Recorder) else Recorder(record),
    )
    session = _sessions[name] = Session(pipeline, runner, name, predecessor)
    return session


def forget(session: Session) -> None:
    """Let go of a session that has ended, for whoever makes many."""
    if _sessions.get(session.name) is session:
        del _sessions[session.name]
