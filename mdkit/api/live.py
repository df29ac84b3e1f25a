"""`live()`: the door to everything that is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mdkit.exchange import Exchange
from mdkit.exchange.simulated import Simulated
from mdkit.notebook.kernel import load_what_notebooks_show
from mdkit.pipeline.options import WorkerKind
from mdkit.queue.policies import Overflow
from mdkit.recording.recorder.recorder import Recorder
from mdkit.redaction import hide, hide_address
from mdkit.session.opening import open_session
from mdkit.session.options import Runner, SessionOptions
from mdkit.session.session import Session
from mdkit.settings import Settings
from mdkit.sources.source import Source
from mdkit.venues.venue import Venue
from mdkit.workers.lanes import OnError


def live(
    symbols: Sequence[str] | str | None = None,
    *,
    channels: Sequence[str] | str | None = None,
    source: str | Source | Exchange | Simulated | Venue | None = None,
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
            and prints one line saying which; "tickdb"; "demo"; a public venue that needs no key,
            such as "kraken" (see `venues`; symbols may then also name their venues themselves,
            "kraken:BTC/USD", which needs no source); a ws:// or wss:// URL; an
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

    Example:
        >>> market = md.Simulated(speed=None, count=500)
        >>> session = md.live(["AAPL.US"], source=market, strategies=[md.strategies.pressure])
        >>> session.run_blocking().totals["received"]
        500
        >>> len(session.frame("depth", "AAPL.US"))
        500
    """
    api_key, source = hide(api_key), hide_address(source)
    load_what_notebooks_show()
    options = SessionOptions(
        symbols=symbols,
        channels=channels,
        source=source,
        api_key=api_key,
        strategies=strategies,
        workers=workers,
        worker_kind=worker_kind,
        maxsize=maxsize,
        overflow=overflow,
        block_timeout=block_timeout,
        max_retries=max_retries,
        on_error=on_error,
        runner=runner,
        bars=bars,
        warmup=warmup,
        backfill=backfill,
        record=record,
        rows=rows,
        levels=levels,
        allow_nonpositive=allow_nonpositive,
        name=name,
        settings=settings or Settings(),
    )
    if client is None:
        return open_session(options)
    from mdkit.cluster.session import open_cluster_session

    # It has a session's methods; saying so in types would take two overloads of 24 keywords.
    return cast(Session, open_cluster_session(options, client, shards))
