"""A session over many workers: what a person holds of it in the notebook."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mdkit.cluster.absent import not_here
from mdkit.cluster.clients import check_client, check_key_travels, is_here
from mdkit.cluster.coordinator import Coordinator
from mdkit.cluster.merging import merged_ledger
from mdkit.cluster.receipt import ClusterReceipt
from mdkit.cluster.shard import ShardConfig
from mdkit.cluster.shards import ASK_SECONDS, ShardsTogether
from mdkit.errors import SettingsError
from mdkit.events import Signal
from mdkit.exchange import Exchange
from mdkit.exchange.config import LOOPBACK
from mdkit.processes.process import pickled
from mdkit.session.feeds import ExchangeSource, key_of
from mdkit.session.lifecycle import SessionLife
from mdkit.session.opening import named, open_feed, register
from mdkit.session.options import SessionOptions
from mdkit.session.stopping import Stopping
from mdkit.sources.source import Source
from mdkit.sources.websocket import WebSocketSource

_TURN_SECONDS = 0.05
_REPLACED_SECONDS = 8.0


def open_cluster_session(
    options: SessionOptions, client: Any, shards: int | None = None
) -> ClusterSession:
    """Make a session on a Dask cluster, which replaces the one of its name.

    Raises `SettingsError` for what cannot be had there, and `AuthenticationError` when TickDB is
    asked for without a key.
    """
    feed = open_feed(options)
    return register(ClusterSession(options, client, shards, feed, named(options.name)))


class ClusterSession(ShardsTogether):
    """A feed read by many workers of a Dask cluster. Made by `live(client=...)`.

    Each shard of the symbols has a session of its own on a worker, with its own connection,
    queue and ledger; this is what they look like together. Methods may be called from any
    thread. A failure of a shard stops all, and is raised once, by the next call.

    When a worker is lost, its symbols move to another worker, with fresh strategies; `gaps()`
    has a row for each symbol and channel from when the lost shard was last seen, at most about
    a second before, to when the new one was connected. Of the lost shard there remains what was
    seen by then: signals, gaps, and its ledger as of then. Nobody can know what it received
    after that, nor what became of messages that were waiting then, which stay `queued`; the
    gap is where they belong. Frames live on the workers: rows from before the loss are there as
    far as `frame()` had fetched them. When the session stops they come to this process: of each
    channel the newest 500,000.

    Args:
        options: as for a session in this process; every shard is made with them.
        client: a `distributed.Client`.
        shards: how many there are; one a worker unless given.
        feed: the source that the options mean; says where the workers shall connect to.

    Raises `SettingsError` for what cannot be had on a cluster.
    """

    def __init__(
        self,
        options: SessionOptions,
        client: Any,
        shards: int | None,
        feed: Source,
        predecessor: SessionLife[Any] | None = None,
    ) -> None:
        if options.record is not None:
            raise SettingsError(
                "record= cannot be had with client=, since each worker would write a file of its "
                "own: record the same feed with a session in this process."
            )
        check_client(client)
        if not isinstance(feed, WebSocketSource):
            raise SettingsError(
                f"{feed.name} is a source in this process, which workers cannot read: with client= "
                'give a ws:// or wss:// URL, an md.Exchange, or "tickdb"; a recording plays from '
                "md.Exchange(replay=...)."
            )
        if shards is not None and (type(shards) is not int or shards < 1):
            raise SettingsError(f"shards={shards!r} is not usable: at least 1 reads the feed.")
        if key_of(feed) is not None:
            known = client.scheduler_info(n_workers=-1)
            check_key_travels(
                [known["address"], *known["workers"]],
                plain_allowed=options.settings.dask_plain_key,
            )
        super().__init__(options.name, predecessor)
        self.source = feed.name
        self._client = client
        self._shards = shards
        self._wanted = feed.symbols
        self._exchange = feed.exchange if isinstance(feed, ExchangeSource) else None
        self._options = options
        shared = replace(
            options,
            source="tickdb" if feed.name == "tickdb" else feed.url,
            symbols=None,
            channels=options.subscribed_channels,
            strategies=(),
            # The key of this feed, which a worker's settings would send nowhere else.
            api_key=key_of(feed),
        )
        config = ShardConfig(shared, pickled(options.ready, "leave client= out"))
        self._coordinator = Coordinator(client, config)
        self._count_shards()
        self._failed: BaseException | None = None
        self._asked_to_stop = threading.Event()
        self._stop_timeout = 10.0
        self._started_at = 0.0

    if not TYPE_CHECKING:  # to a type checker every name would be there

        def __getattr__(self, name):
            raise not_here(name)

    def _count_shards(self) -> int:
        """Return how many shards there shall be, one a worker unless told; raises if none can."""
        count = self._shards or len(self._coordinator.workers())
        if not count:
            raise SettingsError(
                "The Dask cluster has no workers: start some, or wait for them with "
                "client.wait_for_workers(1)."
            )
        if self._wanted:
            count = min(count, len(self._wanted))
        for strategy in self._options.ready:
            if strategy.per == "session" and count > 1:
                raise SettingsError(
                    f"Strategy {strategy.name} must see all symbols together, but {count} shards "
                    "would each see some: give shards=1, or leave client out."
                )
        return count

    # -- life -------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._started_at = time.monotonic()
        self._thread = threading.Thread(
            target=self._run, name=f"mdkit cluster session {self.name}", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        """The whole life of the session, in a thread: nothing here is anybody's loop."""
        coordinator = self._coordinator
        exchange, ours = self._exchange, False
        try:
            if self._predecessor is not None:
                _end_quietly(self._predecessor)
                self._predecessor = None
            if exchange is not None:
                ours = not exchange.running
                exchange = exchange.start() if ours else exchange
                self._reach(exchange)
            coordinator.begin(self._wanted, self._count_shards())
            while not self._asked_to_stop.wait(_TURN_SECONDS):
                coordinator.turn()
        except BaseException as error:
            self._failed = error
        try:
            coordinator.end(self._stop_timeout)
            receipt = self._make_receipt()
        except BaseException as error:
            self._failed = self._failed or error
        if ours and exchange is not None:
            with suppress(Exception):
                exchange.stop()
        if self._failed is not None:
            self._ended.set_exception(self._failed)
        else:
            self._ended.set_result(receipt)

    def _reach(self, exchange: Exchange) -> None:
        """Tell the shards where the exchange is, now that it has a port."""
        if exchange.config.host in LOOPBACK:
            for worker in self._coordinator.workers():
                if not is_here(worker):
                    raise SettingsError(
                        f"The exchange listens on {exchange.config.host}, which worker {worker} "
                        "cannot reach: give md.Exchange(host=...) an address of this machine's in "
                        "the workers' network."
                    )
        self._wanted = self._wanted or exchange.symbols
        config = self._coordinator.config
        reached = replace(config.options, source=exchange.ws_url)
        self._coordinator.config = replace(config, options=reached)

    def _make_receipt(self) -> ClusterReceipt:
        coordinator = self._coordinator
        ledger = merged_ledger(self._snapshots(lost=True))
        totals = ledger.totals()
        receipts = [
            handle.snapshot.receipt
            for handle in coordinator.handles
            if handle.snapshot and handle.snapshot.receipt
        ]
        return ClusterReceipt(
            seconds=time.monotonic() - self._started_at,
            totals=totals,
            balanced=not ledger.imbalance(),
            signals=sum(snapshot.signal_count for snapshot in self._snapshots(lost=True)),
            gaps=coordinator.gap_count,
            connects=sum(snapshot.connects for snapshot in self._snapshots(lost=True)),
            drained=all(receipt.drained for receipt in receipts)
            and len(receipts) == len(coordinator.handles)
            and not totals["queued"] + totals["spilled"] + totals["in_flight"],
            left_path=None,
            reason=next((r.reason for r in receipts if r.reason != "stopped"), "stopped"),
            commonest=next((r.commonest for r in receipts if r.commonest), ""),
            shards=len(coordinator.handles),
            losses=len(coordinator.losses),
            left_paths=tuple(receipt.left_path for receipt in receipts if receipt.left_path),
        )

    def _ask_to_stop(self, timeout: float) -> None:
        self._stop_timeout = timeout
        self._asked_to_stop.set()

    def _stopping(self, timeout: float) -> Stopping[ClusterReceipt]:
        return Stopping(self._ended, None, _nothing)

    def _pause(self, on: bool) -> None:
        self._coordinator.paused = on  # also for shards that are being made
        self._coordinator.call(
            self._coordinator.handles, "pause", lambda handle: (on,), ASK_SECONDS
        )

    def on_signal(self, callback: Callable[[Signal], Any]) -> None:
        """Call `callback` with every signal that comes from now on to this process.

        That is about once a second, in a thread of the session's.
        """
        self._coordinator.callbacks.append(callback)

    @property
    def _failure(self) -> BaseException | None:
        return self._failed

    @property
    def _failing(self) -> bool:
        return self._health().state == "failing"

    @property
    def _paused(self) -> bool:
        return self._coordinator.paused


def _end_quietly(session: SessionLife[Any]) -> None:
    """End the session whose name this one takes, from a thread."""
    # Whatever it died of is its own; this thread is none that signals come to.
    with suppress(BaseException):
        session._begin_to_stop(1.0).result(_REPLACED_SECONDS)


async def _nothing() -> None:
    return
