"""A strategy's answers in another process: with other hashes of text, environment and place.

What holds within one process need not hold in the next: the order of sets, `hash` of text, ids,
the environment, memories that earlier runs filled. `verify` runs the reference there once more.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from mdkit.backtesting.verify.verification import Trace
from mdkit.errors import StrategyError
from mdkit.processes.process import dumps
from mdkit.strategies.contract import Strategy

_KEPT = (
    "PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "APPDATA", "LOCALAPPDATA",
)  # fmt: skip
"""What Python and its libraries may need; the rest of the environment is left out."""
_TIMEOUT = 600.0


class NotElsewhere(StrategyError):  # noqa: N818 - a verdict on what is sent, not a failure
    """A strategy that cannot be sent to another process; `str()` is the reason."""


def traces_elsewhere(strategy: Strategy, events: Sequence[Any]) -> dict[str, Trace]:
    """Return what `reference.python_traces` returns, from a process that knows nothing of this one.

    Raises `NotElsewhere` where the strategy or the events cannot be sent there, and
    `StrategyError` where the strategy fails there.
    """
    try:
        path = [place or os.getcwd() for place in sys.path]
        given = pickle.dumps(path) + dumps((strategy, list(events)))
    except Exception as error:
        raise NotElsewhere(f"it cannot be pickled: {error}") from error
    environment = {name: value for name, value in os.environ.items() if name in _KEPT}
    environment |= {"PYTHONHASHSEED": _other_seed(), "TZ": "Pacific/Chatham"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "mdkit.backtesting.verify.reference"],
            input=given,
            capture_output=True,
            env={**environment, "PYTHONPATH": os.pathsep.join(path)},
            cwd=folder,
            timeout=_TIMEOUT,
            check=False,
        )
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotElsewhere(f"the other process failed: {last[-1] if last else done.returncode}")
    found = pickle.loads(done.stdout)
    if isinstance(found, str):
        raise StrategyError(found)
    return {symbol: Trace(*parts) for symbol, parts in found.items()}


def _other_seed() -> str:
    return "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
