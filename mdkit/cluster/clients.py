"""Whether a Dask client and its workers are of use to a session."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from mdkit.errors import SettingsError
from mdkit.extras import install_hint

_ENCRYPTED = ("tls", "wss", "inproc")


def check_client(client: Any) -> None:
    """Raise `SettingsError` unless `client` is a Dask client that can be used here."""
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise SettingsError(
            f"client= needs Dask, which is not installed: {install_hint('cluster')}."
        ) from None
    if not isinstance(client, Client):
        raise SettingsError(f"client={client!r} is not a dask.distributed.Client.")
    if client.asynchronous:
        raise SettingsError(
            "client= was made with asynchronous=True: make it without, since a session has a "
            "thread of its own for talking to the cluster."
        )
    if client.status != "running":
        raise SettingsError(f"client= is {client.status}: connect a new one to the cluster.")


def check_key_travels(addresses: Iterable[str], *, plain_allowed: bool) -> None:
    """Raise `SettingsError` where an API key would cross a network in clear.

    It travels inside the messages of the scheduler and to every worker; `addresses` are theirs.
    """
    for address in addresses:
        if urlsplit(address).scheme not in _ENCRYPTED and not is_here(address):
            if plain_allowed:
                return
            raise SettingsError(
                f"The API key would travel unencrypted to {address}: connect to the cluster by "
                "TLS (distributed.Security), or allow it with Settings(dask_plain_key=True)."
            )


def is_here(worker: str) -> bool:
    """Whether a worker's address, such as tcp://10.0.0.5:4000, is one of this machine's."""
    parts = urlsplit(worker)
    if parts.scheme == "inproc" or parts.hostname is None:
        return True
    family = socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((parts.hostname, 0))  # which only an address of one's own allows
        except OSError:
            return False
    return True
