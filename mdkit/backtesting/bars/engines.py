"""An account over bars with orders, run by Python or compiled: the same source, the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.contracts import as_fees
from mdkit.backtesting.account.fills import FILL_FIELDS
from mdkit.backtesting.account.sizing import ATRStop
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.bars.account import FILLS_A_BAR, BarAccount
from mdkit.backtesting.bars.bar_run import BarRun
from mdkit.backtesting.bars.columns import BarAnswers
from mdkit.backtesting.bars.rates import Rates, rates_of
from mdkit.backtesting.bars.sizes import Sized, known_ranges
from mdkit.backtesting.compiled import native
from mdkit.backtesting.data.panel import Panel

Floats = npt.NDArray[np.float64]
_WIDTH = len(FILL_FIELDS)


def run_bars(
    panel: Panel, terms: Terms, sized: Sized, answers: BarAnswers, engine: str
) -> tuple[Floats, Floats, BarRun]:
    """Return equity at each close, fills of shape (n, 6), and what else the account did."""
    # Copies: compiled code takes no array that is read-only, as columns of a DataFrame are.
    plain: Callable[[Any], Any] = _as_list if engine == "python" else np.array
    symbols = len(panel.symbols)
    room = 4 * FILLS_A_BAR * symbols + len(answers.due) + len(panel) // 16
    fixed = _columns(panel, terms, sized, answers, plain)
    while True:
        account = _account(panel, terms, fixed, len(answers.due), plain)
        account.fills = plain(np.zeros(_WIDTH * room))
        done = account.go() if engine == "python" else native.run_bar_account(account)
        if done:
            break
        room *= 4
    fills = np.array(account.fills[: _WIDTH * account.count], np.float64).reshape(-1, _WIDTH)
    ran = BarRun(
        answers,
        np.array(account.wanted, np.float64),
        np.array(account.filled, np.float64),
        np.array(account.states, np.int64),
        np.array(account.charged, np.float64),
    )
    return np.array(account.equities, np.float64), fills, ran


def _as_list(column: Any) -> list[Any]:
    found: list[Any] = column.tolist()
    return found


def _columns(
    panel: Panel, terms: Terms, sized: Sized, answers: BarAnswers, plain: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return what an account reads and does not change."""
    ranges = known_ranges(panel, terms)
    bars = len(panel)
    rates = Rates(np.zeros(0), np.zeros(0), np.zeros(0))
    if terms.financing is not None:
        rates = rates_of(panel, terms.financing, terms.fill == "close")
    found = {f"{name}s": plain(panel.flat(name)) for name in ("open", "high", "low", "close")}
    found |= {
        f"answer_{name}": plain(column)
        for name, column in answers.scaled(sized.scales, bars)._asdict().items()
        if name not in ("sent", "name")
    }
    found |= {
        "signals": plain(sized.flat),
        "renewed": plain(np.zeros(0) if sized.is_new is None else sized.is_new),
        "ranges": plain(ranges.flat),
        "long_rates": plain(rates.longs),
        "short_rates": plain(rates.shorts),
        "loan": plain(rates.loan),
        "is_charged": terms.financing is not None,
        "resizes": sized.is_new is not None,
        "first_answer": int(np.count_nonzero(answers.due < 0)),
        "span": bars,
    }
    for name, multiple in zip(("stop", "trailing", "take"), ranges.multiples, strict=True):
        found[f"{name}_ranges"] = multiple
    return found


def _account(
    panel: Panel,
    terms: Terms,
    fixed: dict[str, Any],
    orders: int,
    plain: Callable[[Any], Any],
) -> BarAccount:
    symbols = len(panel.symbols)
    levels = [
        math.inf if level is None else 0.0 if isinstance(level, ATRStop) else float(level)
        for level in (terms.stop_loss, terms.take_profit, terms.trailing_stop)
    ]
    fees = as_fees(terms.fee)
    account = BarAccount(
        terms.shares(panel.symbols), float(terms.cash), float(fees.taker), float(terms.slippage),
        levels[0], levels[1], None,
    )  # fmt: skip
    for name in ("weights", "units", "entries", "marks", "said", "due", "targets", "values"):
        setattr(account, name, plain(np.array(getattr(account, name), np.float64)))
    account.buying, account.selling = (
        plain(np.array(costs, np.float64)) for costs in (account.buying, account.selling)
    )
    for name, value in fixed.items():
        setattr(account, name, value)
    account.maker = float(fees.maker)
    account.trailing_stop = levels[2]
    account.stops = min(levels) < math.inf
    margin = terms.margin
    account.leverage = math.inf if margin is None else 1.0 / float(margin.initial)
    account.maintenance = 0.0 if margin is None else float(margin.maintenance)
    account.is_through = terms.fills != "touch"
    account.at_close = terms.fill == "close"
    account.closing = account.standing = 0

    def floats(size: int) -> Any:
        return plain(np.zeros(size))

    def whole(size: int) -> Any:
        return plain(np.zeros(size, np.int64))

    account.equities = floats(len(panel))
    account.charged = floats(2 * len(panel))
    account.distances, account.peaks, account.worst = (floats(symbols) for _ in range(3))
    account.fresh, account.is_pair = whole(symbols), whole(symbols)
    account.asked, account.limits, account.signs, account.sizes = (
        floats(2 * symbols) for _ in range(4)
    )
    account.kinds, account.lives, account.rows = (whole(2 * symbols) for _ in range(3))
    account.wanted, account.filled, account.states = floats(orders), floats(orders), whole(orders)
    return account
