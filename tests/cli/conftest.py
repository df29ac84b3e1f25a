"""How commands are run: `cli` in this process, as `main` runs them; `shell` as a stranger does."""

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from mdkit.cli.main import main


class _Output(io.StringIO):
    """What a command prints; interrupts it, as Ctrl-C does, once that says enough."""

    def __init__(self, is_enough):
        super().__init__()
        self.is_enough = is_enough

    def write(self, text):
        written = super().write(text)
        if self.is_enough is not None and self.is_enough(self.getvalue()):
            self.is_enough = None
            signal.raise_signal(signal.SIGINT)
        return written


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """`cli("demo", ...)` runs a command in an empty folder; returns (exit code, stdout, stderr).

    In this process, because importing everything takes a second each time. `until` is a text, or
    a function of all that was printed: it is interrupted when that was printed, or holds.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments, until=None):
        is_enough = (lambda printed: until in printed) if isinstance(until, str) else until
        out, err = _Output(is_enough), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        assert "Traceback" not in out.getvalue() + err.getvalue()
        assert out.is_enough is None, "what was waited for never came"
        return ended.value.code or 0, out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def shell(tmp_path):
    """`shell("demo", ...)` does what `cli` does in a process of its own; `code=` in place of it."""

    def run(*arguments, code=None):
        start = ["-c", code] if code else ["-m", "mdkit"]
        done = subprocess.run(
            [sys.executable, *start, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=180,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "160"},
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(params=["cli", "shell"])
def either(request):
    """A command in this process, and one in its own."""
    return request.getfixturevalue(request.param)
