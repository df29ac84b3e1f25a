"""What the shards of a session on a cluster look like together: tables, figures, sentences."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mdkit.books.levels import books_of, narrowed
from mdkit.cluster.keeper import Keeper
from mdkit.cluster.merging import (
    by_time,
    merged_health,
    merged_ledger,
    merged_memory,
    merged_metrics,
    merged_stats,
)
from mdkit.cluster.post import Post
from mdkit.cluster.receipt import ClusterReceipt
from mdkit.cluster.shard import Look
from mdkit.errors import ShardWarning
from mdkit.frames import Frames, book_frame
from mdkit.frames.sampling import at_each_end, checked_step
from mdkit.pipeline.health import Health
from mdkit.session import tables
from mdkit.session.life import SessionLife
from mdkit.session.lookups import check_names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ASK_SECONDS = 30.0


class ShardsTogether(SessionLife[ClusterReceipt]):
    """The half of a session on a cluster that looks; the other half is its life.

    Most looks ask the workers, all at once. Of a shard that does not answer counts, health and
    signals are as they were last seen; its tables are absent, which a `ShardWarning` says.
    """

    source: str
    _keeper: Keeper
    _wanted: tuple[str, ...]
    _levels: int
    _options: dict[str, Any]

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
        frames = Frames(1, self._levels)
        columns = frames.frame(channel, symbol, levels=levels).columns
        empty = books_of(frames.frame(channel, symbol, last))
        step = None if every is None else checked_step(channel, every)
        wanted, last = last, None if step else last
        posts = [post for post in self._keeper.posts if symbol is None or symbol in post.symbols]
        if symbol is not None and not posts:  # one that nobody asked for may have come
            posts = list(self._keeper.posts)
        ended = [(p, p.remains.frame(channel, symbol)) for p in posts if p.remains]
        found = self._or_asked(ended, posts, "frame", channel, symbol, last)
        whole = by_time([table for _, table in found] or [empty], last)
        if symbol is None:
            whole = whole.assign(symbol=whole["symbol"].astype("category"))
        whole = whole if step is None else by_time([at_each_end(whole, step)], wanted)
        return narrowed(whole, columns)

    def book(self, symbol: str) -> pd.DataFrame:
        """Return the current order book of a symbol: one row a level, best first."""
        self._tell_failure()
        self._check_table("depth", symbol)
        posts = self._keeper.posts
        posts = [post for post in posts if symbol in post.symbols] or posts
        ended = [(post, post.remains.books.get(symbol)) for post in posts if post.remains]
        books = [book for _, book in self._or_asked(ended, posts, "book", symbol)]
        return book_frame(next((book for book in books if book is not None), None))

    def _check_table(self, channel: str, symbol: str | None) -> None:
        """Raise `SettingsError`, with near matches, for what no shard is subscribed to."""
        symbols = self._wanted if symbol in self._wanted else self.symbols
        came = {name.partition(":")[0] for look in self._looks() for _, name, *_ in look.accounts}
        check_names(
            channel,
            symbol,
            channels=came | set(self._options["channels"]),
            symbols=symbols if self._wanted else (),
            interval=self._options["bars"],
            can_add=False,
        )

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
        """Return bytes on the workers by what holds them; see `mdkit.pipeline.memory.memory`."""
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
        """Return a figure: queue depth and rates, and each symbol's pressure, gaps shaded.

        Of more than a dozen symbols the busiest are drawn, and the figure says which.
        """
        from mdkit.charts.session import busiest, overview

        shown, symbols = busiest(self.ledger())
        has_books = any(channel == "depth" for s in self._looks() for _, channel, _ in s.accounts)
        books = self.frame("depth") if has_books else Frames(1, self._levels).frame("depth")
        books = books[books["symbol"].isin(shown)]
        return overview(
            self.metrics(),
            {
                str(symbol): part["pressure"]
                for symbol, part in books.groupby("symbol", observed=True)
            },
            symbols=symbols,
            title=f"mdkit {self.name}",
            maxsize=sum(look.maxsize for look in self._looks()) or None,
            gaps=self.gaps(),
        )

    def _repr_html_(self) -> str:
        from mdkit.cluster.html import cluster_html

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
            looks += self._keeper.past if past else []
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
        posts = self._keeper.posts
        ended = [(p, p.remains.tables[name]) for p in posts if p.remains]
        return self._or_asked(ended, posts, "table", name)

    def _or_asked(
        self, ended: list[tuple[Post, Any]], posts: Sequence[Post], method: str, *args: Any
    ) -> list[tuple[Post, Any]]:
        """Return what shards left when they ended, or what a method of them gives, all at once.

        Those that give nothing are left out, with a `ShardWarning` if there was anything of them.
        """
        found = ended or [
            (post, answer)
            for post, _, answer in self._keeper.call(posts, method, lambda post: args, ASK_SECONDS)
        ]
        given = {post for post, _ in found}
        absent = [post.absence for post in posts if post not in given and post.absence]
        if absent:
            warnings.warn(
                f"Not all shards are in this: {'; '.join(absent)}; see shards() and gaps()",
                ShardWarning,
                stacklevel=4,
            )
        order = {post: number for number, post in enumerate(posts)}
        return sorted(found, key=lambda item: order[item[0]])
