"""However a program ends, its session leaves whole files, a receipt, and no tracebacks."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mdkit as md

PROGRAM = Path(__file__).with_name("ending.py")
pytestmark = pytest.mark.outer
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def begin(exchange_process, tmp_path):
    """`begin(how)` starts the program and returns it once its session has handled messages."""
    exchange = exchange_process("AAPL.US", rate=500)
    started = []

    def begin(how):
        command = [sys.executable, "-W", "error", str(PROGRAM)]
        command += [how, str(exchange.port), str(tmp_path / "kept.jsonl.gz")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        program = subprocess.Popen(command, cwd=tmp_path, **pipes)
        started.append(program)
        assert program.stdout.readline() == "begun\n", program.stderr.read()
        return program

    yield begin
    for program in started:
        program.kill()
        program.communicate()


def check_recording(tmp_path):
    info = md.recording_info(tmp_path / "kept.jsonl.gz")
    assert info.complete, info
    assert info.messages > 0
    names = {path.name for path in tmp_path.iterdir()}
    assert {name for name in names if name.startswith("kept")} == {"kept.jsonl.gz"}


@posix
@pytest.mark.parametrize("how", ["blocking", "article"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_drains(begin, tmp_path, how, number):
    program = begin(how)
    program.send_signal(number)
    out, err = program.communicate(timeout=30)
    assert program.returncode == 0
    assert "nothing left" in out
    assert "the ledger balances" in out
    assert not err
    check_recording(tmp_path)


@posix
def test_two_signals_leave_at_once(begin):
    program = begin("stuck")
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "stopping\n", program.stderr.read()
    assert program.poll() is None
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert program.returncode != 0
    assert "mdkit: leaving at once" in err


@pytest.mark.parametrize("how", ["loop", "thread", "thread in a loop", "exit", "error"])
def test_the_interpreter_ends_under_a_session(begin, tmp_path, how):
    program = begin(how)
    _, err = program.communicate(timeout=30)
    assert program.returncode == {"exit": 5, "error": 1}.get(how, 0)
    if how == "error":
        assert err.count("Traceback") == 1
        assert "the script's own error" in err
    else:
        assert "Traceback" not in err
    if how != "loop":
        assert "ended with Python" in err
        assert "the ledger balances" in err
    check_recording(tmp_path)
