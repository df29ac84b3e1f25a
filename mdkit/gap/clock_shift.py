"""How far the exchange's clock is ahead of this machine's, as far as bars are concerned.

A trade dated hours ahead would complete all bars up to then, so the builder ignores it. Where
the trades agree on how far ahead they are it is a clock that differs, and bars go by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from mdkit.events import Gap, Ticker, Trade

_AGREEING = 5
_SPREAD_NS = 60_000_000_000
_HOUR_NS = 3_600_000_000_000


class ClockShift:
    """Finds out why the trades, or tickers, of one symbol cannot go into bars.

    Attributes:
        offset_ns: what the exchange's clock is ahead, once five in a row agree on it; else 0.
        why: why no bars can be made at the moment, or an empty text.
    """

    def __init__(self, symbol: str, made_of: str) -> None:
        self.offset_ns = 0
        self.why = ""
        self._symbol = symbol
        self._made_of = made_of
        self._ahead: deque[int] = deque(maxlen=_AGREEING)
        self._since_ns = 0
        self._ignored = 0

    def applied(self, event: Trade | Ticker) -> Trade | Ticker:
        """Return an event as if this machine's clock were as far ahead as the exchange's."""
        if not event.received_ns:
            return event
        return msgspec.structs.replace(event, received_ns=event.received_ns + self.offset_ns)

    def ignored(self, event: Trade | Ticker) -> Sequence[Gap]:
        """Count an event that went into no bar; return the gap that says so, once."""
        self._ignored += 1
        first, self._since_ns = not self._since_ns, self._since_ns or event.received_ns
        if event.exchange_ns <= 0:
            self.why = f"no bars can be made of {self._made_of}s that carry no time"
            return [self._gap(self.why, event, 1)] if first else ()
        ahead = event.exchange_ns - event.received_ns
        self._ahead.append(ahead)
        hours = f"the exchange's clock is {ahead / _HOUR_NS:.1f} hours ahead of this machine's"
        agree = max(self._ahead) - min(self._ahead) <= _SPREAD_NS
        if agree and len(self._ahead) == _AGREEING:
            self.offset_ns = min(self._ahead)
            gap = self._gap(f"{hours}: from now on bars go by it", event, self._ignored)
            self.begin_anew()
            return [gap]
        self.why = f"no bars can be made, since {hours}"
        return [self._gap(self.why, event, 1)] if first else ()

    def begin_anew(self) -> None:
        """Forget the events that went into no bar: one did."""
        self.why = ""
        self._ahead.clear()
        self._ignored = self._since_ns = 0

    def _gap(self, reason: str, event: Trade | Ticker, lost: int) -> Gap:
        return Gap(self._symbol, "bar", reason, self._since_ns, event.received_ns, lost)
