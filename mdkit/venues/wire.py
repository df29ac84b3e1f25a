"""`VenueWire`: what the wires of public venues have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from mdkit.errors import RateLimitError, RequestError, ServerError, ServiceError
from mdkit.venues.codec import Manners, Subscription
from mdkit.venues.refusals import CLOSED, SLOWER, beginning, does_not_serve, elsewhere


class VenueWire:
    """Commands and answers of a venue that needs no key; see `codec.Wire`.

    Args:
        natives: the venue's own name of each symbol.

    Attributes:
        channels: the venue's own name of each channel, where it has one.
    """

    name = ""
    channels: ClassVar[Mapping[str, str]] = {}
    subscribes_in_url = False
    manners = Manners()

    def __init__(self, natives: Mapping[str, str]) -> None:
        self._natives = natives

    def url(self, url: str, api_key: str | None, subscriptions: Iterable[Subscription]) -> str:
        """Return the URL as it is: no key, and commands subscribe."""
        return url

    def native(self, symbol: str) -> str:
        """Return the venue's own name of a symbol."""
        return self._natives[symbol]

    def symbol(self, native: str) -> str:
        """Return the symbol that the venue calls so; "" where nobody asked for such a one."""
        return next((s for s, name in self._natives.items() if name == native), "")

    def named(self, channel: str, native: str) -> Subscription | None:
        """Return the subscription that an answer names in the venue's own words, if it is one."""
        symbol = self.symbol(native)
        ours = next((name for name, theirs in self.channels.items() if theirs == channel), "")
        return (ours, symbol) if ours and symbol else None

    def refusal(self, status: int, body: bytes, retry_after: float | None) -> ServiceError:
        """Return what it means that a handshake was answered with this HTTP status."""
        said = beginning(body.decode(errors="replace"))
        if said.startswith("<"):
            said = ""  # a page of some proxy
        if status in CLOSED:
            return RequestError(
                does_not_serve(self.name, elsewhere(self.name), status, said), code=status
            )
        more = f": {said}" if said else ""
        if status in SLOWER:
            return RateLimitError(
                f"{self.name} wants fewer connections (HTTP {status}){more}",
                code=status,
                retry_after=retry_after,
            )
        if status >= 500:
            return ServerError(f"{self.name} answers HTTP {status}{more}", retry_after=retry_after)
        return RequestError(f"{self.name} refuses the connection (HTTP {status}){more}")
