"""Errors for tables that a session cannot have, where an empty table would look like silence."""

from __future__ import annotations

from collections.abc import Collection

from mdkit.errors import SettingsError
from mdkit.exchange.simulated import SimulatedSource
from mdkit.frames import KINDS
from mdkit.pipeline.pipeline import Pipeline
from mdkit.sources.venue import VenueSource
from mdkit.sources.websocket import WebSocketSource
from mdkit.suggestions import instead


def check_table(pipeline: Pipeline, channel: str, symbol: str | None = None) -> None:
    """Raise `SettingsError`, with the cure, for a table that can have no rows.

    What was subscribed to and has not come yet is none, and no error; nor is what may still come
    of a source that does not say what it carries. For the session's loop.
    """
    source = pipeline.source
    came = [(a.channel.partition(":")[0], a.symbol) for a in tuple(pipeline.ledger) if a.symbol]
    made = [("bar", name) for name in pipeline.frames.symbols("bar")]
    channels = {channel for channel, _ in came} | {channel for channel, _ in made}
    if isinstance(source, WebSocketSource | VenueSource | SimulatedSource):
        channels |= {channel for channel, _ in source.subscriptions}
        says = bool(source.subscriptions)
    else:
        says = False
    is_over = pipeline.finished.is_set() and bool(came)
    carried = [*source.symbols, *(name for _, name in came), *(name for _, name in made)]
    check_names(
        channel,
        symbol,
        channels=channels if says or is_over else KINDS,
        symbols=dict.fromkeys(carried) if source.symbols or is_over else (),
        interval=pipeline.interval,
    )


def check_names(
    channel: str,
    symbol: str | None,
    *,
    channels: Collection[str],
    symbols: Collection[str],
    interval: str | None,
    can_add: bool = True,
) -> None:
    """Raise `SettingsError` for a channel or a symbol that is not among those of a session.

    No `symbols` means that any may come. `interval` is that of the session's bars, if any.
    """
    if channel not in KINDS:
        raise SettingsError(f"no table of {channel!r}: {instead(channel, KINDS)}.")
    if channel == "bar" and interval is None and "bar" not in (channels if symbols else ()):
        raise SettingsError(
            'this session makes no bars: give md.live an interval for them, such as bars="1m".'
        )
    if channel != "bar" and channel not in channels:
        where = f'with session.subscribe("{channel}", ...), or to ' if can_add else "to "
        raise SettingsError(
            f"{channel} is not subscribed to (channels: {', '.join(sorted(channels))}): add it "
            f"{where}md.live(channels=...)."
        )
    if symbol is not None and symbols and symbol not in symbols:
        asked = "trade" if channel == "bar" else channel
        how = f'with session.subscribe("{asked}", "{symbol}")' if can_add else "to md.live([...])"
        raise SettingsError(
            f"{symbol!r} is not subscribed to: {instead(symbol, symbols)}. Add it {how}."
        )
