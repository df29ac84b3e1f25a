"""Compiled code kept on disk, so that only the first run of a strategy waits for the compiler.

A file is found by what the code reads (`reads`), mdkit's own source, Python, numba and the
processor: whatever differs makes another file. Files lie in the user's cache folder, which
nobody else may write to. What cannot be read or written is compiled again. Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any

import numba
from numba.core import serialize
from numba.core.compiler import CompileResult

from mdkit.history.cache import cache_folder

_KEPT = 200
"""So many files are kept, the last used ones."""


def load(key: str, stub: Any) -> tuple[Any, Any] | None:
    """Return a kept kernel and what was kept beside it, or None.

    `stub` is the dispatcher of a function that was not compiled yet; it becomes the kernel.
    """
    path = _path(key)
    if path is None or not path.is_file():
        return None
    try:
        reduced, beside = pickle.loads(path.read_bytes())
        context = stub.targetdescr.target_context
        context.refresh()
        result = CompileResult._rebuild(context, *reduced)
        stub.add_overload(result)
        stub.disable_compile()
        os.utime(path)
    except Exception:
        # Cut off by a full disk, or from a module that is no longer there: compiled anew.
        return None
    return stub, beside


def has(key: str) -> bool:
    """Whether a kernel is kept under a key."""
    path = _path(key)
    return path is not None and path.is_file()


def save(key: str, kernel: Any, beside: Any) -> None:
    """Keep a compiled kernel and something beside it; without a folder for it, do nothing."""
    path = _path(key)
    if path is None:
        return
    (result,) = kernel.overloads.values()
    with contextlib.suppress(Exception):
        data = serialize.dumps((result._reduce(), beside))
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
        _drop_oldest(path.parent)


def _drop_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.code"), key=lambda file: file.stat().st_mtime)
    for file in files[:-_KEPT]:
        file.unlink(missing_ok=True)


def _path(key: str) -> Path | None:
    folder = _folder()
    return None if folder is None else folder / f"{_hash(key, _machine())}.code"


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:40]


def _folder() -> Path | None:
    """Return the folder of compiled code, made if need be; None where it would not be safe."""
    try:
        folder = cache_folder() / "compiled"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError):
        return None
    # What lies here is run: it must be the user's own and nobody else's to write.
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        return None
    return folder if os.access(folder, os.W_OK) else None


@functools.cache
def _machine() -> str:
    """Return what compiled code depends on besides what it reads."""
    source = hashlib.sha256()
    here = Path(__file__).parents[1]
    for file in sorted(here.rglob("*.py")):
        source.update(file.read_bytes())
    magic = numba.njit(lambda: None).targetdescr.target_context.codegen().magic_tuple()
    return repr((source.hexdigest(), sys.version, numba.__version__, sys.platform, magic))
