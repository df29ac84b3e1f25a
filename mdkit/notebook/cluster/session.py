"""A session over many workers: what a person holds of it in the notebook."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mdkit.errors import SessionError, SettingsError
from mdkit.events import Signal
from mdkit.exchange import Exchange
from mdkit.exchange.config import LOOPBACK
from mdkit.frames import Frames, book_frame
from mdkit.notebook import tables
from mdkit.notebook.cluster.clients import check_client, is_here
from mdkit.notebook.cluster.keeper import Keeper, Post
from mdkit.notebook.cluster.merging import (
    after_gap,
    by_time,
    merged_health,
    merged_ledger,
    merged_memory,
    merged_metrics,
    merged_stats,
)
from mdkit.notebook.cluster.receipt import ClusterReceipt
from mdkit.notebook.cluster.shard import Look, Order
from mdkit.notebook.feeds import ExchangeSource
from mdkit.notebook.kernel import check_kernel
from mdkit.notebook.loops import stop_signals
from mdkit.notebook.stopping import Stopping
from mdkit.settings import Settings
from mdkit.strategies.contract import Strategy
from mdkit.stream.health import Health
from mdkit.stream.process_lanes import pickled
from mdkit.stream.source import Source, WebSocketSource

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mdkit.notebook.session import Session

_TURN_SECONDS = 0.05
_ASK_SECONDS = 30.0


class ClusterSession:
    """A feed read by many workers of a Dask cluster. Made by `live(client=...)`.

    Each shard of the symbols has a session of its own on a worker, with its own connection,
    queue and ledger; this is what they look like together. Methods may be called from any
    thread. A failure of a shard stops all, and is raised once, by the next call.

    When a worker is lost, its symbols move to another worker, with fresh strategies; `gaps()`
    has a row for each symbol and channel from when the lost shard was last seen, at most about
    a second before, to when the new one was connected. Of the lost shard there remains what was
    seen by then: signals, gaps, and its ledger as of that look. Nobody can know what it received
    after that, nor what became of messages that were waiting then, which stay `queued`; the
    gap is where they belong. Frames live on the workers: rows from before the loss are there as
    far as `frame()` had fetched them.

    Args:
        feed: what `open_source` returned; says where the workers shall connect to.
        options: further keywords of `live`, for the shards.
    """

    def __init__(
        self,
        client: Any,
        shards: int | None,
        feed: Source,
        strategies: Sequence[Strategy],
        settings: Settings,
        options: Mapping[str, Any],
        name: str = "default",
        predecessor: Session | ClusterSession | None = None,
    ) -> None:
        check_client(client)
        if not isinstance(feed, WebSocketSource):
            raise SettingsError(
                f"{feed.name} is a source in this process, which workers cannot read: with client= "
                'give a ws:// or wss:// URL, an md.Exchange, or "tickdb"; a recording plays from '
                "md.Exchange(replay=...)."
            )
        if shards is not None and (type(shards) is not int or shards < 1):
            raise SettingsError(f"shards={shards!r} is not usable: at least 1 reads the feed.")
        self.name = name
        self.source = feed.name
        self._client = client
        self._shards = shards
        self._wanted = feed.symbols
        self._exchange = feed.exchange if isinstance(feed, ExchangeSource) else None
        self._strategies = tuple(strategies)
        self._options = dict(options)
        self._predecessor = predecessor
        url = "tickdb" if feed.name == "tickdb" else feed.url
        order = Order(url, pickled(strategies, "leave client= out"), settings, self._options)
        self._keeper = Keeper(client, order, self._options["channels"])
        self._count_shards()
        self._failure: BaseException | None = None
        self._failure_told = False
        self._begun = threading.Event()
        self._asked_to_stop = threading.Event()
        self._stop_timeout = 10.0
        self._started_at = 0.0
        self._thread: threading.Thread | None = None
        self._ended: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._ended.set_running_or_notify_cancel()  # whoever waits for it cannot cancel it

    def _count_shards(self) -> int:
        """Return how many shards there shall be, one a worker unless told; raises if none can."""
        count = self._shards or len(self._keeper.workers())
        if not count:
            raise SettingsError(
                "The Dask cluster has no workers: start some, or wait for them with "
                "client.wait_for_workers(1)."
            )
        if self._wanted:
            count = min(count, len(self._wanted))
        for strategy in self._strategies:
            if strategy.per == "session" and count > 1:
                raise SettingsError(
                    f"Strategy {strategy.name} must see all symbols together, but {count} shards "
                    "would each see some: give shards=1, or leave client out."
                )
        return count

    # -- life -------------------------------------------------------------------------------

    def start(self) -> Self:
        """Begin; returns at once, before the workers have connected."""
        if self._begun.is_set():
            self._tell_failure()
            if self._ended.done():
                raise SessionError("This session has ended; make a new one with md.live(...).")
            return self
        self._begun.set()
        check_kernel()
        self._started_at = time.monotonic()
        self._thread = threading.Thread(
            target=self._run, name=f"mdkit cluster session {self.name}", daemon=True
        )
        self._thread.start()
        return self

    def _run(self) -> None:
        """The whole life of the session, in a thread: nothing here is anybody's loop."""
        keeper = self._keeper
        exchange, ours = self._exchange, False
        try:
            if self._predecessor is not None:
                _end_quietly(self._predecessor)
                self._predecessor = None
            if exchange is not None:
                ours = not exchange.running
                exchange = exchange.start() if ours else exchange
                self._reach(exchange)
            keeper.begin(self._wanted, self._count_shards())
            while not self._asked_to_stop.wait(_TURN_SECONDS):
                keeper.turn()
        except BaseException as error:
            self._failure = error
        try:
            keeper.end(self._stop_timeout)
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            if ours and exchange is not None:
                exchange.stop()
            if self._failure is not None:
                self._ended.set_exception(self._failure)
            else:
                self._ended.set_result(self._make_receipt())

    def _reach(self, exchange: Exchange) -> None:
        """Tell the shards where the exchange is, now that it has a port."""
        if exchange.config.host in LOOPBACK:
            for worker in self._keeper.workers():
                if not is_here(worker):
                    raise SettingsError(
                        f"The exchange listens on {exchange.config.host}, which worker {worker} "
                        "cannot reach: give md.Exchange(host=...) an address of this machine's in "
                        "the workers' network."
                    )
        self._wanted = self._wanted or exchange.symbols
        order = self._keeper.order
        self._keeper.order = Order(exchange.ws_url, order.strategies, order.settings, order.options)

    def _make_receipt(self) -> ClusterReceipt:
        keeper = self._keeper
        ledger = merged_ledger(self._looks(past=True))
        totals = ledger.totals()
        receipts = [post.look.receipt for post in keeper.posts if post.look and post.look.receipt]
        return ClusterReceipt(
            seconds=time.monotonic() - self._started_at,
            totals=totals,
            balanced=not ledger.imbalance(),
            signals=sum(look.signal_count for look in self._looks(past=True)),
            gaps=keeper.gap_count,
            connects=sum(look.connects for look in self._looks(past=True)),
            drained=all(receipt.drained for receipt in receipts)
            and len(receipts) == len(keeper.posts)
            and not totals["queued"] + totals["spilled"] + totals["in_flight"],
            left_path=None,
            reason="stopped",
            shards=len(keeper.posts),
            losses=len(keeper.losses),
            left_paths=tuple(receipt.left_path for receipt in receipts if receipt.left_path),
        )

    async def run(self, seconds: float | None = None) -> ClusterReceipt:
        """Start if need be, go on for `seconds` (None: until it fails), stop; the receipt."""
        self.start()
        ended = asyncio.wrap_future(self._ended)
        due = time.monotonic() + (float("inf") if seconds is None else seconds)
        # In short stretches: an ipykernel whose loop sleeps takes no notice of an interrupt.
        while not ended.done() and (left := due - time.monotonic()) > 0:
            await asyncio.wait([ended], timeout=min(left, 0.25))
        self._failure_told = True
        self.stop()
        receipt: ClusterReceipt = await asyncio.shield(ended)
        return receipt

    def run_blocking(self, seconds: float | None = None) -> ClusterReceipt:
        """As `run`, for plain scripts and for cells that should block.

        In the main thread SIGINT (Ctrl-C) and SIGTERM end it early, with everything drained.
        """
        with stop_signals() as asked_to_stop:
            self.start()
            due = time.monotonic() + (float("inf") if seconds is None else seconds)
            while not asked_to_stop.is_set() and (left := due - time.monotonic()) > 0:
                concurrent.futures.wait([self._ended], timeout=min(left, 0.1))
                if self._ended.done():
                    break
            self._failure_told = True
            self.stop()
            receipt: ClusterReceipt = self._ended.result()
        if self._thread is not None:
            self._thread.join(timeout=10.0)
        return receipt

    def stop(self, timeout: float = 10.0) -> Stopping:
        """Have every shard handle what it has queued, for up to `timeout` seconds, and end.

        `receipt = await session.stop()` in a notebook, `session.stop().result()` in a script.
        The shards' tables come to this process then: of each channel the newest 500,000 rows.
        """
        if not self._begun.is_set():
            self._begun.set()
            self._ended.set_exception(SessionError("The session was stopped before it started."))
            self._failure_told = True
        self._stop_timeout = timeout
        self._asked_to_stop.set()
        if self._ended.done() and self._ended.exception() is not None:
            self._failure_told = True
        return Stopping(self._ended, None, _nothing)

    async def _end(self) -> None:
        """Stop and wait, as a session does that is to be replaced."""
        with suppress(Exception):
            self.stop(timeout=1.0)
            await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=8.0)

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def close_at_exit(self) -> None:
        """End it while the interpreter exits; shards that cannot be reached end by themselves."""
        if self.running and self._thread is not None:
            self.stop(timeout=2.0)
            self._thread.join(timeout=5.0)

    def pause(self) -> None:
        """Take nothing from the feed until `resume()`; the connections feel backpressure."""
        self._pause(True)

    def resume(self) -> None:
        """Go on after `pause()`."""
        self._pause(False)

    def _pause(self, on: bool) -> None:
        self._keeper.paused = on  # also for shards that are being made
        self._ask(self._keeper.posts, "pause", on)

    def on_signal(self, callback: Callable[[Signal], Any]) -> None:
        """Call `callback` with every signal that comes from now on to this process.

        That is about once a second, in a thread of the session's.
        """
        self._keeper.callbacks.append(callback)

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._begun.is_set() and not self._ended.done()

    @property
    def state(self) -> str:
        """One of "not started", "running", "paused", "stopped", "failed"."""
        if self._ended.done():
            return "failed" if self._failure else "stopped"
        if not self._begun.is_set():
            return "not started"
        return "paused" if self._keeper.paused else "running"

    # -- looking ------------------------------------------------------------------------------

    @property
    def receipt(self) -> ClusterReceipt | None:
        """What the session did, once it has stopped."""
        if not self._ended.done() or self._ended.exception() is not None:
            return None
        receipt: ClusterReceipt = self._ended.result()
        return receipt

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols subscribed to, and those that came without being asked for."""
        came = (symbol for look in self._looks() for symbol, *_ in look.accounts if symbol)
        return tuple(dict.fromkeys((*self._wanted, *came)))

    def shards(self) -> pd.DataFrame:
        """Return a row a shard: worker, symbols, connected, waiting, received, signals."""
        self._refresh()
        return self._shard_table()

    def _shard_table(self) -> pd.DataFrame:
        import pandas as pd

        rows = [
            (
                post.worker if post.future is not None or post.ended else None,
                ", ".join(post.symbols),
                post.look is not None and post.look.health.connected,
                post.look.waiting if post.look else 0,
                merged_ledger([post.look]).totals()["received"] if post.look else 0,
                post.look.signal_count if post.look else 0,
            )
            for post in self._keeper.posts
        ]
        columns = ["worker", "symbols", "connected", "waiting", "received", "signals"]
        return pd.DataFrame(rows, columns=columns).rename_axis("shard")

    def frame(
        self, channel: str, symbol: str | None = None, last: int | None = None
    ) -> pd.DataFrame:
        """Return the events of a channel as an ordinary DataFrame of this moment.

        As `Session.frame`; fetched from the workers, so ask for the `last` rows of many.
        """
        self._tell_failure()
        empty = Frames(1, self._options["levels"]).frame(channel, symbol, last)
        posts = [post for post in self._keeper.posts if symbol is None or symbol in post.symbols]
        if symbol is not None and not posts:  # one that nobody asked for may have come
            posts = list(self._keeper.posts)
        fresh = self._ask(posts, "frame", channel, symbol, last)
        with self._keeper.lock:
            for post, table in fresh:
                post.kept.add(channel, symbol, table)
            before = [past.kept.frame(channel, symbol) for past in self._keeper.past]
            now = dict(fresh)
            parts = [
                now[post] if post in now else post.kept.frame(channel, symbol) for post in posts
            ]
        old = by_time([table for table in before if table is not None] or [empty])
        new = by_time([table for table in parts if table is not None] or [empty])
        return by_time([old, after_gap(old, new)] if len(old) else [new], last)

    def book(self, symbol: str) -> pd.DataFrame:
        """Return the current order book of a symbol: one row a level, best first."""
        self._tell_failure()
        books = [book for _, book in self._ask(self._keeper.posts, "book", symbol)]
        books += [post.remains.books.get(symbol) for post in self._keeper.posts if post.remains]
        return book_frame(next((book for book in books if book is not None), None))

    def signals(self, last: int | None = None) -> pd.DataFrame:
        """Return what the strategies said: symbol, strategy, value, by time received."""
        self._refresh()
        with self._keeper.lock:
            table = self._keeper.signals.snapshot()
        return by_time([table.sort_index(kind="stable")], last)

    def metrics(self, last: int | None = None) -> pd.DataFrame:
        """Return queue depth and rates, summed over the shards, and the largest loop lag."""
        return merged_metrics([table for _, table in self._table("metrics")], last)

    def ledger(self) -> pd.DataFrame:
        """Return where every message went: a row per symbol and channel.

        It is balanced in every row. What lost workers did counts as it was last seen.
        """
        self._refresh()
        return merged_ledger(self._looks(past=True)).frame()

    def dead_letters(self) -> pd.DataFrame:
        """Return each shard's newest 1,000 messages on which a strategy failed."""
        found = [table for _, table in self._table("dead_letters")]
        return by_time(found or [tables.dead_letters(())])

    def invalid(self) -> pd.DataFrame:
        """Return each shard's newest 100 messages that could not be used."""
        found = [table for _, table in self._table("invalid")]
        return by_time(found or [tables.invalid(())])

    def clocks(self) -> pd.DataFrame:
        """Return how far apart the exchange's clock and the workers' are, by symbol."""
        import pandas as pd

        found = [table for _, table in self._table("clocks") if len(table)]
        return pd.concat(found) if found else pd.DataFrame()

    def gaps(self) -> pd.DataFrame:
        """Return the stretches that were not seen, those after the loss of a worker included."""
        self._refresh()
        with self._keeper.lock:
            found = list(self._keeper.gaps)
        return tables.gaps(sorted(found, key=lambda gap: gap.from_ns))

    def health(self) -> Health:
        """Return the worst of the shards' states, with rates summed; see `Health`."""
        self._refresh()
        return self._health()

    def explain(self) -> str:
        """Return a sentence for each shard that has something to say, or that all is well."""
        self._refresh()
        return self._explain()

    def memory(self) -> pd.Series[Any]:
        """Return bytes on the workers by what holds them; see `mdkit.stream.memory.memory`."""
        import pandas as pd

        found = [(post.worker, part) for post, part in self._table("memory")]
        return merged_memory(found) if found else pd.Series(dtype="int64", name="bytes")

    def stats(self) -> dict[str, Any]:
        """Return the session's figures: ledger totals, shards, losses, strategies, problems."""
        self._refresh()
        keeper = self._keeper
        parts = [part for _, part in self._table("stats")]
        return {
            "source": self.source,
            "connected": self._health().connected,
            "messages": merged_ledger(self._looks(past=True)).totals(),
            "health": asdict(self._health()),
            "signals": sum(look.signal_count for look in self._looks(past=True)),
            "signals_not_fetched": keeper.signals_missed,
            "gaps": keeper.gap_count,
            "shards": {post.number: post.worker for post in keeper.posts},
            "losses": list(keeper.losses),
            "callback_errors": list(keeper.callback_errors),
            **merged_stats(parts),
        }

    def plot(self) -> Figure:
        """Return a figure: queue depth and rates, and each symbol's pressure, gaps shaded."""
        from mdkit.notebook.charts import overview

        books = self.frame("depth")
        return overview(
            self.metrics(),
            {str(symbol): part["pressure"] for symbol, part in books.groupby("symbol")},
            title=f"mdkit {self.name}",
            maxsize=sum(look.maxsize for look in self._looks()) or None,
            gaps=self.gaps(),
        )

    def _repr_html_(self) -> str:
        from mdkit.notebook.cluster.html import cluster_html

        return cluster_html(self, self._explain(), self._shard_table())

    def __repr__(self) -> str:
        totals = merged_ledger(self._looks(past=True)).totals()
        health = self._health()
        lost = totals["dropped"] + totals["conflated"]
        posts = self._keeper.posts
        return (
            f"<ClusterSession {self.name!r} {self.state} on {self.source}, {len(posts)} shards "
            f"({len(self._keeper.losses)} moved): {totals['received']:,} received at "
            f"{health.in_rate:,.0f}/s, {totals['queued'] + totals['spilled']:,} waiting "
            f"{health.state}, {lost:,} lost, {totals['dead_lettered'] + totals['invalid']:,} bad, "
            f"{sum(look.signal_count for look in self._looks(past=True)):,} signals>"
        )

    # -- asking the shards ----------------------------------------------------------------------

    def _looks(self, past: bool = False) -> list[Look]:
        """The last look at every shard, and with `past` at those that were lost."""
        with self._keeper.lock:
            looks = [post.look for post in self._keeper.posts]
            looks += [gone.look for gone in self._keeper.past] if past else []
        return [look for look in looks if look is not None]

    def _refresh(self) -> None:
        self._tell_failure()
        if self.running:
            self._keeper.refresh()

    def _health(self) -> Health:
        looks = self._looks()
        return merged_health(looks, len(self._keeper.posts) - len(looks))

    def _explain(self) -> str:
        if self._failure is not None:
            return f"Stopped by {type(self._failure).__name__}: {self._failure}"
        if self.receipt is not None:
            return f"Stopped: {self.receipt}"
        if not self._begun.is_set():
            return "Not started."
        said = []
        for post in self._keeper.posts:
            if post.look is None:
                said.append(f"shard {post.number} ({', '.join(post.symbols)}) has no worker yet")
            elif post.trouble:
                said.append(f"shard {post.number} on {post.worker}: {post.trouble.rstrip('.')}")
            elif not post.look.explanation.startswith("All is well"):
                said.append(f"shard {post.number} on {post.worker}: {post.look.explanation}")
        if self._keeper.losses:
            said.append(f"{len(self._keeper.losses):,} moved, the last: {self._keeper.losses[-1]}")
        health = self._health()
        flow = f"{health.in_rate:,.0f} messages a second in, {health.out_rate:,.0f} out"
        return f"{'; '.join(said)} ({flow})." if said else f"All is well: {flow}."

    def _table(self, name: str) -> list[tuple[Post, Any]]:
        """Return what a method of the shards' sessions gives; after the end what it gave then."""
        self._tell_failure()
        ended = [(p, p.remains.tables[name]) for p in self._keeper.posts if p.remains]
        return ended or self._ask(self._keeper.posts, "table", name)

    def _ask(self, posts: Sequence[Post], method: str, *args: Any) -> list[tuple[Post, Any]]:
        """Call a method of shards, all at once; leaves out those that cannot answer."""
        answers = self._keeper.call(posts, method, lambda post: args, _ASK_SECONDS)
        return [(post, answer) for post, _, answer in answers]

    def _tell_failure(self) -> None:
        if self._failure is not None and not self._failure_told:
            self._failure_told = True
            raise self._failure


def _end_quietly(session: Session | ClusterSession) -> None:
    """End the session whose name this one takes, from a thread."""
    with suppress(Exception):
        session.stop(timeout=1.0).result(8.0)


async def _nothing() -> None:
    return
