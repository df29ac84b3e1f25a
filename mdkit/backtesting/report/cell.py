"""A result as a notebook's cell shows it."""

from __future__ import annotations

import html
import math
from typing import Protocol

import pandas as pd

from mdkit.backtesting.account import metrics
from mdkit.backtesting.account.shown import shown_value
from mdkit.backtesting.plots import DrawnResult


class ShownResult(DrawnResult, Protocol):
    """What a finished backtest has that a cell shows; see `Result`."""

    @property
    def risk_free(self) -> float:
        """The yearly rate that ratios are above."""

    @property
    def said(self) -> pd.DataFrame:
        """How often each symbol's strategy said something."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figures do not say."""

    @property
    def _signals_line(self) -> str: ...
    @property
    def _engine_line(self) -> str: ...


def result_html(result: ShownResult) -> str:
    """Return the figures as a table, with what they rest on below."""
    if not result.terms.trade:
        table = result.said.to_html(border=0, float_format="{:,.4g}".format)
        told = f"{result._signals_line}. Engine: {result._engine_line}."
        return (
            f"<div><b>{html.escape(repr(result.strategy))}</b>{table}"
            f"<small>{html.escape(told)}</small></div>"
        )
    a = result.account
    ratios = (
        f"Ratios: {len(a.returns):,} returns, {a.calendar.frequency}, {a.year:g} a year, "
        f"risk-free {result.risk_free:.2%} a year. Engine: {result._engine_line}."
    )
    cells = [
        f'<td style="text-align:left;padding-right:1em" '
        f'title="{html.escape(metrics.describe(n))}">'
        f"{html.escape(n.replace('_', ' '))}</td>"
        f'<td style="text-align:right;padding-right:2.5em">'
        f"{html.escape(shown_value(n, result.stats[n]))}</td>"
        for n in metrics.METRICS
    ]
    thirds = math.ceil(len(cells) / 3)
    rows = "".join(f"<tr>{''.join(cells[row::thirds])}</tr>" for row in range(thirds))
    span = (
        f"{', '.join(result.panel.symbols)}, {len(result.panel):,} bars from "
        f"{result.stats['start']:%Y-%m-%d %H:%M} to {result.stats['end']:%Y-%m-%d %H:%M} UTC"
    )
    return (
        f"<div><b>{html.escape(repr(result.strategy))}</b> on {html.escape(span)}"
        f"<table>{rows}</table><small>{html.escape(ratios)}"
        f"{''.join(f'<br>Note: {html.escape(note)}.' for note in result.notes)}</small></div>"
    )
