"""An account over books, run by Python or compiled: the same source, and so the same bits."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mdkit.backtesting.account.book_run import FILL_WIDTH, ORDER_WIDTH, TIMES_IN_FORCE, BookRun
from mdkit.backtesting.account.contracts import Contract, as_fees
from mdkit.backtesting.account.sizing import ATRStop
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.books.account import NEVER, BookAccount
from mdkit.backtesting.books.columns import AnswerColumns, EventColumns, Floats, Whole
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile

_WORTH_COMPILING = 300_000
"""Events from which compiling the account, which takes seconds once, is sooner than Python."""
_ALL_LEVELS = 1 << 30


def choose_engine(engine: str, events: int) -> tuple[str, str]:
    """Return which engine an account runs on, and why; raise `CannotCompile` without numba."""
    if engine == "python":
        return "python", "asked for"
    try:
        native.need_numba()
    except CannotCompile:
        if engine == "native":
            raise
        return "python", "numba is not installed"
    if engine == "native":
        return "native", "asked for; the strategy itself runs in Python"
    if events >= _WORTH_COMPILING or native.has_book_kernel(_sample()):
        return "native", "the account is compiled; the strategy itself runs in Python"
    return "python", "it is done sooner than compiling is"


@functools.cache
def _sample() -> BookAccount:
    """Return an account as they all are, over no events."""
    none, number = np.zeros(0, np.int64), np.zeros(0)
    events = EventColumns(*(none,) * 4, number, *(none,) * 3, number, number)
    answers = AnswerColumns(*(none,) * 4, *(number,) * 4, none)
    # Copies: in an account's layout no two arrays are the same.
    account = _account(("",), Terms(), events, answers, none, number, np.array)
    account.equities, account.fills, account.orders = np.zeros(0), np.zeros(0), np.zeros(0)
    account.origin = 0
    return account


def run_books(
    symbols: tuple[str, ...],
    terms: Terms,
    events: EventColumns,
    answers: AnswerColumns,
    delays: Whole,
    ranges: Floats,
    engine: str,
) -> BookRun:
    """Run an account over columns on an engine, "python" or "native"."""
    plain: Callable[[Any], Any] = _as_list if engine == "python" else np.ascontiguousarray
    rows = int(events.is_row.sum())
    origin = int(events.times[0]) if len(events.times) else 0
    orders = 2 * len(answers.due) + 2 * len(symbols) + 64
    fills = 4 * len(answers.due) + 256
    while True:
        equity, filled = plain(np.zeros(max(rows, 1))), plain(np.zeros(fills * FILL_WIDTH))
        ordered = plain(np.zeros(orders * ORDER_WIDTH))
        account = _account(symbols, terms, events, answers, delays, ranges, plain)
        account.equities, account.fills, account.orders = equity, filled, ordered
        account.origin = origin
        done = account.run() if engine == "python" else native.run_book_account(account)
        if done:
            break
        orders, fills = 4 * orders, 4 * fills
    return BookRun(
        np.asarray(equity, np.float64)[:rows],
        _table(filled, account.fill_count, FILL_WIDTH),
        _table(ordered, account.order_count, ORDER_WIDTH),
        origin,
    )


def _as_list(column: Any) -> list[Any]:
    found: list[Any] = column.tolist()
    return found


def _table(flat: Any, count: int, width: int) -> Floats:
    return np.array(flat[: count * width], np.float64).reshape(-1, width)


def _account(
    symbols: tuple[str, ...],
    terms: Terms,
    events: EventColumns,
    answers: AnswerColumns,
    delays: Whole,
    ranges: Floats,
    plain: Callable[[Any], Any],
) -> BookAccount:
    count = len(symbols)
    contracts = [(terms.contracts or {}).get(symbol, Contract()) for symbol in symbols]
    fees = as_fees(terms.fee)
    account = BookAccount()

    def floats(value: float | Sequence[float], size: int = count) -> Any:
        return plain(np.full(size, value, np.float64))

    def whole(value: int | Sequence[int], size: int = count) -> Any:
        return plain(np.full(size, value, np.int64))

    room = 1 + int(max(events.bids.max(initial=0), events.asks.max(initial=0)))
    account.kinds, account.times, account.owners = map(plain, events[:3])
    account.is_row, account.row_marks, account.first_levels = map(plain, events[3:6])
    account.row_bids, account.row_asks = plain(events.bids), plain(events.asks)
    account.prices, account.sizes, account.delays = map(plain, (*events[8:], delays))
    for name, column in zip(answers._fields, answers, strict=True):
        setattr(account, f"answer_{name}", plain(column))
    # The books in force: none.
    account.begins, account.bids, account.asks = whole(0), whole(0), whole(0)
    account.marks = floats(math.nan)
    account.room = room
    account.taken_count = whole(0, 2 * count)
    for name in ("left", "price", "shown"):
        setattr(account, f"taken_{name}", floats(0.0, 2 * count * room))
    account.contract = floats([contract.size for contract in contracts])
    account.inverse = whole([int(contract.inverse) for contract in contracts])
    account.tick = floats([contract.tick for contract in contracts])
    account.lot = floats([contract.lot for contract in contracts])
    # The terms.
    account.maker, account.taker = float(fees.maker), float(fees.taker)
    account.slippage = float(terms.slippage)
    account.levels = 1 if terms.fills == "touch" else _ALL_LEVELS
    account.max_share = float(terms.max_share)
    account.passive = account.queued = terms.fills == "queue"
    account.life = TIMES_IN_FORCE.index(terms.time_in_force)
    account.ranges, account.ranged = plain(ranges), bool(terms.atr_stops)
    for name in ("stop_loss", "take_profit", "trailing_stop"):
        level = getattr(terms, name)
        of_range = isinstance(level, ATRStop)
        fraction = math.inf if level is None else 0.0 if of_range else float(level)
        setattr(account, name, fraction)
        setattr(account, f"{name}_ranges", float(level.multiple) if of_range else 0.0)
    account.stops = min(account.stop_loss, account.take_profit, account.trailing_stop) < math.inf
    account.shares = floats(terms.shares(symbols))
    # Cash, positions and orders: nothing yet.
    account.cash = float(terms.cash)
    account.units, account.lots = floats(0.0), floats(0.0)
    account.entries, account.peaks, account.distances = floats(0.0), floats(0.0), floats(-1.0)
    account.cost = account.rate = 0.0
    account.fill_count = account.order_count = account.row = account.moves = 0
    account.full = account.ruined = account.woken = False
    for name in ("ahead", "left", "price", "queue"):
        setattr(account, f"rest_{name}", floats(0.0, 2 * count))
    account.rest_order, account.rest_peg = whole(0, 2 * count), whole(0, 2 * count)
    account.pending, account.left = floats(math.nan), floats(0.0)
    account.goals, account.values = floats(math.nan), floats(0.0)
    account.reasons, account.stop_reason = floats(0.0), floats(0.0)
    account.urgent, account.target_order = whole(0), whole(0)
    account.move_due, account.stop_due = whole(NEVER), whole(NEVER)
    return account
