"""Coinbase's commands and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import Struct

from mdkit.errors import SubscriptionError
from mdkit.venues.codec import Answer, Manners
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.refusals import beginning
from mdkit.venues.wire import VenueWire


class _Listed(Struct, gc=False):
    subscriptions: dict[str, list[str]] = {}


class _Answer(Struct, gc=False):
    type: str = ""
    message: str = ""
    events: list[_Listed] = []


_read_answer = json_decoder(_Answer)


class CoinbaseWire(VenueWire):
    """Subscribes to Coinbase's Advanced Trade feed: one channel a command, and never with a key.

    A frame that is lost spoils all books of its connection, so that few symbols share one.
    """

    name = "coinbase"
    channels: ClassVar = {"depth": "level2", "trade": "market_trades", "ticker": "ticker"}
    manners = Manners(
        # Channels without news end after a minute, and this one always has some.
        greetings=('{"type":"subscribe","channel":"heartbeats"}',),
        command_seconds=0.2,
        symbols_per_connection=4,
    )

    def command(
        self,
        channel: str,
        symbols: Sequence[str],
        *,
        market: str | None = None,
        cancel: bool = False,
    ) -> str:
        """Return the command that subscribes, or with `cancel` ends that."""
        command = {
            "type": "unsubscribe" if cancel else "subscribe",
            "product_ids": [self.native(symbol) for symbol in symbols],
            "channel": self.channels[channel],
        }
        return msgspec.json.encode(command).decode()

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says. Those that accept list everything, and name no command."""
        answer = _read_answer(raw)
        if answer.type != "error":
            # Greetings are answered as well: what is listed tells which commands were accepted.
            listed = [
                self.named(channel, product)
                for event in answer.events
                for channel, products in event.subscriptions.items()
                for product in products
            ]
            return Answer(is_heartbeat=True, accepted=tuple(filter(None, listed)))
        said = beginning(answer.message) or "no reason given"
        return Answer(SubscriptionError(f"coinbase refused {about}: {said}"))
