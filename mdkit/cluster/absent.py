"""What a session on a cluster lacks of one in this process, and what to use in its place."""

from __future__ import annotations

from collections.abc import Mapping

from mdkit.errors import SessionError

_LOOK = (
    "live views are drawn in the loop of a session in this process: look with session.plot(), "
    "session.frame(...) and session.explain(), or watch a few symbols in a session without client="
)
_FIXED = (
    "the symbols are dealt out when it begins: name all of them to md.live([...], client=client), "
    "which replaces the session of its name"
)
_FILES = (
    "each worker would write a file of its own: record the same feed with a session in this "
    "process, md.live(..., record=...) without client="
)
_WATCH = (
    "conditions are looked at in the loop of a session in this process: have session.prometheus() "
    "watched, or look at session.health() and session.gaps() in a loop of your own"
)

ABSENT: Mapping[str, str] = {
    "alert": _WATCH,
    "alerts": _WATCH,
    "clock": _LOOK,
    "dashboard": _LOOK,
    "live_frame": _LOOK,
    "loop": "its shards have loops on their workers: wait with `await session.run(seconds)`",
    "metrics_endpoint": (
        "the shards are asked over the network, which takes its time: serve or push the text of "
        "session.prometheus(), all shards in it, yourself"
    ),
    "record": _FILES,
    "stop_recording": _FILES,
    "subscribe": _FIXED,
    "unsubscribe": _FIXED,
    "view": _LOOK,
}
"""Public names of `Session` by what is said of them."""


class AbsentError(SessionError, AttributeError):
    """Something of a session in this process that one on a cluster does not have."""


def not_here(name: str) -> AttributeError:
    """Return the error for an attribute that is not there."""
    if name in ABSENT:
        return AbsentError(f"A session on a cluster has no {name}: {ABSENT[name]}.")
    return AttributeError(f"'ClusterSession' object has no attribute {name!r}")
