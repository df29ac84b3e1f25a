"""How a session is, in a word, a sentence and a line of its ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdkit.pipeline.explain import explain

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline


def state_of(pipeline: Pipeline) -> str:
    """Return the state in a word or two."""
    health = pipeline.health()
    if pipeline.failure is not None:
        return "failed"
    if pipeline.receipt is not None:
        return "stopped"
    if pipeline.paused:
        return "paused"
    return health.state if health.connected else "not connected"


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
