"""What an exchange is asked to be: small frozen values that travel to its process as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from mdkit.redaction import hide

DATA_SERVICE = "tickdb"
"""The venue whose wire is spoken unless another one is asked for."""
VENUES = (
    DATA_SERVICE,
    "kraken",
    "binance",
    "binance.us",
    "binance.futures",
    "coinbase",
    "hyperliquid",
    "okx",
)
"""Whose dialects the exchange speaks."""
DEFAULT_SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")
MOST_OPENING = 100_000
"""Depth messages in the first second; an exchange in Python sends no more."""
MOST_LEVELS = 100_000
"""Price levels a side of a venue's book."""
FIRST_MS = 946_684_800_000
"""2000-01-01, where the history begins, in milliseconds."""
LAST_MS = 4_102_444_800_000
"""2100-01-01, where it ends."""
REALTIME_PATH = "/v1/realtime"
FLAT_PATH = "/v1/market/ws"
_BASES = {
    DATA_SERVICE: (REALTIME_PATH, "/v1"),
    "kraken": ("/v2", ""),
    "hyperliquid": ("/ws", ""),
    "okx": ("/ws/v5/public", ""),
}
CONTROL_HEADER = "X-Mdkit-Control"
"""Must stand in requests to the control endpoints, with any value."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEEPALIVE = 30.0
"""Seconds between the data service's pings."""
CHANNELS = ("depth", "trade", "ticker")


class PlanLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a customer's plan allows. None means without limit.

    `connections` at a time, `subscriptions` (channel and symbol) at a time over all
    connections, REST calls `rest_per_minute`, `channels` that may be subscribed to, and
    `quota`, the number of REST calls until code 3002.

    Example:
        >>> limits = md.PlanLimits(connections=1, rest_per_minute=60)
        >>> exchange = md.Exchange(["AAPL.US"], limits=limits)
    """

    connections: int | None = None
    subscriptions: int | None = None
    rest_per_minute: int | None = None
    channels: tuple[str, ...] = CHANNELS
    quota: int | None = None


FREE_TRIAL = PlanLimits(
    connections=1, subscriptions=5, rest_per_minute=30, channels=("ticker",), quota=None
)
"""The service's free trial as its documentation describes it."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that goes wrong on request.

    `kind` is one of `mdkit.exchange.FAULTS`, whose descriptions say what `duration` (seconds),
    `count`, `symbol` (None: all) and the further `params` mean for it. It happens `at` seconds
    after the first subscription, or once `after_messages` messages (of all channels) have been
    passed on, or, where both are None, as soon as the exchange is up. Plain data, so that a
    schedule can be written to a file and played again.

    Example:
        >>> fault = md.Fault("disconnect", at=1.0)
        >>> exchange = md.Exchange(["AAPL.US"], faults=[fault])
    """

    kind: str
    at: float | None = None
    after_messages: int | None = None
    duration: float = 0.0
    count: int = 1
    symbol: str | None = None
    params: dict[str, Any] = {}

    def as_dict(self) -> dict[str, Any]:
        """Return the fault as a JSON-ready dict; `Fault(**d)` makes it again."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class ExchangeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an exchange needs to know. Make it with `checks.configure`, which checks it.

    `listed` are symbols beside `symbols` that are traded from when somebody asks for them.
    `opening` is the number of depth messages in the first second of the scenario "open", `rate`
    is in depth messages a second over all symbols, `speed` a time scale in which 0 means
    as fast as the clients take the messages, `count` a number of depth messages (of all
    messages in a playback) after which the exchange is silent, `start_ms` the exchange's clock
    at the first subscription, `hours` when there is trading (None: always), `venue` whose dialect
    is spoken, `book_levels` how deep a venue's books are (None: as deep as the venue's are).
    """

    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    listed: tuple[str, ...] = ()
    seed: int = 7
    scenario: str = "steady"
    opening: int | None = None
    rate: float | None = None
    speed: float = 1.0
    count: int | None = None
    replay: str | None = None
    loop: bool = False
    start_ms: int | None = None
    levels: int = 10
    api_key: str | None = None
    limits: PlanLimits = PlanLimits()
    faults: tuple[Fault, ...] = ()
    compression: bool = False
    keepalive: float | None = None
    buffer_bytes: int = 64 << 20
    hours: str | None = None
    venue: str = DATA_SERVICE
    book_levels: int | None = None
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        # Here, so that it is hidden in the exchange's own process too, which decodes it.
        msgspec.structs.force_setattr(self, "api_key", hide(self.api_key))

    def __repr__(self) -> str:
        key = "None" if self.api_key is None else "'***'"
        venue = "" if self.venue == DATA_SERVICE else f"venue={self.venue!r}, "
        source = f"replay={self.replay!r}" if self.replay else f"scenario={self.scenario!r}"
        return (
            f"ExchangeConfig({','.join(self.symbols)}, {venue}{source}, seed={self.seed}, "
            f"speed={self.speed:g}, api_key={key}, host={self.host!r}, port={self.port})"
        )


def bases(venue: str) -> tuple[str, str]:
    """Return what follows the host in the WebSocket URL and in the REST base."""
    return _BASES.get(venue, ("", ""))
