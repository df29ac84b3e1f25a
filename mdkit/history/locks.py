"""A lock between processes, and putting a file in the place of another."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PAUSE = 0.005


@contextlib.contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock file `path`, made if need be, while the block runs.

    A process that is killed lets go of it. Threads of one process exclude each other, too.

    Raises `TimeoutError` when it is held elsewhere for `timeout` seconds and `OSError` where the
    file cannot be made, or its file system has no locks.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=timeout)
    try:
        lock.acquire(poll_interval=_PAUSE)
    except Timeout:
        raise TimeoutError(f"{path} has been locked by another process for {timeout:g} s") from None
    except NotImplementedError as error:
        raise OSError(f"{path} cannot be locked: {error}") from None
    try:
        yield
    finally:
        lock.release()


def replace(temporary: Path, path: Path) -> None:
    """`os.replace`, patient with Windows, where a virus scanner may hold a file for a moment."""
    for attempt in range(10):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == 9:
                raise
            time.sleep(0.02)
