"""Which library makes the connections: a choice by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal, get_args

from mdkit.errors import SettingsError
from mdkit.extras import install_hint
from mdkit.stream.connection import Connection
from mdkit.stream.websockets_connection import open_websockets

Transport = Literal["websockets", "picows"]

TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

Connect = Callable[[str], Awaitable[Connection]]
"""Opens a connection to a URL. Raises `ServiceError` for a refusal, else `HandshakeError`,
`OSError` or `TimeoutError`."""


def connector(transport: Transport, *, compression: bool = False) -> Connect:
    """Return what opens connections.

    Raises `SettingsError` for a transport that does not exist, is not installed, or cannot do
    what is asked.
    """
    if transport == "websockets":
        return partial(open_websockets, compression=compression)
    if transport != "picows":
        choices = " or ".join(f'"{name}"' for name in TRANSPORTS)
        raise SettingsError(f"transport={transport!r} does not exist: choose {choices}.")
    if compression:
        raise SettingsError(
            'transport="picows" cannot do compression=True: choose transport="websockets", or '
            "leave compression off."
        )
    try:
        from mdkit.stream.picows_connection import open_picows
    except ModuleNotFoundError as missing:
        raise SettingsError(
            f'transport="picows" needs {missing.name}, which is not installed: '
            f'{install_hint("picows")}, or choose transport="websockets".'
        ) from None
    return open_picows
