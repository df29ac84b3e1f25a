"""What a reader of a result should know that its figures do not say."""

from __future__ import annotations

from typing import Any

import numpy as np

from mdkit.backtesting.account.metrics import METRICS, MIN_RETURNS, Account
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.runs import Run


def notes_on(
    terms: Terms, account: Account, panel: Panel, run: Run, units: np.ndarray[Any, Any]
) -> tuple[str, ...]:
    """Return sentences: on figures that are nan, on symbols that ended, on sizes not shown.

    `units` are those held after each close, shape (symbols, bars).
    """
    if not terms.trade:
        return ()
    return tuple(
        filter(None, (few_returns(account), *ended_held(panel, run, units), larger(panel, run)))
    )


def few_returns(account: Account) -> str:
    """Return why figures of a year are nan, or an empty text where they are not."""
    if not account.is_short:
        return ""
    count = len(account.returns)
    silent = [
        name.replace("_", " ")
        for name, metric in METRICS.items()
        if metric.needs_returns(count, account.calendar.years)
    ]
    return (
        f"{count} return{'s' if count != 1 else ''}, {account.calendar.frequency}: too few for "
        f"figures of a year, which need {MIN_RETURNS}; {', '.join(silent)} are nan"
    )


def ended_held(panel: Panel, run: Run, units: np.ndarray[Any, Any]) -> list[str]:
    """Return a sentence on each symbol whose bars ended, before the others', while it was held."""
    if run.times is not None:  # of depth: a book stays in force, however old
        return []
    found = []
    for symbol, last, held in zip(
        panel.symbols, panel.last_bars, units[:, -1].tolist(), strict=True
    ):
        if held != 0.0 and 0 <= last < len(panel) - 1:
            price = panel.closes[panel.symbols.index(symbol), -1]
            found.append(
                f"{symbol} was still held ({held:,.6g} units) when its bars ended on "
                f"{panel.index[last]:%Y-%m-%d %H:%M} UTC, {len(panel) - 1 - last:,} bars before "
                f"the last; it counts at its last price, {price:,.6g}, until the end"
            )
    return found


def larger(panel: Panel, run: Run) -> str:
    """Return how many fills were larger than what the book showed at their price, if any were."""
    if run.shown is None:
        return ""
    wanted = np.abs(run.fills[:, 2])
    over = wanted > run.shown
    if not over.any():
        return ""
    with np.errstate(divide="ignore"):
        worst = int(np.argmax(wanted / run.shown))
    symbol = panel.symbols[int(run.fills[worst, 1])]
    return (
        f"{int(over.sum()):,} of {len(wanted):,} fills are larger than the size that the book "
        f"showed at their price: at most {wanted[worst]:,.6g} of {symbol} against "
        f"{run.shown[worst]:,.6g}; they are filled whole at that price all the same, so take less "
        "cash, or weights, to see what a market would have given"
    )
