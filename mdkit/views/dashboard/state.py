"""How a session is, in a word, a sentence and a line of its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdkit.pipeline.explain import explain
from mdkit.sources.venue import VenueSource

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline
    from mdkit.sources.source import Source

OUT = "out of step"


def state_of(pipeline: Pipeline) -> str:
    """Return the state in a word or two, the worst that is known: "normal" is said of no fault."""
    health, source = pipeline.health(), pipeline.source
    if pipeline.failure is not None:
        return "failed"
    if pipeline.receipt is not None:
        return "stopped"
    if pipeline.paused:
        return "paused"
    if not health.connected:
        return "not connected"
    if health.state in ("critical", "failing"):
        return health.state
    totals = pipeline.ledger.totals()
    if totals["invalid"] and not totals["processed"]:
        return "failing"  # nothing of what came could be read
    troubles: Sequence[str] = ()
    if isinstance(source, VenueSource):
        if any(builder.state == OUT for _, _, builder in source.books()):
            return OUT
        troubles = source.troubles
    if health.stale_for or troubles:
        return "silent"
    return health.state


def book_fault(source: Source, symbol: str) -> str:
    """Return why a symbol's book is not in step with its venue; "" where it is, or none can say."""
    builder = source.builder(symbol) if isinstance(source, VenueSource) else None
    if builder is None or builder.state == "in step":
        return ""
    return builder.reason or f"{builder.state} for a snapshot"


def may_trade(source: Source) -> bool:
    """Return whether trades may come: not where a source subscribes to other channels alone."""
    subscriptions = getattr(source, "subscriptions", ())
    return not subscriptions or any(channel == "trade" for channel, _ in subscriptions)


def sentence_of(pipeline: Pipeline, symbol: str) -> str:
    """Return `explain()`, and that the book of a symbol is suspicious if it is."""
    said = explain(pipeline)
    channel = pipeline.channels.find(symbol, "depth")
    counts = channel.reader.quality.counts if channel is not None else {}
    odd = [f"{name} {count} times" for name, count in counts.items() if count]
    return f"{said} The book of {symbol} was {', '.join(odd)} so far." if odd else said


def ledger_of(pipeline: Pipeline) -> str:
    """Return the ledger's totals in a line; what is 0 is left out."""
    totals = pipeline.ledger.totals()
    counted = [
        f"{count:,} {name.replace('_', ' ')}"
        for name, count in totals.items()
        if count or name in ("received", "processed")
    ]
    balance = "" if not pipeline.ledger.imbalance() else "; it does not balance"
    return f"Ledger: {', '.join(counted)}{balance}."
