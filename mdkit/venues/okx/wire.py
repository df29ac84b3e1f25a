"""OKX's commands and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import Struct

from mdkit.errors import RateLimitError, SubscriptionError
from mdkit.venues.codec import Answer, Manners
from mdkit.venues.reading.messages import json_decoder
from mdkit.venues.refusals import beginning
from mdkit.venues.wire import VenueWire

_NEEDS_ACCOUNT = ("60011", "64003")
_TOO_FAST = ("60014", "50011")


class _Arg(Struct, frozen=True, gc=False):
    channel: str = ""
    instId: str = ""  # noqa: N815 - the venue's own name


class _Answer(Struct, gc=False):
    event: str = ""
    arg: _Arg = _Arg()
    code: str = ""
    msg: str = ""


_read_answer = json_decoder(_Answer)


class OkxWire(VenueWire):
    """Subscribes to OKX's public channels; each is answered by itself."""

    name = "okx"
    channels: ClassVar = {"depth": "books", "trade": "trades", "ticker": "tickers"}
    manners = Manners(
        heartbeat="ping",
        heartbeat_seconds=20.0,
        symbols_per_command=20,
        command_seconds=0.4,
        symbols_per_connection=25,
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
        name = self.channels[channel]
        args = [{"channel": name, "instId": self.native(symbol)} for symbol in symbols]
        command = {"op": "unsubscribe" if cancel else "subscribe", "args": args}
        return msgspec.json.encode(command).decode()

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says; where it names an instrument it is about that one."""
        answer = _read_answer(raw)
        named = self.named(answer.arg.channel, answer.arg.instId)
        if answer.event != "error":
            return Answer(subscription=named)
        said = f"{beginning(answer.msg)} (code {beginning(answer.code)})"
        if answer.code in _TOO_FAST:
            return Answer(RateLimitError(f"okx: {said}"), subscription=named)
        account = "; it needs an account" if answer.code in _NEEDS_ACCOUNT else ""
        return Answer(
            SubscriptionError(f"okx refused {about}: {said}{account}"), subscription=named
        )
