"""Colours and tables of plain HTML that follow a notebook's light and dark themes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

# JupyterLab's and VS Code's own variables make tables follow light and dark themes; the
# last value serves pages that define neither.
TEXT = "var(--jp-content-font-color1, var(--vscode-foreground, inherit))"
FAINT = "var(--jp-content-font-color2, var(--vscode-descriptionForeground, #888))"
LINE = "var(--jp-border-color2, var(--vscode-widget-border, #8886))"
CELL = "padding:1px 8px;text-align:right;border:0;font-variant-numeric:tabular-nums;"


def table_html(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return an HTML table that follows light and dark themes; `rows` hold safe HTML."""
    head = "".join(
        f'<th style="{CELL}color:{FAINT};font-weight:normal;border-bottom:1px solid {LINE}">'
        f"{escape(name)}</th>"
        for name in columns
    )
    body = "".join(
        '<tr style="background:none">'
        + "".join(f'<td style="{CELL}white-space:nowrap">{cell}</td>' for cell in row)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div style="color:{TEXT};font-size:12px;line-height:1.45"><b>{escape(title)}</b>'
        f'<table style="border-collapse:collapse;border:0;margin:4px 0"><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def clock(received_ns: int) -> str:
    """Return a time in UTC, to the millisecond."""
    seconds, ns = divmod(received_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}.{ns // 1_000_000:03d}"
