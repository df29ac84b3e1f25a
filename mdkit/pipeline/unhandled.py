"""Messages that were not handled when a pipeline ended, saved as a recording."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mdkit.channels.channel import Channel
from mdkit.queue.channel import Message
from mdkit.recording.file.recording_file import lines_of
from mdkit.recording.format import VERSION, Header, encode_marker


def save_leftovers(messages: Iterable[Message[Channel]], venue: str) -> Path:
    """Write messages to a new temporary file, so that stopping early loses nothing; return it.

    Raises `OSError` when that fails, and leaves no file then.
    """
    handle, name = tempfile.mkstemp(prefix="mdkit-left-", suffix=".jsonl")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(encode_marker(Header(version=VERSION, venue=venue, line=1)) + b"\n")
            for _, raw, received_ns, _ in messages:
                file.write(lines_of([(raw, received_ns)]))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    return Path(name)
