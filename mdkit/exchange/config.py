"""What an exchange is asked to be: small frozen values that travel to its process as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from mdkit.errors import SettingsError

DEFAULT_SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")
MOST_OPENING = 100_000
"""Depth messages in the first second; an exchange in Python sends no more."""
FIRST_MS = 946_684_800_000
"""2000-01-01, where the history begins, in milliseconds."""
LAST_MS = 4_102_444_800_000
"""2100-01-01, where it ends."""
REALTIME_PATH = "/v1/realtime"
FLAT_PATH = "/v1/market/ws"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
CHANNELS = ("depth", "trade", "ticker")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_DAY_MS = 86_400_000


class PlanLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a customer's plan allows. None means without limit.

    `connections` at a time, `subscriptions` (channel and symbol) at a time over all
    connections, REST calls `rest_per_minute`, `channels` that may be subscribed to, and
    `quota`, the number of REST calls until code 3002.
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
    """All that an exchange needs to know. Make it with `configure`, which checks it.

    `listed` are symbols beside `symbols` that are traded from when somebody asks for them.
    `opening` is the number of depth messages in the first second of the scenario "open", `rate`
    is in depth messages a second over all symbols, `speed` a time scale in which 0 means
    as fast as the clients take the messages, `count` a number of depth messages (of all
    messages in a playback) after which the exchange is silent, `start_ms` the exchange's clock
    at the first subscription, `hours` when there is trading (None: always).
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
    keepalive: float = 30.0
    buffer_bytes: int = 64 << 20
    hours: str | None = None
    host: str = "127.0.0.1"
    port: int = 0

    def __repr__(self) -> str:
        key = "None" if self.api_key is None else "'***'"
        source = f"replay={self.replay!r}" if self.replay else f"scenario={self.scenario!r}"
        return (
            f"ExchangeConfig({','.join(self.symbols)}, {source}, seed={self.seed}, "
            f"speed={self.speed:g}, api_key={key}, host={self.host!r}, port={self.port})"
        )


def configure(
    symbols: Sequence[str] | None = None,
    *,
    listed: Sequence[str] = (),
    speed: float | None = 1.0,
    replay: Any = None,
    start: datetime | str | int | None = None,
    limits: PlanLimits | None = None,
    faults: Sequence[Fault] = (),
    **settings: Any,
) -> ExchangeConfig:
    """Return a checked `ExchangeConfig`; raise `SettingsError` naming what cannot work.

    `symbols=None` means the default five, or in a playback those of the file. `start` is a
    datetime (naive: UTC), an ISO string or milliseconds since the epoch.
    """
    from mdkit.exchange.faults.faults import check_fault
    from mdkit.exchange.market.scenarios import scenario_named

    if isinstance(symbols, str):
        symbols = [part.strip() for part in symbols.split(",")]
    if symbols is None:
        symbols = () if replay is not None else DEFAULT_SYMBOLS
    unique = tuple(dict.fromkeys(symbols))
    for symbol in (*unique, *listed):
        if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
            raise SettingsError(
                f"{symbol!r} is not a symbol; use up to 32 letters, digits, dots, dashes and "
                "underscores, such as AAPL.US or BTCUSDT."
            )
    if not unique and replay is None:
        raise SettingsError("symbols is empty; name at least one, such as AAPL.US.")
    if speed is None or math.isinf(speed):
        speed = 0.0
    if start is not None and replay is not None:
        raise SettingsError(
            "start= has no meaning with replay=: a recording has its own times; leave one out."
        )
    config = ExchangeConfig(
        symbols=unique,
        listed=tuple(dict.fromkeys(listed)),
        speed=speed,
        replay=None if replay is None else str(replay),
        start_ms=None if start is None else _milliseconds(start),
        limits=limits or PlanLimits(),
        faults=tuple(faults),
        **settings,
    )
    _check_numbers(config)
    scenario_named(config.scenario)
    _check_opening(config)
    _check_hours(config)
    for fault in config.faults:
        check_fault(fault)
    return config


def _milliseconds(start: datetime | str | int) -> int:
    if isinstance(start, str):
        try:
            start = datetime.fromisoformat(start)
        except ValueError:
            raise SettingsError(
                f"start={start!r} is not a time; write it as 2025-01-31T14:30:00."
            ) from None
    if isinstance(start, datetime):
        aware = start if start.tzinfo else start.replace(tzinfo=UTC)
        start = round(aware.timestamp() * 1000)
    if not FIRST_MS + _DAY_MS <= start < LAST_MS:
        raise SettingsError(
            f"start={start} (milliseconds) is outside 2000-01-02 to 2099-12-31, the days "
            "for which the exchange has a history."
        )
    return start


def _check_opening(config: ExchangeConfig) -> None:
    """Raise `SettingsError` for an opening that another setting leaves no room for."""
    if config.opening is None:
        return
    if config.scenario != "open" or config.replay is not None or config.rate is not None:
        raise SettingsError(
            f"opening={config.opening} is the first second of the scenario 'open': use it with "
            "scenario='open', and without rate= and replay=."
        )
    if not config.speed:
        raise SettingsError(
            f"opening={config.opening} is a number of messages in a second, and speed=0 knows no "
            "seconds; use a speed above 0."
        )


def _check_hours(config: ExchangeConfig) -> None:
    """Raise `SettingsError` for hours that there are not, or that something else cannot keep."""
    if config.hours is None:
        return
    from mdkit.exchange.market.hours import HOURS

    if config.hours not in HOURS:
        raise SettingsError(
            f"hours={config.hours!r} are unknown: choose from {', '.join(HOURS)}, or None for a "
            "market that never closes."
        )
    is_timed = config.speed and (config.scenario != "flood" or config.rate)
    if config.replay is not None or config.opening is not None or not is_timed:
        raise SettingsError(
            f"hours={config.hours!r} are kept by a simulated market with a clock: use them without "
            "replay=, opening= and speed=0, and with another scenario than 'flood'."
        )


def _check_numbers(config: ExchangeConfig) -> None:
    """Raise `SettingsError` for a number that is out of its range."""
    limits = config.limits
    rules: list[tuple[str, Any, bool, str]] = [
        ("rate", config.rate, config.rate is None or 0 < config.rate <= 1e7, "0 < rate <= 1e7"),
        (
            "opening",
            config.opening,
            config.opening is None or 1 <= config.opening <= MOST_OPENING,
            f"1 to {MOST_OPENING}, or None",
        ),
        ("speed", config.speed, 0 <= config.speed <= 1e6, "0 (unpaced) to 1e6"),
        ("levels", config.levels, 1 <= config.levels <= 50, "1 to 50"),
        ("port", config.port, 0 <= config.port <= 65_535, "0 (any free one) to 65535"),
        ("keepalive", config.keepalive, 0 < config.keepalive <= 86_400, "above 0, in seconds"),
        ("count", config.count, config.count is None or config.count > 0, "at least 1, or None"),
        ("buffer_bytes", config.buffer_bytes, config.buffer_bytes >= 65_536, "at least 65536"),
    ]
    for name in ("connections", "subscriptions", "rest_per_minute", "quota"):
        value = getattr(limits, name)
        rules.append((f"limits.{name}", value, value is None or value >= 0, "at least 0, or None"))
    rules.append(
        (
            "limits.channels",
            limits.channels,
            set(limits.channels) <= set(CHANNELS),
            f"some of {', '.join(CHANNELS)}",
        )
    )
    for name, value, fine, accepted in rules:
        if not fine:
            raise SettingsError(f"{name}={value!r} is out of range; accepted: {accepted}.")
