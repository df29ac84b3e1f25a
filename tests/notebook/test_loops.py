"""Loops of their own in threads."""

import asyncio
import sys
import threading

import pytest

import mdkit as md
from mdkit.notebook.loops import LoopThread


@pytest.mark.parametrize("asked", [None, "0", "1"])
def test_a_threads_loop_is_uvloops_unless_the_environment_says_no(monkeypatch, asked):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    if asked is None:
        monkeypatch.delenv("MDKIT_UVLOOP", raising=False)
    else:
        monkeypatch.setenv("MDKIT_UVLOOP", asked)
    seen = []

    async def look():
        seen.append(isinstance(asyncio.get_running_loop(), uvloop.Loop))

    thread = LoopThread(look, "a loop")
    thread.join()
    assert seen == [asked != "0"]
    assert not any(one.name == "a loop" for one in threading.enumerate())


def test_without_uvloop_a_threads_loop_is_asyncios(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    seen = []

    async def look():
        seen.append(type(asyncio.get_running_loop()).__module__)

    LoopThread(look, "a loop").join()
    assert seen[0].startswith("asyncio.")


def test_a_loop_that_cannot_be_made_is_an_error_and_no_standstill(monkeypatch):
    def refuse():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("mdkit.notebook.loops._loop_factory", lambda: refuse)
    with pytest.raises(OSError, match="Too many open files"):
        LoopThread(None, "a loop")


def test_a_session_whose_thread_cannot_begin_has_not_started_and_can_be_started_later(monkeypatch):
    def refuse():
        raise OSError(24, "Too many open files")

    market = md.Simulated(["AAPL.US"], speed=None, count=20)
    session = md.live(source=market, runner="thread", name="no loop")
    with monkeypatch.context() as patch:
        patch.setattr("mdkit.notebook.loops._loop_factory", lambda: refuse)
        with pytest.raises(OSError, match="Too many open files"):
            session.start()
    assert session.state == "not started"
    assert session.run_blocking().totals["processed"] == 20
