"""How a session and its receipt look as the value of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

from mdkit.pipeline.explain import explain
from mdkit.pipeline.pipeline import Pipeline
from mdkit.queue.ledger import COLUMNS
from mdkit.views.html import FAINT, TEXT, table_html

_MOST_ROWS = 12


class ShownSession(Protocol):
    """What a session has that its cell shows."""

    name: str
    pipeline: Pipeline

    @property
    def state(self) -> str:
        """How far it is, in a word or two."""

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols subscribed to, and those that came."""


def session_html(session: ShownSession) -> str:
    """Return a session as HTML: what it is, how it does, and its ledger."""
    pipeline = session.pipeline
    accounts = sorted(pipeline.ledger, key=lambda account: (account.symbol, account.channel))
    columns = [
        name
        for name in COLUMNS
        if name in ("received", "processed", "queued")
        or any(getattr(account, name) for account in accounts)
    ]
    rows = [
        (
            escape(account.symbol or "-"),
            escape(account.channel),
            *(f"{getattr(account, name):,}" for name in columns),
        )
        for account in accounts[:_MOST_ROWS]
    ]
    more = f" (the first {_MOST_ROWS} of {len(accounts)})" if len(accounts) > _MOST_ROWS else ""
    heads = ("symbol", "channel", *(name.replace("_", " ") for name in columns))
    return (
        f'<div style="color:{TEXT};font-size:12.5px;line-height:1.5">'
        f"<b>Session {escape(session.name)}</b> {session.state} on "
        f"{escape(pipeline.source.name)}, {escape(', '.join(session.symbols[:8]))}<br>"
        f'<span style="color:{FAINT}">{escape(explain(pipeline))}</span>'
        f"{table_html(f'Ledger{more}', heads, rows)}</div>"
    )
