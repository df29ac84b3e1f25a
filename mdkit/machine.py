"""What the machine has and gives: processor cores, memory, threads, processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def in_browser() -> bool:
    """Return whether this Python runs in a browser: without threads, processes and sockets."""
    return sys.platform in ("emscripten", "wasi")


async def aside(function: Callable[[], _T]) -> _T:
    """Return what a function that blocks returns, called in a thread; in a browser, called here."""
    return function() if in_browser() else await asyncio.to_thread(function)


def cores() -> int:
    """Return how many processor cores this process may use."""
    if in_browser():
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return the memory this process has in use, or None where the system does not say.

    On macOS it is the most that it ever had in use.
    """
    with contextlib.suppress(OSError, ImportError):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        import resource

        return pages * resource.getpagesize()
    with contextlib.suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None


def start_apart(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that a Ctrl-C in the terminal, or an interrupted cell, does not reach.

    `options` are those of `subprocess.Popen`.
    """
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return subprocess.Popen(arguments, creationflags=flags, **options)
    return subprocess.Popen(arguments, process_group=0, **options)
