"""The tables and judgements of many shards as those of one session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mdkit.cluster.shard import Snapshot
from mdkit.pipeline.explain import Diagnosis
from mdkit.pipeline.health import Bottleneck, Health, state_of
from mdkit.queue.ledger import COLUMNS, Ledger

if TYPE_CHECKING:
    import pandas as pd

METRICS_EVERY = "200ms"
_WORST_FIRST: tuple[Bottleneck, ...] = ("consumer_bound", "balanced", "producer_bound")


def merged_ledger(snapshots: Iterable[Snapshot]) -> Ledger:
    """Return the sum of the shards' ledgers, lost ones included."""
    ledger = Ledger()
    for snapshot in snapshots:
        for symbol, channel, counts in snapshot.accounts:
            merged = ledger.counts(symbol, channel)
            for name, count in zip(COLUMNS, counts, strict=True):
                setattr(merged, name, getattr(merged, name) + count)
    return ledger


def merged_health(snapshots: Sequence[Snapshot], missing: int) -> Health:
    """Return the worst of the shards' states; rates and worker time are their sums.

    `missing` shards have no worker or were not seen yet: the session is not connected then.
    """
    healths = [snapshot.health for snapshot in snapshots]
    worst = max((health.utilisation for health in healths), default=0.0)
    bottlenecks = {health.bottleneck for health in healths}
    return Health(
        state="failing" if any(h.state == "failing" for h in healths) else state_of(worst),
        bottleneck=next((b for b in _WORST_FIRST if b in bottlenecks), "balanced"),
        utilisation=worst,
        in_rate=sum(health.in_rate for health in healths),
        out_rate=sum(health.out_rate for health in healths),
        busy=sum(health.busy for health in healths),
        lag=max((health.lag for health in healths), default=0.0),
        connected=bool(healths) and not missing and all(health.connected for health in healths),
        stale_for=max((health.stale_for for health in healths), default=0.0),
    )


def by_time(tables: Sequence[pd.DataFrame], last: int | None = None) -> pd.DataFrame:
    """Return tables as one in the order of their index, or its `last` rows; at least one table."""
    import pandas as pd

    filled = [table for table in tables if len(table)]
    if len(filled) > 1:
        whole = pd.concat(filled).sort_index(kind="stable")
    else:
        whole = (filled or list(tables))[0]
    return whole if last is None else whole.iloc[max(0, len(whole) - last) :]


def merged_metrics(tables: Sequence[pd.DataFrame], last: int | None = None) -> pd.DataFrame:
    """Return sums over the shards (one at least) in steps of 0.2 s; of `lag_ms` the largest."""
    import pandas as pd

    # A shard that was sampled twice in a step counts once, with the means.
    steps = [
        table.groupby(pd.DatetimeIndex(table.index).floor(METRICS_EVERY)).mean()
        for table in tables
        if len(table)
    ]
    if not steps:
        return tables[0]
    rows = pd.concat(steps)
    whole = rows.groupby(rows.index).sum()
    whole["lag_ms"] = rows.groupby(rows.index)["lag_ms"].max()
    return whole if last is None else whole.iloc[max(0, len(whole) - last) :]


def merged_memory(by_worker: Sequence[tuple[str, pd.Series[Any]]]) -> pd.Series[Any]:
    """Return the sum of the shards' memory; a worker's process counts once."""
    import pandas as pd

    whole = pd.concat([part for _, part in by_worker], axis=1).fillna(0).sum(axis=1)
    processes = {worker: part["process"] for worker, part in by_worker}
    whole["process"] = sum(processes.values())
    return whole.astype("int64").rename("bytes")


def merged_diagnosis(parts: Sequence[tuple[int, Diagnosis]]) -> Diagnosis:
    """Return the word of the shard that is worst off, and each advice with the shards it is for."""
    words = [str(found) for _, found in parts]
    shards: dict[str, list[str]] = {}
    for number, found in parts:
        shards.setdefault(found.advice, []).append(str(number))
    advice = [f"shard {', '.join(whose)}: {told}" for told, whose in shards.items()]
    worst = next((word for word in _WORST_FIRST if word in words), "balanced")
    return Diagnosis(worst, "; ".join(advice))


def merged_stats(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums and unions of the shards' `stats`, as far as those make sense."""
    slowest: dict[str, dict[str, float]] = {}
    reasons: dict[str, int] = {}
    for part in parts:
        for name, timer in part["strategies"].items():
            known = slowest.get(name)
            if known is None or timer["mean_us"] > known["mean_us"]:
                slowest[name] = timer
        for reason, count in part["invalid_reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    return {
        "retries": sum(part["retries"] for part in parts),
        "connects": sum(part["connects"] for part in parts),
        "disconnects": sum(part["disconnects"] for part in parts),
        "strategies": slowest,
        "invalid_reasons": reasons,
        "problems": [said for part in parts for said in part["problems"]],
        "refused": {what: why for part in parts for what, why in part["refused"].items()},
        "suspicious": {what: how for part in parts for what, how in part["suspicious"].items()},
        "bars": {what: how for part in parts for what, how in part["bars"].items()},
    }
