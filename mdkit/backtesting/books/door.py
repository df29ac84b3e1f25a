"""Recorded events backtested: what a strategy says of them, and the account that follows it.

The strategy goes through the events first, which leaves a row for each; then the account goes
through the rows, when it is known which symbols there are. With `trade=False` nothing is filled,
and the events may be of any kind: what a strategy says is then all there is.

The rules of books
------------------
*When.* An order comes due `latency_ms` after the event that led to it, and meets the book in force
then: its symbol's last one. Its time is when it came due. Orders that come due at the same instant
are sized together, after all events of that instant. Of one symbol they come due in the order in
which they were sent. Nothing is filled
after the last row of the result.

*Targets.* What a target means, and how large an order is, stands in `account.fills`; its costs are
those of the levels that it takes. The order is sized once, when it comes due and the side that it
needs is there; until then, as in an empty book or after a gap, it waits. What cannot be filled then
waits for the symbol's next books (`time_in_force="GTC"`), or is given up ("IOC"), until the
symbol's next order comes due, which takes its place.

*fills="touch"*: at the best price, up to the size shown there. *"book"*: level by level through all
that the book shows. Of each level `max_share` can be taken. What was taken stays taken, since a
recording does not show it: at that price there is more only when the size shown grows, by so much;
when the level is gone from the book, it is forgotten.

*fills="queue"*: a target's order waits at the near touch, as maker (buys at the bid), and when the
touch goes away from it, it follows, `latency_ms` later, to the end of the queue there. Stops and
ruin take, as with "book". Resting orders, of whatever answer, have a place in the queue: behind all
that was shown at their price when they came due. Trades at the price shorten what is ahead, and
what of one goes beyond it fills the order; a trade at a worse price fills it, up to its size; what
the level loses otherwise were cancels, of which each place has had the same chance, so that what is
ahead falls in proportion. What is added is behind. An order at a price deeper than any shown is
behind all that is shown there once it is.

*Limits and quotes.* `md.Limit` and `md.Quote` take what they can up to their price when they come
due, and rest with what is left. With "touch" and "book", and with "queue" beside the places, a
resting order is filled, at its own price and the maker's fee, by what the other side of a book
shows at its price or through it.

*Marks.* Positions are marked at mid prices; where only one side is there, at that; where none is,
the last mark stays. A level of size 0 is no level; neither is a price of zero or below, unless
`allow_nonpositive`.

*Stops.* `stop_loss` and `take_profit` are fractions of the average entry price, `trailing_stop` of
the best price for getting out since the entry. A book whose touch for getting out has reached one
sends an order that closes the position, `latency_ms` later, at whatever is shown then. An
`md.ATRStop` has the range that is known at the first book after the entry at which one is.

*Ruin.* When equity is not positive, every position is closed at what is shown from then on, and
nothing else is traded afterwards.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mdkit.backtesting.account.terms import BacktestWarning, Terms
from mdkit.backtesting.books.engines import choose_engine
from mdkit.backtesting.books.latency import checked_latency
from mdkit.backtesting.books.strategy.answers import compiled_answers, python_answers
from mdkit.backtesting.books.strategy.heard import Heard
from mdkit.backtesting.books.strategy.listener import Listener, timed
from mdkit.backtesting.books.strategy.loading import tape_of
from mdkit.backtesting.books.strategy.tape import BookTape
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.runs import Run
from mdkit.errors import SettingsError
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.seen import steps_of
from mdkit.strategies.contract import Strategy

_WORTH_COMPILING = 150_000
"""Books from which compiling a strategy, which takes a second or two, is sooner than Python."""
_LARGE_FILES = 16 << 20
"""Bytes of recordings that hold so many books, about."""


def backtest_books(
    strategy: Strategy,
    events: Iterable[Any],
    terms: Terms,
    *,
    latency_ms: Any,
    engine: str,
    interval: str | None = None,
    allow_nonpositive: bool = False,
    recorded: bool = False,
    runs: int = 1,
) -> tuple[Panel, Run, str, str]:
    """Run a strategy over recorded events; the arguments are those of `backtest`.

    `recorded` tells of events in the order of a recording, whatever its clock did; `runs`, how
    often such a strategy is run over them. Returns the rows, what happened, which engine ran, and
    why that one.

    Times are those of `received_ns` (of `exchange_ns` where a book has no time of receipt). There
    is one row of the result per book once there was one with both sides, and one for what is said
    on anything else; when nothing is traded, one per event that the strategy wants, of whatever
    kind. Events that neither the strategy wants nor the fill model needs are passed over.
    """
    kinds = strategy.kinds
    if terms.trade and "depth" not in kinds:
        raise SettingsError(
            f"strategy {strategy.name} wants {' and '.join(kinds)}; backtests run on bar "
            "or on depth. To see what it says without trading it, use trade=False"
        )
    latency = checked_latency(latency_ms)
    refuse_bars(strategy, events)
    if isinstance(events, BookTape):
        recorded = events.recorded
        if kinds != ("depth",):
            raise SettingsError(
                f"strategy {strategy.name} wants {' and '.join(kinds)}, and loaded books are for "
                "strategies on depth alone; give the recording itself"
            )
    recorded = recorded or isinstance(events, Recording)
    lowest = -math.inf if allow_nonpositive else 0.0
    if engine == "native":
        if not terms.trade:
            raise SettingsError(
                f'{" and ".join(kinds)} without trading runs in Python only; use engine="auto"'
            )
        _choose(strategy, engine, 0)  # which refuses before anything runs
    found: Found | str = ""
    if engine != "python" and terms.trade and kinds == ("depth",):
        found = _over_columns(strategy, events, terms, engine, recorded, lowest, runs)
    if isinstance(found, str):
        found = _event_by_event(
            strategy, events, terms, engine, recorded, lowest, interval, runs, found
        )  # fmt: skip
    heard, unpriced, used, why = found
    panel, run = heard.finish(latency, used)
    if unpriced:
        warnings.warn(
            f"{unpriced:,} books have a touch at zero or below, which is taken for an "
            "empty side; where such prices are true, use allow_nonpositive=True",
            BacktestWarning,
            stacklevel=3,
        )
    return panel, run, used, why


Found = tuple[Heard, int, str, str]
"""What was heard, how many books have no true touch, which engine runs, and why that one."""


def _event_by_event(
    strategy: Strategy, events: Any, terms: Terms, engine: str, recorded: bool, lowest: float,
    interval: str | None, runs: int, reason: str,
) -> Found:  # fmt: skip
    """Take one event after the other; `reason` is why the strategy is not compiled, if known."""
    kinds = strategy.kinds
    used, why = "python", f"{' and '.join(kinds)} {'run' if len(kinds) > 1 else 'runs'} in Python"
    if isinstance(events, BookTape) and engine != "python" and terms.trade:
        heard = python_answers(strategy, events, terms, lowest)
        unpriced = events.market(terms, lowest).unpriced
    else:
        listener = Listener(strategy, terms=terms, recorded=recorded, lowest=lowest)
        if isinstance(events, Recording):
            events = steps_of(events, interval)
        for event, time in timed(filter(listener.wants, events)):
            if event.kind == "gap":
                listener.miss(event)
            else:
                listener.take(event, time)
        heard, unpriced = listener.heard(), listener.unpriced
    if terms.trade:
        used, why = _choose(strategy, engine, len(heard.kinds) * runs)
        if used == "native" and reason:
            why = f"{why}: {reason}"
    return heard, unpriced, used, why


def _over_columns(
    strategy: Strategy, events: Any, terms: Terms, engine: str, recorded: bool, lowest: float,
    runs: int,
) -> Found | str:  # fmt: skip
    """Run the strategy compiled over columns, where that pays; or return why it is not compiled."""
    try:
        worth = engine == "native" or _is_large(events, runs)
        if not (worth or native.is_compiled(strategy, "depth")):
            return "it is done sooner than compiling is"
        code = native.compile_strategy(strategy, "depth")
        if not isinstance(events, BookTape | Recording | Sequence):
            return "the events can be gone through once alone; give a list, or a recording"
        tape = tape_of(events, recorded)
        heard = compiled_answers(strategy, code, tape, terms, lowest)
    except CannotCompile as error:
        return str(error)
    used, why = choose_engine(engine, len(heard.kinds) * runs)
    if used == "native":
        why = "asked for" if engine == "native" else "it compiles"
    else:
        why = f"the strategy is compiled, the account not: {why}"
    return heard, tape.market(terms, lowest).unpriced, used, why


def _is_large(events: Any, runs: int) -> bool:
    """Whether a strategy is sooner done with so many runs over the events if it is compiled."""
    if isinstance(events, Recording):
        return runs * sum(path.stat().st_size for path in events.paths) >= _LARGE_FILES
    books = events.books if isinstance(events, BookTape) else 0
    if isinstance(events, Sequence):
        books = len(events)
    return books * runs >= _WORTH_COMPILING


def refuse_bars(strategy: Strategy, data: Any) -> None:
    """Raise `SettingsError` for tables of bars, or bytes, in place of events."""
    if isinstance(data, (bytes, pd.DataFrame, Mapping)):
        raise SettingsError(
            f"strategy {strategy.name} wants {' and '.join(strategy.kinds)}: give such events, or "
            "a recording of them by its path"
        )


def _choose(strategy: Strategy, engine: str, events: int) -> tuple[str, str]:
    try:
        return choose_engine(engine, events)
    except CannotCompile as reason:
        raise SettingsError(
            f'strategy {strategy.name} cannot run natively: {reason}. Use engine="python", '
            'or "auto" to have that chosen'
        ) from reason
