"""OKX's commands and answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from mdkit.errors import RateLimitError, SubscriptionError
from mdkit.redaction import safe_text
from mdkit.venues.codec import Answer, Manners
from mdkit.venues.messages import json_decoder
from mdkit.venues.wire import VenueWire

_CHANNELS = {"depth": "books", "trade": "trades", "ticker": "tickers"}
_OURS = {name: channel for channel, name in _CHANNELS.items()}
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
        name = _CHANNELS[channel]
        args = [{"channel": name, "instId": self.native(symbol)} for symbol in symbols]
        command = {"op": "unsubscribe" if cancel else "subscribe", "args": args}
        return msgspec.json.encode(command).decode()

    def read_answer(self, raw: bytes, about: str) -> Answer:
        """Return what an answer says; where it names an instrument it is about that one."""
        answer = _read_answer(raw)
        channel = _OURS.get(answer.arg.channel)
        named = (channel, self.symbol(answer.arg.instId)) if channel else None
        if answer.event != "error":
            return Answer(subscription=named)
        said = f"{safe_text(answer.msg)} (code {safe_text(answer.code)})"
        if answer.code in _TOO_FAST:
            return Answer(RateLimitError(f"okx: {said}"), subscription=named)
        account = "; it needs an account" if answer.code in _NEEDS_ACCOUNT else ""
        return Answer(
            SubscriptionError(f"okx refused {about}: {said}{account}"), subscription=named
        )
