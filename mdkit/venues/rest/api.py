"""How a venue's REST service is asked, and what its answers mean. Pure: no sockets here."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from mdkit.errors import RequestError
from mdkit.venues.rest.klines import Kline


class Request(NamedTuple):
    """A request below a venue's REST base: GET, or where there is a JSON `body`, POST."""

    path: str
    params: dict[str, str]
    body: bytes | None = None


class UnknownSymbol(RequestError):  # noqa: N818 - a refusal, whose cure is another symbol
    """The venue has no such symbol."""


class KlineRules(NamedTuple):
    """What a service's answers for bars keep to, where that is known.

    Attributes:
        serves: which bars of a stretch too long for one answer come: its "first"; or "all" that
            the service has, since it has no more than fit. None where it has to be learnt.
        most: how many of the newest bars can be had at all; None for all since the listing.
        bounded: whether a stretch must be asked for in parts that fit one answer.
        since_ms: no bar is older, and none is asked for.
        utc: whether bars must begin where periods of UTC do.
        dated: whether its HTTP Date tells the time by which a bar is complete or still forms.
    """

    serves: Literal["first", "all"] | None = None
    most: int | None = None
    bounded: bool = False
    since_ms: int = 0
    utc: bool = False
    dated: bool = False


class RestApi(Protocol):
    """What `mdkit.history` has to know of a venue's REST service.

    Attributes:
        max_klines, max_trades: the most bars, and trades, in one answer.
        rules: what its answers for bars keep to.
    """

    max_klines: int
    max_trades: int
    rules: KlineRules

    def headers(self, api_key: str) -> dict[str, str]:
        """Return the headers that carry a key."""

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for completed bars that begin in [start_ms, end_ms)."""

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book."""

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""

    def read(self, body: bytes, status: int, about: str, retry_after: float | None) -> bytes:
        """Return the data of an answer.

        Raises the `ServiceError` that a refusal means, whose type says whether to try again, and
        `InvalidMessage` for a body that is no answer at all under HTTP status 200. `about` is
        what was asked, `retry_after` the seconds of a Retry-After header.
        """

    def read_klines(self, data: bytes, about: str) -> list[Kline]:
        """Return the bars of an answer's data; raise `InvalidMessage` where they cannot be true."""

    def message(self, channel: str, symbol: str, data: bytes) -> bytes:
        """Return an answer's data as a message of its symbol and channel, marked as by REST."""

    def read_saved(self, body: bytes, about: str) -> list[Kline]:
        """Return the bars of a whole answer, or of its data alone, as it may lie in a file."""

    def symbol_of(self, body: bytes) -> str | None:
        """Return the symbol that such a file says it is about; None where it does not say."""
