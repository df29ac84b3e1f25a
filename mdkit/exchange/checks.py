"""An exchange's settings, checked before anything is started."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from mdkit.errors import SettingsError
from mdkit.exchange.config import (
    CHANNELS,
    DATA_SERVICE,
    DEFAULT_SYMBOLS,
    FIRST_MS,
    LAST_MS,
    MOST_LEVELS,
    MOST_OPENING,
    VENUES,
    ExchangeConfig,
    Fault,
    PlanLimits,
)
from mdkit.exchange.faults.faults import check_fault
from mdkit.exchange.market.hours import HOURS
from mdkit.exchange.market.periods import DAY_MS
from mdkit.exchange.market.scenarios import scenario_named
from mdkit.redaction import hide
from mdkit.suggestions import instead

_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


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
    settings["api_key"] = hide(settings.get("api_key"))
    if isinstance(symbols, str):
        symbols = [part.strip() for part in symbols.split(",")]
    venue = settings.get("venue", DATA_SERVICE)
    if venue not in VENUES:
        raise SettingsError(f"venue={venue!r} is unknown: {instead(venue, VENUES)}.")
    if venue != DATA_SERVICE:
        _check_venue(venue, replay, settings)
        symbols, listed = _venue_symbols(venue, symbols), _venue_symbols(venue, listed)
    if symbols is None:
        symbols = () if replay is not None else DEFAULT_SYMBOLS
    unique = tuple(dict.fromkeys(symbols))
    for symbol in (*unique, *listed):
        if venue == DATA_SERVICE and not (isinstance(symbol, str) and _SYMBOL.fullmatch(symbol)):
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
        faults=tuple(with_own_symbol(fault, venue) for fault in faults),
        **settings,
    )
    _check_numbers(config)
    scenario_named(config.scenario)
    _check_opening(config)
    _check_hours(config)
    for fault in config.faults:
        check_fault(fault, venue)
    return config


def _venue_symbols(venue: str, symbols: Sequence[str] | None) -> tuple[str, ...]:
    """Return symbols in a venue's own form; None is what it trades by itself."""
    from mdkit.exchange.venues.instruments import default_symbols, native, pair

    if symbols is None:
        return default_symbols(venue)
    return tuple(native(*pair(symbol, venue), venue) for symbol in symbols)


def with_own_symbol(fault: Fault, venue: str) -> Fault:
    """Return a fault whose symbol, if it has one, is in the venue's own form."""
    if fault.symbol is None or venue == DATA_SERVICE:
        return fault
    return structs.replace(fault, symbol=_venue_symbols(venue, [fault.symbol])[0])


def _check_venue(venue: str, replay: Any, settings: dict[str, Any]) -> None:
    """Raise `SettingsError` for a setting that no venue's dialect has a use for."""
    if replay is not None:
        raise SettingsError(
            f"venue={venue!r} is a simulated market: use it without replay=. What was recorded "
            "of a venue is played back by md.replay."
        )
    for name in ("api_key", "hours", "opening"):
        if settings.get(name) is not None:
            raise SettingsError(
                f"{name}={settings[name]!r} has no meaning with venue={venue!r}: its market data "
                "need no key, and it trades around the clock. Leave it out."
            )


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
    if not FIRST_MS + DAY_MS <= start < LAST_MS:
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
        (
            "keepalive",
            config.keepalive,
            config.keepalive is None or 0 < config.keepalive <= 86_400,
            "above 0, in seconds, or None",
        ),
        (
            "book_levels",
            config.book_levels,
            config.book_levels is None or config.levels <= config.book_levels <= MOST_LEVELS,
            f"levels ({config.levels}) to {MOST_LEVELS}, or None",
        ),
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
