"""What a reader of a result should know that its figures do not say."""

from __future__ import annotations

from typing import Any

import numpy as np

from mdkit.backtesting.account.fills import REASONS
from mdkit.backtesting.account.metrics import METRICS, MIN_RETURNS, Account
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.bars.orders import FILLED, NO_MARGIN, NOTHING
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.runs import Run


def notes_on(
    terms: Terms, account: Account, panel: Panel, run: Run, units: np.ndarray[Any, Any]
) -> tuple[str, ...]:
    """Return sentences: on figures that are nan, on symbols that ended, on how books filled.

    `units` are those held after each close, shape (symbols, bars).
    """
    if not terms.trade:
        return ()
    return tuple(
        filter(
            None,
            (
                few_returns(account),
                *ended_held(panel, run, units),
                *of_books(panel, terms, run),
                *of_bars(terms, run),
            ),
        )
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


def of_books(panel: Panel, terms: Terms, run: Run) -> list[str]:
    """Return how orders on books were filled, and how many of them not whole."""
    if run.books is None:
        return []
    orders = run.books.orders
    wanted, filled = np.abs(orders[:, 2]), np.abs(orders[:, 3])
    sized = wanted > 0.0
    share = "" if terms.max_share == 1.0 else f", at most {terms.max_share:.0%} of each"
    told = [_MODELS[terms.fills] + share]
    short = sized & (filled < wanted * (1.0 - 1e-9))
    if short.any():
        left = np.where(short, wanted - filled, 0.0)
        worst = int(np.argmax(np.where(short, left / np.maximum(wanted, 1e-300), 0.0)))
        told.append(
            f"{int(short.sum()):,} of {int(sized.sum()):,} orders were not filled whole: the worst "
            f"wanted {wanted[worst]:,.6g} of {panel.symbols[int(orders[worst, 0])]} and got "
            f"{filled[worst]:,.6g}; see .orders"
        )
    if terms.fills == "queue" and not run.books.market_trades:
        told.append(
            "there are no trades among the events, without which a queue moves by cancels alone"
        )
    return [*told, *filter(None, [run.books.latency_note])]


def of_bars(terms: Terms, run: Run) -> list[str]:
    """Return how limits on bars were filled, what the margin cut, and what was liquidated."""
    if run.bars is None:
        return []
    told, states = [], run.bars.states[run.bars.answers.kind != NOTHING]
    if len(states):
        beyond = "at their price" if terms.fills == "touch" else "beyond their price"
        told.append(
            f"{int((states == FILLED).sum()):,} of {len(states):,} orders were filled, limits "
            f"where a bar trades {beyond}; see .orders"
        )
    cut = int((states == NO_MARGIN).sum())
    if cut:
        told.append(f"{cut:,} orders were cut to what the margin allowed")
    closed = int((run.fills[:, 5] == REASONS.index("liquidation")).sum())
    if closed:
        told.append(f"{closed:,} positions were liquidated for want of margin")
    return told


_MODELS = {
    "touch": 'fills="touch": at the best price, up to the size shown',
    "book": 'fills="book": through the levels shown, up to their sizes',
    "queue": 'fills="queue": targets wait in the queue at the near touch',
}
