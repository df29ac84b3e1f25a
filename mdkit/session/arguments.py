"""What `live` and `klines` are given, checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from mdkit.errors import SettingsError
from mdkit.frames import KINDS
from mdkit.strategies.contract import Strategy, as_strategy
from mdkit.suggestions import instead
from mdkit.venues.routes import CHANNELS

_LONGEST_SYMBOL = 64


def checked_symbols(given: Any) -> tuple[str, ...]:
    """Return one symbol, or several, without repetitions; there may be none.

    Raises `SettingsError` for what can be none, also where several stand in one text.
    """
    if not isinstance(given, Iterable):
        raise SettingsError(f'{given!r} is not a symbol; write "AAPL.US", or several as a list.')
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or not name or " " in name:
            raise SettingsError(f"{name!r} is not a symbol; they are written like AAPL.US.")
        if "," in name:
            several = [part for part in name.split(",") if part]
            raise SettingsError(f"{name!r} is not a symbol; write several as a list: {several}.")
        if len(name) > _LONGEST_SYMBOL:
            raise SettingsError(f"{name[:_LONGEST_SYMBOL]!r}... is too long for a symbol.")
    return tuple(dict.fromkeys(names))


def checked_channel(channel: Any) -> str:
    """Return a channel's name; raise `SettingsError`, with near matches, for what is none."""
    if channel not in CHANNELS:
        known = instead(str(channel), CHANNELS)
        raise SettingsError(f"channel {channel!r} does not exist: {known}.")
    return str(channel)


def checked_strategies(given: Any) -> list[Strategy]:
    """Return strategies ready to run; one need not stand in a list.

    Raises `SettingsError` for what is not a strategy.
    """
    several = given if isinstance(given, Iterable) else (given,)
    return [as_strategy(strategy) for strategy in several]


def checked_count(name: str, value: Any, least: int, meaning: str) -> int:
    """Return a whole number; raise `SettingsError` that says what `least` means."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise SettingsError(f"{name}={value!r} is not usable: {meaning}.")
    return int(value)


def check_policies_channels(overflow: Any) -> None:
    """Raise `SettingsError` for policies of a channel that there is not: they would do nothing."""
    for channel in overflow if isinstance(overflow, Mapping) else ():
        if channel not in (*KINDS, "*"):
            raise SettingsError(
                f"overflow names the channel {channel!r}; there are {', '.join(KINDS)}, and "
                '"*" for all others.'
            )


def with_called_for(
    strategies: Iterable[Strategy],
    channels: tuple[str, ...],
    bars: str | None,
    *,
    may_add: bool = False,
) -> tuple[str, ...]:
    """Return the channels, with those added without which a strategy would never be called.

    A line says what was added. Raises `SettingsError` where nothing may be, and for strategies of
    bars where there are none.
    """
    for strategy in strategies:
        if {*channels, *(["bar"] if bars else [])} & set(strategy.kinds):
            continue
        wanted = [kind for kind in strategy.kinds if kind in CHANNELS]
        if not wanted:
            raise SettingsError(
                f"Strategy {strategy.name} is called with bars, and there are none: add an "
                'interval to fold trades into, such as bars="1m".'
            )
        if not may_add:
            raise SettingsError(
                f"Strategy {strategy.name} is called with {' and '.join(wanted)} messages, and "
                f"would never be: add {wanted[0]!r} to channels={list(channels)}."
            )
        print(  # noqa: T201 - it is subscribed to without having been named
            f"mdkit: {wanted[0]} is subscribed to as well, since strategy {strategy.name} is "
            "called with it."
        )
        channels = (*channels, wanted[0])
    return channels


def how_long(seconds: Any) -> float:
    """Return for how many seconds to run, infinity for None; raises `SettingsError` for no time."""
    if seconds is None:
        return float("inf")
    if isinstance(seconds, bool) or not isinstance(seconds, Real) or not float(seconds) >= 0:
        raise SettingsError(
            f"seconds is {seconds!r}; give a number of seconds from 0, or None to run to the "
            "source's end"
        )
    return float(seconds)
