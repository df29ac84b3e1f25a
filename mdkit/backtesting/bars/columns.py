"""Answers of strategies on bars as columns, in the order in which they come due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.answers import OCO, Limit, Quote, Stop
from mdkit.backtesting.account.book_run import TIMES_IN_FORCE
from mdkit.backtesting.bars.orders import LIMIT, NOTHING, STOP
from mdkit.backtesting.data.panel import Panel

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
BarAnswer = Limit | Stop | OCO | Quote
ORDERS = (Limit, Stop, OCO, Quote)
"""What a strategy on bars may answer besides numbers."""
ORDER_KINDS = ("", "limit", "stop", "quote")
WHOLE = {"due", "sent", "symbol", "slot", "kind", "name", "life", "pair"}
"""The columns of `BarAnswers` that are whole numbers."""
Said = list[tuple[int, BarAnswer]]
"""Answers of one symbol that are orders: the number of its own bar, and which."""


class BarAnswers(NamedTuple):
    """An entry for each order, or one of kind 0 that only cancels; that in slot 0 comes first.

    `due` and `sent` are bars of the common axis, due -1 for one that never comes due; `asked` is an
    exposure, nan for an order with a `size`; `most` the largest position that it may lead to;
    `name` the place in `ORDER_KINDS`.
    """

    due: Whole
    sent: Whole
    symbol: Whole
    slot: Whole
    kind: Whole
    name: Whole
    price: Floats
    size: Floats
    asked: Floats
    most: Floats
    life: Whole
    pair: Whole

    def since(self, begin: int) -> BarAnswers:
        """Return those that were said on bar `begin` or later."""
        kept = self.sent >= begin
        return BarAnswers._make(column[kept] for column in self)

    def scaled(self, scales: Floats | None, bars: int) -> BarAnswers:
        """Return them with exposures multiplied by those of each symbol's bars.

        An order whose exposure is not known, but has to be, never comes due.
        """
        if scales is None or not len(self.due):
            return self
        of_bar = scales[self.symbol * bars + self.sent]
        asked = np.where(self.asked == 0.0, 0.0, self.asked * of_bar)
        lost = np.isnan(asked) & ~np.isnan(self.asked)
        kind = np.where(lost, NOTHING, self.kind)
        return self._replace(asked=asked, kind=kind)


def new_orders(said: Said, signals: Sequence[float]) -> Said:
    """Return the orders without those that repeat a symbol's last answer, which are none.

    A quote is one every time, since it tells what there should be.
    """
    found: Said = []
    before, place = None, 0
    for bar, answer in said:
        between = any(value == value for value in signals[place:bar])
        if isinstance(answer, Quote) or between or answer != before:
            found.append((bar, answer))
        before, place = answer, bar
    return found


def bar_answers(said: Sequence[Said], panel: Panel) -> BarAnswers:
    """Return the orders of all symbols as columns."""
    rows: list[tuple[float, ...]] = []
    for s, (own, places) in enumerate(zip(said, panel.places, strict=True)):
        last = len(panel.bars[s].close) - 1
        for bar, answer in own:
            sent = bar if places is None else int(places[bar])
            after = min(bar + 1, last)
            due = -1 if bar == last else after if places is None else int(places[after])
            rows += [(due, sent, s, *row) for row in _rows(answer)]
    table = np.array(rows, np.float64).reshape(len(rows), len(BarAnswers._fields))
    table = table[np.argsort(table[:, 0], kind="stable")]
    return BarAnswers._make(
        column.astype(np.int64) if name in WHOLE else column.copy()
        for name, column in zip(BarAnswers._fields, table.T, strict=True)
    )


def _rows(answer: BarAnswer) -> list[tuple[float, ...]]:
    if isinstance(answer, OCO):
        return [_row(0, answer.first, 1), _row(1, answer.second, 1)]
    if not isinstance(answer, Quote):
        return [_row(0, answer, 0)]
    most = np.inf if answer.max_position is None else float(answer.max_position)
    life = TIMES_IN_FORCE.index(answer.time_in_force)
    sides = [(answer.bid, answer.size), (answer.ask, -answer.size)]
    quoted = [(price, size) for price, size in sides if price is not None]
    if not quoted:
        return [(0, NOTHING, 0, np.nan, 0.0, np.nan, np.inf, 0, 0)]
    return [
        (slot, LIMIT, 3, float(price), float(size), np.nan, most, life, 0)
        for slot, (price, size) in enumerate(quoted)
    ]


def _row(slot: int, order: Limit | Stop, pair: int) -> tuple[float, ...]:
    size = np.nan if order.size is None else float(order.size)
    asked = np.nan if order.exposure is None else float(order.exposure)
    limit = isinstance(order, Limit)
    kind = LIMIT if limit else STOP
    life = TIMES_IN_FORCE.index(order.time_in_force) if isinstance(order, Limit) else 0
    return slot, kind, kind, float(order.price), size, asked, np.inf, life, pair
