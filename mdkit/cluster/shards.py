"""What the shards of a session on a cluster look like together: tables, figures, sentences."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdkit.books.levels import books_of, narrowed
from mdkit.cluster.coordinator import Coordinator
from mdkit.cluster.handle import ShardHandle
from mdkit.cluster.merging import (
    by_time,
    merged_diagnosis,
    merged_health,
    merged_ledger,
    merged_memory,
    merged_metrics,
    merged_stats,
)
from mdkit.cluster.receipt import ClusterReceipt
from mdkit.cluster.shard import FAMILIES, Snapshot
from mdkit.errors import ShardWarning
from mdkit.frames import Frames, book_frame
from mdkit.frames.sampling import at_each_end, checked_step
from mdkit.monitoring.exposition import together, write
from mdkit.pipeline.explain import Diagnosis
from mdkit.pipeline.health import Health
from mdkit.session.lifecycle import SessionLife
from mdkit.session.options import SessionOptions
from mdkit.session.tables import diagnostics
from mdkit.session.tables.books import cut, venue_table
from mdkit.session.tables.lookups import check_names
from mdkit.session.tables.orderflow import OrderFlowTables

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ASK_SECONDS = 30.0


class ShardsTogether(SessionLife[ClusterReceipt], OrderFlowTables):
    """The half of a session on a cluster that shows it; the other half is its life.

    Most methods ask the workers, all at once. Of a shard that does not answer counts, health and
    signals are as they were last seen; its tables are absent, which a `ShardWarning` says.
    """

    source: str
    _coordinator: Coordinator
    _wanted: tuple[str, ...]
    _options: SessionOptions

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
        came = (
            symbol for snapshot in self._snapshots() for symbol, *_ in snapshot.accounts if symbol
        )
        return tuple(dict.fromkeys((*self._wanted, *came)))

    def shards(self) -> pd.DataFrame:
        """Return a row a shard: worker, symbols, connected, waiting, received, signals."""
        self._refresh()
        return self._shard_table()

    def _shard_table(self) -> pd.DataFrame:
        import pandas as pd

        rows = [
            (
                handle.worker if handle.future is not None or handle.ended else None,
                ", ".join(handle.symbols),
                handle.snapshot is not None and handle.snapshot.health.connected,
                handle.snapshot.waiting if handle.snapshot else 0,
                merged_ledger([handle.snapshot]).totals()["received"] if handle.snapshot else 0,
                handle.snapshot.signal_count if handle.snapshot else 0,
            )
            for handle in self._coordinator.handles
        ]
        columns = ["worker", "symbols", "connected", "waiting", "received", "signals"]
        return pd.DataFrame(rows, columns=columns).rename_axis("shard")

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

        As `Session.frame`; fetched from the workers, so ask for the `last` rows of many. What a
        lost worker held is not in it: its symbols begin with a row after a gap.
        """
        self._tell_failure()
        self._check_table(channel, symbol)
        frames = Frames(1, self._options.levels)
        columns = frames.frame(channel, symbol, levels=levels).columns
        empty = books_of(frames.frame(channel, symbol, last))
        step = None if every is None else checked_step(channel, every)
        wanted, last = last, None if step else last
        handles = [
            handle
            for handle in self._coordinator.handles
            if symbol is None or symbol in handle.symbols
        ]
        if symbol is not None and not handles:  # one that nobody asked for may have come
            handles = list(self._coordinator.handles)
        ended = [
            (handle, handle.remains.frame(channel, symbol)) for handle in handles if handle.remains
        ]
        found = self._or_asked(ended, handles, "frame", channel, symbol, last)
        whole = by_time([table for _, table in found] or [empty], last)
        if symbol is None:
            whole = whole.assign(symbol=whole["symbol"].astype("category"))
        whole = whole if step is None else by_time([at_each_end(whole, step)], wanted)
        return narrowed(whole, columns)

    def book(self, symbol: str, levels: int | None = None) -> pd.DataFrame:
        """Return the current order book of a symbol: one row a level, best first.

        `levels`: how many a side at most; None for all that strategies see.
        """
        self._tell_failure()
        self._check_table("depth", symbol)
        handles = self._coordinator.handles
        handles = [handle for handle in handles if symbol in handle.symbols] or handles
        ended = [(handle, handle.remains.books.get(symbol)) for handle in handles if handle.remains]
        books = [book for _, book in self._or_asked(ended, handles, "book", symbol)]
        found = next((book for book in books if book is not None), None)
        return book_frame(found if levels is None or found is None else cut(found, levels))

    def venues(self) -> pd.DataFrame:
        """Return how far the books of public venues are proven: none, since none is read here.

        Public venues are read in this process alone; see `Session.venues`.
        """
        return venue_table(None)

    def _check_table(self, channel: str, symbol: str | None) -> None:
        """Raise `SettingsError`, with near matches, for what no shard is subscribed to."""
        symbols = self._wanted if symbol in self._wanted else self.symbols
        came = {
            name.partition(":")[0]
            for snapshot in self._snapshots()
            for _, name, *_ in snapshot.accounts
        }
        check_names(
            channel,
            symbol,
            channels=came | set(self._options.subscribed_channels),
            symbols=symbols if self._wanted else (),
            interval=self._options.bars,
            can_add=False,
        )

    def signals(self, last: int | None = None) -> pd.DataFrame:
        """Return what the strategies said: symbol, strategy, value, by time received."""
        self._refresh()
        with self._coordinator.lock:
            table = self._coordinator.signals.snapshot()
        return by_time([table.sort_index(kind="stable")], last)

    def metrics(self, last: int | None = None) -> pd.DataFrame:
        """Return queue depth and rates, summed over the shards, and the largest loop lag."""
        return merged_metrics([table for _, table in self._table("metrics")], last)

    def ledger(self) -> pd.DataFrame:
        """Return where every message went: a row per symbol and channel.

        It is balanced in every row. What lost workers did counts as it was last seen.
        """
        self._refresh()
        return merged_ledger(self._snapshots(lost=True)).frame()

    def dead_letters(self) -> pd.DataFrame:
        """Return each shard's newest 1,000 messages on which a strategy failed."""
        found = [table for _, table in self._table("dead_letters")]
        return by_time(found or [diagnostics.dead_letters(())])

    def invalid(self) -> pd.DataFrame:
        """Return each shard's newest 100 messages that could not be used."""
        found = [table for _, table in self._table("invalid")]
        return by_time(found or [diagnostics.invalid(())])

    def clocks(self) -> pd.DataFrame:
        """Return how far apart the exchange's clock and the workers' are, by symbol."""
        import pandas as pd

        found = [table for _, table in self._table("clocks") if len(table)]
        return pd.concat(found) if found else pd.DataFrame()

    def gaps(self) -> pd.DataFrame:
        """Return the stretches that were not seen, those after the loss of a worker included."""
        self._refresh()
        with self._coordinator.lock:
            found = list(self._coordinator.gaps)
        return diagnostics.gaps(sorted(found, key=lambda gap: gap.from_ns))

    def health(self) -> Health:
        """Return the worst of the shards' states, with rates summed; see `Health`."""
        self._refresh()
        return self._health()

    def diagnose(self) -> Diagnosis:
        """Return `consumer_bound` where any shard is, and what helps which; see `Session`."""
        return merged_diagnosis([(h.number, found) for h, found in self._table("diagnose")])

    def explain(self) -> str:
        """Return a sentence for each shard that has something to say, or that all is well."""
        self._refresh()
        return self._explain()

    def memory(self) -> pd.Series[Any]:
        """Return bytes on the workers by what holds them; see `mdkit.pipeline.memory.memory`."""
        import pandas as pd

        found = [(handle.worker, part) for handle, part in self._table("memory")]
        return merged_memory(found) if found else pd.Series(dtype="int64", name="bytes")

    def stats(self) -> dict[str, Any]:
        """Return the session's figures: ledger totals, shards, losses, strategies, problems."""
        self._refresh()
        coordinator = self._coordinator
        parts = [part for _, part in self._table("stats")]
        return {
            "source": self.source,
            "connected": self._health().connected,
            "messages": merged_ledger(self._snapshots(lost=True)).totals(),
            "health": asdict(self._health()),
            "signals": sum(snapshot.signal_count for snapshot in self._snapshots(lost=True)),
            "signals_not_fetched": coordinator.signals_missed,
            "gaps": coordinator.gap_count,
            "shards": {handle.number: handle.worker for handle in coordinator.handles},
            "losses": list(coordinator.losses),
            "callback_errors": list(coordinator.callback_errors),
            **merged_stats(parts),
        }

    def prometheus(self) -> str:
        """Return the metrics of all shards as text in Prometheus's format; each has its label.

        As `Session.prometheus`. What is counted anew where another worker takes a shard over goes
        back to 0 there, as when a service is restarted. This asks the workers.
        """
        found = [(str(handle.number), part) for handle, part in self._table(FAMILIES)]
        return "".join(write(together(found, "shard"), self.name))

    def save(self, folder: str | Path) -> Path:
        """Write charts (PNG), tables (CSV) and a report (HTML) into a folder; return the report.

        The folder is made if need be; files of an earlier save are replaced.
        """
        from mdkit.charts.report import save

        return save(self, Path(folder).expanduser())

    def plot(self) -> Figure:
        """Return a figure: queue depth and rates, and each symbol's pressure, gaps shaded.

        Of more than a dozen symbols the busiest are drawn, and the figure says which.
        """
        from mdkit.charts.session import busiest, overview

        shown, symbols = busiest(self.ledger())
        has_books = any(
            channel == "depth" for s in self._snapshots() for _, channel, _ in s.accounts
        )
        books = self.frame("depth") if has_books else Frames(1, self._options.levels).frame("depth")
        books = books[books["symbol"].isin(shown)]
        return overview(
            self.metrics(),
            {
                str(symbol): part["pressure"]
                for symbol, part in books.groupby("symbol", observed=True)
            },
            symbols=symbols,
            title=f"mdkit {self.name}",
            maxsize=sum(snapshot.maxsize for snapshot in self._snapshots()) or None,
            gaps=self.gaps(),
        )

    def _repr_html_(self) -> str:
        from mdkit.cluster.html import cluster_html

        return cluster_html(
            self.name, self.state, self.source, self._explain(), self._shard_table()
        )

    def __repr__(self) -> str:
        totals = merged_ledger(self._snapshots(lost=True)).totals()
        health = self._health()
        lost = totals["dropped"] + totals["conflated"]
        signals = sum(snapshot.signal_count for snapshot in self._snapshots(lost=True))
        handles = self._coordinator.handles
        return (
            f"<ClusterSession {self.name!r} {self.state} on {self.source}, {len(handles)} shards "
            f"({len(self._coordinator.losses)} moved): {totals['received']:,} received at "
            f"{health.in_rate:,.0f}/s, {totals['queued'] + totals['spilled']:,} waiting "
            f"{health.state}, {lost:,} lost, {totals['dead_lettered'] + totals['invalid']:,} bad, "
            f"{signals:,} signals>"
        )

    # -- asking the shards ----------------------------------------------------------------------

    def _snapshots(self, lost: bool = False) -> list[Snapshot]:
        """The last snapshot of every shard, and with `lost` of those that were lost."""
        with self._coordinator.lock:
            snapshots = [handle.snapshot for handle in self._coordinator.handles]
            snapshots += self._coordinator.lost if lost else []
        return [snapshot for snapshot in snapshots if snapshot is not None]

    def _refresh(self) -> None:
        self._tell_failure()
        if self.running:
            self._coordinator.refresh()

    def _health(self) -> Health:
        snapshots = self._snapshots()
        return merged_health(snapshots, len(self._coordinator.handles) - len(snapshots))

    def _explain(self) -> str:
        if self._failure is not None:
            return f"Stopped by {type(self._failure).__name__}: {self._failure}"
        if self.receipt is not None:
            return f"Stopped: {self.receipt}"
        if not self._begun.is_set():
            return "Not started."
        said = []
        for handle in self._coordinator.handles:
            if handle.snapshot is None:
                said.append(
                    f"shard {handle.number} ({', '.join(handle.symbols)}) has no worker yet"
                )
            elif handle.trouble:
                said.append(
                    f"shard {handle.number} on {handle.worker}: {handle.trouble.rstrip('.')}"
                )
            elif not handle.snapshot.explanation.startswith("All is well"):
                said.append(
                    f"shard {handle.number} on {handle.worker}: {handle.snapshot.explanation}"
                )
        if self._coordinator.losses:
            said.append(
                f"{len(self._coordinator.losses):,} moved, the last: {self._coordinator.losses[-1]}"
            )
        health = self._health()
        flow = f"{health.in_rate:,.0f} messages a second in, {health.out_rate:,.0f} out"
        return f"{'; '.join(said)} ({flow})." if said else f"All is well: {flow}."

    def _table(self, name: str) -> list[tuple[ShardHandle, Any]]:
        """Return what a method of the shards' sessions gives; after the end what it gave then."""
        self._tell_failure()
        handles = self._coordinator.handles
        ended = [(handle, handle.remains.tables[name]) for handle in handles if handle.remains]
        return self._or_asked(ended, handles, "table", name)

    def _or_asked(
        self,
        ended: list[tuple[ShardHandle, Any]],
        handles: Sequence[ShardHandle],
        method: str,
        *args: Any,
    ) -> list[tuple[ShardHandle, Any]]:
        """Return what shards left when they ended, or what a method of them gives, all at once.

        Those that give nothing are left out, with a `ShardWarning` if there was anything of them.
        """
        found = ended or [
            (handle, answer)
            for handle, _, answer in self._coordinator.call(
                handles, method, lambda handle: args, ASK_SECONDS
            )
        ]
        given = {handle for handle, _ in found}
        absent = [handle.absence for handle in handles if handle not in given and handle.absence]
        if absent:
            warnings.warn(
                f"Not all shards are in this: {'; '.join(absent)}; see shards() and gaps()",
                ShardWarning,
                stacklevel=4,
            )
        order = {handle: number for number, handle in enumerate(handles)}
        return sorted(found, key=lambda item: order[item[0]])
