"""Hyperliquid's commands and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from mdkit.errors import SubscriptionError
from mdkit.venues.codec import Answer, Manners
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.refusals import beginning
from mdkit.venues.wire import VenueWire


class _Frame(Struct, gc=False):
    channel: str
    data: Raw


class _Subscription(Struct, frozen=True, gc=False):
    type: str = ""
    coin: str = ""


class _Accepted(Struct, gc=False):
    subscription: _Subscription = _Subscription()


_read_frame = json_decoder(_Frame)
_read_accepted = json_decoder(_Accepted)
_read_text = json_decoder(str)


class HyperliquidWire(VenueWire):
    """Subscribes to Hyperliquid's channels, one coin a command."""

    name = "hyperliquid"
    channels: ClassVar = {"depth": "l2Book", "trade": "trades"}
    manners = Manners(
        heartbeat='{"method":"ping"}',
        heartbeat_seconds=30.0,
        symbols_per_command=1,
        command_seconds=0.03,
        symbols_per_connection=100,
        connects_per_minute=25,
        tells_silence=False,
    )

    def command(
        self,
        channel: str,
        symbols: Sequence[str],
        *,
        market: str | None = None,
        cancel: bool = False,
    ) -> str:
        """Return the command that subscribes to one symbol, or with `cancel` ends that."""
        (symbol,) = symbols
        command = {
            "method": "unsubscribe" if cancel else "subscribe",
            "subscription": {"type": self.channels[channel], "coin": self.native(symbol)},
        }
        return msgspec.json.encode(command).decode()

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says: those that accept name the coin, errors are texts."""
        frame = _read_frame(raw)
        if frame.channel == "error":
            said = beginning(_read_text(bytes(frame.data)))
            return Answer(SubscriptionError(f"hyperliquid refused {about}: {said}"))
        accepted = _read_accepted(bytes(frame.data)).subscription
        return Answer(subscription=self.named(accepted.type, accepted.coin))
