"""Faults that a venue's dialect has been ordered to commit, and has not committed yet."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mdkit.exchange.config import Fault
from mdkit.exchange.venues.wire import WireMessage

_FATES = {"lost_diff": "lost", "repeated_diff": "repeated", "reordered_diff": "reordered"}
_CHECKSUM = re.compile(rb'("checksum":)(\d+)')


class _Order(NamedTuple):
    kind: str
    symbol: str | None
    until: float | None
    params: dict[str, Any]


class FaultOrders:
    """What is to go wrong with the next so many frames, answers or subscriptions."""

    def __init__(self) -> None:
        self._open: list[_Order] = []
        self._left: list[int] = []

    def add(self, fault: Fault, params: dict[str, Any], now: float) -> None:
        """Order a fault for `count` cases, or for all within `duration` seconds."""
        until = now + fault.duration if fault.duration > 0 else None
        self._open.append(_Order(fault.kind, fault.symbol, until, params))
        self._left.append(fault.count)

    def claim(self, kind: str, symbol: str | None, now: float) -> dict[str, Any] | None:
        """Return a fault's parameters if it is to happen in this case, counting it."""
        for i, order in enumerate(self._open):
            if order.until is not None and now >= order.until:
                del self._open[i], self._left[i]
                return self.claim(kind, symbol, now)
            if order.kind != kind or order.symbol not in (None, symbol):
                continue
            if order.until is None:
                self._left[i] -= 1
                if not self._left[i]:
                    del self._open[i], self._left[i]
            return order.params
        return None

    def spoil(self, message: WireMessage, now: float) -> WireMessage:
        """Return a book's frame as the open orders leave it."""
        if not self._open or message.key is None:
            return message
        symbol = message.key[1]
        if self.claim("wrong_checksum", symbol, now) is not None:
            text = _CHECKSUM.sub(_off_by_one, message.text)
            message = message.copy(lambda ns: text)
        for kind, fate in _FATES.items():
            if self.claim(kind, symbol, now) is not None:
                message.fate = fate
                break
        return message


def _off_by_one(found: re.Match[bytes]) -> bytes:
    return b"%b%d" % (found[1], (int(found[2]) + 1) % 2**32)
