"""A strategy's answers in Python, one by one: checked, and kept where they change something."""

from __future__ import annotations

from typing import Any

from mdkit.backtesting.account.answers import OCO, Limit, Quote, Stop
from mdkit.backtesting.books.columns import Answer, Sent
from mdkit.backtesting.runs import failed, not_an_exposure, when
from mdkit.errors import StrategyError
from mdkit.events import MarketEvent
from mdkit.strategies.contract import Strategy, as_signal

_ORDERS = (Quote, Limit, Stop, OCO)


class Voice:
    """One symbol's instance, and what it said last. `number` is the symbol's place among all."""

    __slots__ = ("call", "number", "said")

    def __init__(self, number: int, call: Any) -> None:
        self.number = number
        self.call = call
        self.said: Answer = 0.0


class Decider:
    """Lets a strategy decide on events, and keeps the answers that change something."""

    def __init__(self, strategy: Strategy, *, trades: bool) -> None:
        self.strategy = strategy
        self.trades = trades
        self.now = 0
        self.sent: list[Sent] = []

    def decide(self, voice: Voice, event: MarketEvent, number: int) -> float | None:
        """Return the target or value that is said on event `number`; keep it if it is an order."""
        try:
            said = voice.call(event)
            ordered = self.trades and type(said) is not float and isinstance(said, _ORDERS)
            signal = None if ordered else as_signal(said, self.strategy.name)
        except StrategyError:
            raise
        except Exception as error:
            on = f"on a {_noun(event)} of {event.symbol} at {when(self.now)}"
            raise failed(self.strategy, on, error) from error
        if not self.trades:
            return signal
        if ordered:
            self._check_order(said, event)
            # A limit that is repeated is no order; a quote stands for what there should be.
            if isinstance(said, Quote) or said != voice.said:
                voice.said = said
                self.sent.append(Sent(number, voice.number, said))
        elif signal is not None:
            if not -1.0 <= signal <= 1.0:
                raise not_an_exposure(self.strategy, signal, f"a {_noun(event)} of {event.symbol}")
            if signal != voice.said:  # nor is a target that is repeated
                voice.said = signal
                self.sent.append(Sent(number, voice.number, signal))
        return signal

    def _check_order(self, said: Any, event: MarketEvent) -> None:
        """Raise `StrategyError` for an order that is of bars alone."""
        if isinstance(said, Stop | OCO) or getattr(said, "exposure", None) is not None:
            raise StrategyError(
                f"strategy {self.strategy.name} answered {said!r} to a {_noun(event)} of "
                f"{event.symbol}; on books orders are md.Quote, or md.Limit with a size, and stops "
                "are stop_loss= and trailing_stop="
            )


def _noun(event: MarketEvent) -> str:
    return "book" if event.kind == "depth" else event.kind
