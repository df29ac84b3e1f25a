"""`VenueWire`: what the wires of public venues have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mdkit.errors import RateLimitError, RequestError, ServerError, ServiceError
from mdkit.redaction import safe_text
from mdkit.venues.codec import Manners, Subscription

_CLOSED = (403, 451)
_SLOWER = (418, 429)
_MOST_SAID = 200


class VenueWire:
    """Commands and answers of a venue that needs no key; see `codec.Wire`.

    Args:
        natives: the venue's own name of each symbol.
        elsewhere: venues to name where this one refuses the place that it is asked from.
    """

    name = ""
    subscribes_in_url = False
    manners = Manners()

    def __init__(self, natives: Mapping[str, str], elsewhere: Sequence[str] = ()) -> None:
        self._natives = natives
        self._elsewhere = tuple(elsewhere)

    def url(self, url: str, api_key: str | None, subscriptions: Iterable[Subscription]) -> str:
        """Return the URL as it is: no key, and commands subscribe."""
        return url

    def native(self, symbol: str) -> str:
        """Return the venue's own name of a symbol."""
        return self._natives[symbol]

    def symbol(self, native: str) -> str:
        """Return the symbol that the venue calls so; its own name where nobody asked for it."""
        return next((s for s, name in self._natives.items() if name == native), native)

    def refusal(self, status: int, body: bytes, retry_after: float | None) -> ServiceError:
        """Return what it means that a handshake was answered with this HTTP status."""
        said = safe_text(body[:_MOST_SAID].decode(errors="replace")).strip()
        more = f": {said}" if said and not said.startswith("<") else ""
        if status in _CLOSED:
            others = ", ".join(f'"{name}"' for name in self._elsewhere)
            return RequestError(
                f"{self.name} does not serve this place (HTTP {status}){more}; "
                f"try source={others}.",
                code=status,
            )
        if status in _SLOWER:
            return RateLimitError(
                f"{self.name} wants fewer connections (HTTP {status}){more}",
                code=status,
                retry_after=retry_after,
            )
        if status >= 500:
            return ServerError(f"{self.name} answers HTTP {status}{more}", retry_after=retry_after)
        return RequestError(f"{self.name} refuses the connection (HTTP {status}){more}")
