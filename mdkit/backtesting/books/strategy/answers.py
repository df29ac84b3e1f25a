"""What a strategy says of the books of a tape, by Python or by its own code compiled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mdkit.backtesting.account.book_run import QUOTE, TARGET
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.books.account import BOOK, LOST, TRADE
from mdkit.backtesting.books.columns import SentColumns, Whole, sent_columns
from mdkit.backtesting.books.strategy.decider import Decider, Voice
from mdkit.backtesting.books.strategy.heard import Heard
from mdkit.backtesting.books.strategy.tape import BookTape, Market
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile, code_of
from mdkit.backtesting.runs import hears_gaps, tell_gap
from mdkit.strategies.contract import Strategy

SILENT = -1
"""The kind of an answer that is None."""


def python_answers(strategy: Strategy, tape: BookTape, terms: Terms, lowest: float) -> Heard:
    """Return what a strategy says of a plain tape's books, called with one after the other."""
    market = tape.market(terms, lowest)
    shared = strategy.instance() if strategy.per == "session" else None
    voices: dict[int, Voice] = {}
    decider = Decider(strategy, trades=True)
    signals = np.full(len(market.rows), math.nan)
    answered = np.zeros(len(market.rows), np.bool_)
    columns = (market.kinds, market.rows, market.owners, market.times)
    steps = zip(*(column.tolist() for column in columns), strict=True)
    for number, (kind, row, owner, time) in enumerate(steps):
        if kind not in (BOOK, LOST):
            continue
        voice = voices.get(owner)
        if voice is None:
            voice = voices[owner] = Voice(owner, shared or strategy.instance())
        if kind == LOST:
            tell_gap(strategy, voice.call, tape.gaps[row])
            continue
        decider.now = time
        sent = len(decider.sent)
        signal = decider.decide(voice, tape.book(row), number)
        if signal is not None:
            signals[number] = signal
        answered[number] = signal is not None or len(decider.sent) > sent
    return _heard(strategy, terms, market, signals, answered, sent_columns(decider.sent))


def compiled_answers(
    strategy: Strategy, code: native.NativeStrategy, tape: BookTape, terms: Terms, lowest: float
) -> Heard:
    """Return the same by a strategy's own code compiled; raise `CannotCompile` where it cannot."""
    if not tape.plain:
        raise CannotCompile("prices or sizes are of other types than floats")
    if (tape.kinds == LOST).any() and hears_gaps(strategy):
        raise CannotCompile("books are missing, and it has an on_gap")
    market = tape.market(terms, lowest)
    owners = market.owners
    books = book_columns(tape, market.rows)
    said = new_answers(len(market.rows))
    kinds, *floats, life = said
    which = np.flatnonzero(market.kinds == BOOK)
    own = [which]
    if strategy.per == "symbol" and len(market.names) > 1:
        own = [which[owners[which] == number] for number in range(len(market.names))]
    for some in own:
        try:
            failed = code.answer(code.start(strategy), tape.levels, some, books, said)
        except CannotCompile:
            raise
        except Exception as error:
            raise native.NativeError(f"it failed with {type(error).__name__}: {error}") from error
        if failed >= 0:
            raise native.NativeError("it returned nan")
    bid = floats[0]
    targets = kinds == TARGET
    if (np.abs(bid[targets]) > 1.0).any():
        raise native.NativeError("it said what is no exposure")
    signals = np.where(targets, bid, math.nan)
    sent = np.flatnonzero(_changes(kinds, floats, life, owners, len(market.names)))
    columns = SentColumns(sent, owners[sent], *(column[sent] for column in said))
    answered = targets.copy()
    answered[sent] = True
    return _heard(strategy, terms, market, signals, answered, columns)


def book_columns(tape: BookTape, rows: Whole) -> Sequence[Whole]:
    """Return the columns of these events of a tape that compiled code goes through."""
    codes = np.array([code_of(name) for name in tape.symbols()], np.int64)
    columns = (tape.firsts, tape.bids, tape.asks, tape.exchange, tape.received)
    return [*(column[rows] for column in columns), codes[tape.owners[rows]]]


def new_answers(count: int) -> tuple[Any, ...]:
    """Return columns for the answers to so many events: nothing is said yet."""
    kinds, life = np.full(count, SILENT, np.int64), np.zeros(count, np.int64)
    return (kinds, *(np.empty(count) for _ in range(4)), life)


def _changes(kinds: Any, floats: list[Any], life: Any, owners: Any, symbols: int) -> Any:
    """Return which answers change something: quotes, and what is not the one before it, again."""
    bid, _, size, _ = floats
    changes = kinds == QUOTE
    for number in range(symbols):
        own = np.flatnonzero((owners == number) & (kinds != SILENT))
        # Before the first, nothing is wanted: a target of 0.
        before = [np.concatenate([[first], column[own][:-1]]) for first, column in (
            (TARGET, kinds), (0.0, bid), (0.0, size), (0, life),
        )]  # fmt: skip
        same = (before[0] == kinds[own]) & (before[1] == bid[own])
        orders = kinds[own] != TARGET
        same &= ~orders | ((before[2] == size[own]) & (before[3] == life[own]))
        changes[own[~same]] = True
    return changes


def _heard(
    strategy: Strategy, terms: Terms, market: Market, signals: Any, answered: Any,
    sent: SentColumns,
) -> Heard:  # fmt: skip
    shown = answered | ((market.kinds == BOOK) & market.begun)
    trades = int((market.kinds == TRADE).sum())
    return Heard(
        strategy, terms, market.names, market.has_book, market.kinds, market.times,
        market.exchange, market.owners, shown.astype(np.int64), market.marks, signals,
        *market.levels, sent, trades,
    )  # fmt: skip
