"""Binance's commands and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import msgspec
from msgspec import Struct

from mdkit.errors import SubscriptionError
from mdkit.venues.codec import Answer, Manners
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.refusals import beginning
from mdkit.venues.wire import VenueWire


class _Error(Struct, gc=False):
    code: int = 0
    msg: str = ""


class _Answer(Struct, gc=False):
    id: int | None = None
    code: int | None = None
    msg: str = ""
    error: _Error | None = None


_read_answer = json_decoder(_Answer)


class BinanceWire(VenueWire):
    """Subscribes to Binance's streams; see `codec.Wire`.

    Args:
        name: "binance", "binance.us" or "binance.futures".
        streams: the streams of a channel, such as `("depth@100ms", "bookTicker")`.
    """

    # Five messages a second are allowed, pongs included; a day is the longest connection.
    manners = Manners(
        symbols_per_command=100,
        command_seconds=0.5,
        symbols_per_connection=200,
        lifetime=23 * 3600,
        tells_silence=False,
    )

    def __init__(
        self,
        name: str,
        natives: Mapping[str, str],
        streams: Mapping[str, Sequence[str]],
    ) -> None:
        super().__init__(natives)
        self.name = name
        self._streams = streams
        self._numbers = count(1)

    def command(
        self,
        channel: str,
        symbols: Sequence[str],
        *,
        market: str | None = None,
        cancel: bool = False,
    ) -> str:
        """Return the command that subscribes to a channel's streams, or with `cancel` ends that."""
        params = [
            f"{self.native(symbol).lower()}@{stream}"
            for symbol in symbols
            for stream in self._streams[channel]
        ]
        method = "UNSUBSCRIBE" if cancel else "SUBSCRIBE"
        number = next(self._numbers)
        return msgspec.json.encode({"method": method, "params": params, "id": number}).decode()

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says; answers come in the order of the commands."""
        answer = _read_answer(raw)
        code = answer.error.code if answer.error is not None else answer.code
        if not code and answer.error is None:
            return Answer()
        said = answer.error.msg if answer.error is not None else answer.msg
        return Answer(
            SubscriptionError(f"{self.name} refused {about}: {beginning(said)}", code=code)
        )
