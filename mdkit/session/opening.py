"""Sessions made and known by their names: a new one stops and replaces that of its name."""

from __future__ import annotations

import atexit
from typing import Any, TypeVar

from mdkit.backfill.rest import RestBackfill
from mdkit.errors import SettingsError
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.recorder.recorder import Recorder
from mdkit.session.feeds import open_history, open_source
from mdkit.session.lifecycle import SessionLife
from mdkit.session.options import SessionOptions
from mdkit.session.session import Session
from mdkit.sources.source import Source, codec_of_source
from mdkit.sources.venue import VenueSource

S = TypeVar("S", bound=SessionLife[Any])

_sessions: dict[str, SessionLife[Any]] = {}


def open_session(options: SessionOptions) -> Session:
    """Make a session in this process: its source, history and pipeline. It begins with `start()`.

    Raises `SettingsError` when the source cannot give what is asked for, and
    `AuthenticationError` when TickDB is asked for without a key.
    """
    feed = open_feed(options)
    wants_history = options.backfill or options.warmup
    history = open_history(feed, options.settings, options.api_key) if wants_history else None
    if options.warmup and history is None:
        raise SettingsError(
            f"warmup={options.warmup} cannot be had from {feed.name}, which has no REST service "
            "to ask for bars: leave warmup out."
        )
    record = options.record
    pipeline = Pipeline(
        feed,
        options.ready,
        options.pipeline,
        backfill=None
        if history is None
        else RestBackfill(
            history, codec_of_source(feed), gives_only_bars=isinstance(feed, VenueSource)
        ),
        recorder=record if record is None or isinstance(record, Recorder) else Recorder(record),
    )
    return register(Session(pipeline, options.runner, options.name, named(options.name)))


def open_feed(options: SessionOptions) -> Source:
    """Return the source that a session reads; no connection is made yet. See `open_source`."""
    return open_source(
        options.source,
        options.subscribed_channels,
        options.subscribed_symbols,
        options.settings,
        options.api_key,
        options.levels,
    )


# -- sessions by name ---------------------------------------------------------------------------


def named(name: str) -> SessionLife[Any] | None:
    """Return the session of a name, which the next one of that name replaces."""
    return _sessions.get(name)


def register(session: S) -> S:
    """Make a session the one of its name, and return it."""
    _sessions[session.name] = session
    return session


def forget(session: SessionLife[Any]) -> None:
    """Let go of a session that has ended, for whoever makes many."""
    if _sessions.get(session.name) is session:
        del _sessions[session.name]


@atexit.register
def _stop_all() -> None:
    """End sessions that run in threads while their loops still turn: sockets, files, processes."""
    for session in list(_sessions.values()):
        session.close_at_exit()
