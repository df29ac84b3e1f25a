"""How a session on a cluster looks as the value of a cell."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mdkit.views.html import FAINT, TEXT, table_html

if TYPE_CHECKING:
    import pandas as pd


def cluster_html(name: str, state: str, source: str, sentence: str, table: pd.DataFrame) -> str:
    """Return a session on a cluster as HTML: what it is, how it does, and its shards."""
    rows = [
        (
            str(number),
            escape(str(row.worker or "none")),
            escape(_short(str(row.symbols))),
            "yes" if row.connected else "no",
            f"{row.waiting:,}",
            f"{row.received:,}",
            f"{row.signals:,}",
        )
        for number, row in zip(table.index, table.itertuples(index=False), strict=True)
    ]
    return (
        f'<div style="color:{TEXT};font-size:12.5px;line-height:1.5">'
        f"<b>Cluster session {escape(name)}</b> {state} on "
        f"{escape(source)}<br>"
        f'<span style="color:{FAINT}">{escape(sentence)}</span>'
        f"{table_html('Shards', ('shard', *table.columns), rows)}</div>"
    )


def _short(symbols: str) -> str:
    return symbols if len(symbols) <= 80 else f"{symbols[:80]}..."
