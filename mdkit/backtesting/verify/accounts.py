"""The account over books on both engines, compared bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mdkit.backtesting.account.terms import Fills, Terms
from mdkit.backtesting.books.door import backtest_books
from mdkit.backtesting.compiled.native import need_numba
from mdkit.backtesting.runs import Run
from mdkit.backtesting.verify.verification import Difference
from mdkit.strategies.contract import Strategy


def check_accounts(strategy: Strategy, events: Sequence[Any], fills: Fills) -> Difference | None:
    """Return where the compiled account first differs from that in Python, or None.

    Raises `CannotCompile` without numba, and `SettingsError` for a strategy not of books.
    """
    need_numba()
    runs = []
    for engine in ("python", "native"):
        panel, run, *_ = backtest_books(
            strategy, events, Terms(fills=fills), latency_ms=0.0, engine=engine, recorded=True
        )
        runs.append(run)
    one, two = runs
    for what in ("equity", "fills", "orders"):
        expected, found = _table(one, what), _table(two, what)
        if expected.tobytes() == found.tobytes():
            continue
        if expected.shape != found.shape:
            return Difference(
                "compiled account", "all", 0, f"number of {what}", len(expected), len(found)
            )
        differs = expected.view(np.int64) != found.view(np.int64)
        row = int(np.flatnonzero(differs.reshape(len(expected), -1).any(axis=1))[0])
        return Difference(
            "compiled account", ", ".join(panel.symbols), row, what,
            expected[row].tolist(), found[row].tolist(),
        )  # fmt: skip
    return None


def _table(run: Run, what: str) -> Any:
    assert run.books is not None
    return np.ascontiguousarray(getattr(run.books, what))
