"""Kraken's commands and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from mdkit.errors import SubscriptionError
from mdkit.venues.codec import Answer, Manners
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.refusals import beginning
from mdkit.venues.wire import VenueWire


class _Result(Struct, frozen=True, gc=False):
    channel: str = ""
    symbol: str = ""


class _Answer(Struct, gc=False):
    method: str = ""
    success: bool | None = None
    error: str = ""
    symbol: str = ""
    result: _Result = _Result()


_read_answer = json_decoder(_Answer)


class KrakenWire(VenueWire):
    """Subscribes to Kraken's channels; each symbol is answered by itself.

    Args:
        natives: the venue's own name of each symbol.
        depth: levels a side that the venue keeps.
    """

    name = "kraken"
    channels: ClassVar = {"depth": "book", "trade": "trade", "ticker": "ticker"}
    manners = Manners(connects_per_minute=15)

    def __init__(self, natives: Mapping[str, str], depth: int) -> None:
        super().__init__(natives)
        self._depth = depth

    def command(
        self,
        channel: str,
        symbols: Sequence[str],
        *,
        market: str | None = None,
        cancel: bool = False,
    ) -> str:
        """Return the command that subscribes, or with `cancel` ends that."""
        params: dict[str, Any] = {
            "channel": self.channels[channel],
            "symbol": [self.native(symbol) for symbol in symbols],
        }
        if channel == "depth":
            params["depth"] = self._depth
        elif not cancel:
            params["snapshot"] = channel == "ticker"
        method = "unsubscribe" if cancel else "subscribe"
        return msgspec.json.encode({"method": method, "params": params}).decode()

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says; where it names a symbol it is about that one."""
        answer = _read_answer(raw)
        native = answer.symbol or answer.result.symbol
        named = self.named(answer.result.channel, native)
        if answer.success is not False and not answer.error:
            return Answer(subscription=named)
        said = beginning(answer.error) or "no reason given"
        symbol = self.symbol(native)
        return Answer(
            SubscriptionError(f"kraken refused {symbol or about}: {said}"),
            subscription=named,
            symbol=symbol,
        )
