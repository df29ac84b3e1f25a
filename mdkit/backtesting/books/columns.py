"""Books, trades and answers as columns, as an account goes through them."""

from __future__ import annotations

from collections.abc import Sequence
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


class Levels(NamedTuple):
    """The levels of events, as `EventColumns` has them."""

    firsts: Whole
    bids: Whole
    asks: Whole
    prices: Floats
    sizes: Floats


def true_levels(
    books: npt.NDArray[np.bool_], firsts: Whole, bids: Whole, asks: Whole, levels: Floats,
    lowest: float,
) -> Levels:  # fmt: skip
    """Return levels, of shape (n, 2), without those of size 0 and at a price of `lowest` or below.

    What is not of `books` has one level, or where `firsts` is -1 none.
    """
    prices, sizes = np.ascontiguousarray(levels[:, 0]), np.ascontiguousarray(levels[:, 1])
    good = (sizes > 0.0) & (prices > lowest)
    good[firsts[~books & (firsts >= 0)]] = True
    if good.all():
        return Levels(firsts, bids, asks, prices, sizes)
    before = np.concatenate([[0], np.cumsum(good)])
    begin = np.maximum(firsts, 0)
    middle, end = begin + np.where(books, bids, 0), begin + np.where(books, bids + asks, 0)
    return Levels(
        np.where(firsts < 0, -1, before[begin]),
        np.where(books, before[middle] - before[begin], bids),
        np.where(books, before[end] - before[middle], asks),
        prices[good],
        sizes[good],
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
SIDES = {"buy": 1, "sell": -1}
"""Who traded, as columns have it; 0 for unknown."""


class Sent(NamedTuple):
    """An answer as it was sent: the number of its event, and its symbol's number."""

    event: int
    symbol: int
    answer: Answer


class SentColumns(NamedTuple):
    """An entry for each answer as it was sent, by event and, within it, in order of saying.

    The others are those of `AnswerColumns`.
    """

    event: Whole
    symbol: Whole
    kind: Whole
    bid: Floats
    ask: Floats
    size: Floats
    most: Floats
    life: Whole


def sent_columns(sent: Sequence[Sent]) -> SentColumns:
    """Return answers as columns."""
    rows = [(each.event, each.symbol, *_row(each.answer)) for each in sent]
    columns = zip(*rows, strict=True) if rows else ((),) * 8
    whole = ("event", "symbol", "kind", "life")
    return SentColumns._make(
        np.array(column, np.int64 if name in whole else np.float64)
        for name, column in zip(SentColumns._fields, columns, strict=True)
    )


def answer_columns(sent: SentColumns, places: Whole, times: Whole, due: Whole) -> AnswerColumns:
    """Return answers as columns, those that come due first before others.

    `places` are those of symbols in the result, by their numbers.
    """
    order = np.argsort(due, kind="stable")
    return AnswerColumns(
        due[order],
        times[sent.event][order],
        places[sent.symbol][order],
        sent.kind[order],
        sent.bid[order],
        sent.ask[order],
        sent.size[order],
        sent.most[order],
        sent.life[order],
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
