"""A lock between processes: a file that the operating system locks, so a killed one lets go."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_PAUSE = 0.005


def _try_lock(file: IO[bytes]) -> bool:
    """Lock without waiting; return whether it worked. Raises OSError where locks do not."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except ImportError:
        return True  # a platform without file locks: writes are atomic, updates may be lost
    return True


def _unlock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    # Elsewhere closing the file lets go of it.


@contextlib.contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock file `path`, made if need be, while the block runs.

    Raises `TimeoutError` when another process holds it for `timeout` seconds and `OSError`
    where the file cannot be made. Threads of one process exclude each other, too.
    """
    deadline = time.monotonic() + timeout
    with open(path, "ab") as file:
        while not _try_lock(file):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} has been locked by another process for {timeout:g} s")
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                _unlock(file)


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
