"""Books, trades and answers as columns, as an account goes through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.answers import Limit, Quote
from mdkit.backtesting.account.book_run import LIMIT, QUOTE, TARGET, TIMES_IN_FORCE

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


class EventColumns(NamedTuple):
    """An entry for each event, in order of time.

    `owners` are places among the symbols of the result, -1 for one without a row there. `firsts`
    is where the levels of a book begin, its bids and then its asks, in `prices` and `sizes`; of a
    trade, where its price and size stand, and `bids` who traded: 1 a buyer, -1 a seller, 0
    unknown. `marks` are prices that positions are worth.
    """

    kinds: Whole
    times: Whole
    owners: Whole
    is_row: Whole
    marks: Floats
    firsts: Whole
    bids: Whole
    asks: Whole
    prices: Floats
    sizes: Floats

    def until(self, end: int) -> EventColumns:
        """Return the first events, before number `end`."""
        by_event = [name for name in self._fields if name not in ("prices", "sizes")]
        return self._replace(**{name: getattr(self, name)[:end] for name in by_event})

    def without_empty(self, books: npt.NDArray[np.bool_], lowest: float) -> EventColumns:
        """Return them without levels of size 0 and those at a price of `lowest` or below."""
        good = (self.sizes > 0.0) & (self.prices > lowest)
        trades = ~books & (self.firsts >= 0)
        good[self.firsts[trades]] = True
        if good.all():
            return self
        before = np.concatenate([[0], np.cumsum(good)])
        firsts = np.maximum(self.firsts, 0)
        bids, asks = np.where(books, self.bids, 0), np.where(books, self.asks, 0)
        middle, end = firsts + bids, firsts + bids + asks
        return self._replace(
            firsts=np.where(self.firsts < 0, -1, before[firsts]),
            bids=np.where(books, before[middle] - before[firsts], self.bids),
            asks=np.where(books, before[end] - before[middle], self.asks),
            prices=self.prices[good],
            sizes=self.sizes[good],
        )


class AnswerColumns(NamedTuple):
    """An entry for each order that a strategy sends, in the order in which they come due.

    `bid` is a target's exposure, a limit's price; `size` a limit's is below 0 to sell.
    """

    due: Whole
    sent: Whole
    symbol: Whole
    kind: Whole
    bid: Floats
    ask: Floats
    size: Floats
    most: Floats
    life: Whole


Answer = float | Quote | Limit


@dataclass(frozen=True)
class Sent:
    """An answer as it was sent: the number of its event, and its symbol's place."""

    event: int
    symbol: int
    answer: Answer


def answer_columns(sent: Sequence[Sent], times: Whole, due: Whole) -> AnswerColumns:
    """Return answers as columns, those that come due first before others."""
    rows = [_row(each.answer) for each in sent]
    kinds, bids, asks, sizes, most, lives = zip(*rows, strict=True) if rows else ((),) * 6
    order = np.argsort(due, kind="stable")
    return AnswerColumns(
        due[order],
        times[[each.event for each in sent]][order] if rows else due,
        np.array([each.symbol for each in sent], np.int64)[order],
        np.array(kinds, np.int64)[order],
        np.array(bids, np.float64)[order],
        np.array(asks, np.float64)[order],
        np.array(sizes, np.float64)[order],
        np.array(most, np.float64)[order],
        np.array(lives, np.int64)[order],
    )


def _row(answer: Answer) -> tuple[int, float, float, float, float, int]:
    if isinstance(answer, Quote):
        bid, ask = (np.nan if side is None else float(side) for side in (answer.bid, answer.ask))
        most = np.inf if answer.max_position is None else float(answer.max_position)
        life = TIMES_IN_FORCE.index(answer.time_in_force)
        return QUOTE, bid, ask, float(answer.size), most, life
    if isinstance(answer, Limit):
        life = TIMES_IN_FORCE.index(answer.time_in_force)
        return LIMIT, float(answer.price), np.nan, float(answer.size or 0.0), np.inf, life
    return TARGET, answer, np.nan, np.nan, np.inf, 0
