"""`import mdkit` is quick and does nothing: no key, no sockets, no patches, nothing heavy."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.outer

HEAVY = [
    "pandas",
    "matplotlib",
    "ipywidgets",
    "pyarrow",
    "numba",
    "websockets",
    "numpy",
    "requests",
    "IPython",
    "uvloop",
    "nest_asyncio",
    "nest_asyncio2",
    "tqdm",
    "typer",
    "rich",
]


def _run(code, *options):
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


def test_importing_loads_nothing_heavy():
    loaded = _run("import sys, mdkit; print(*sys.modules)")
    assert "mdkit" in loaded
    assert not set(HEAVY) & set(loaded)


def test_a_script_that_makes_a_session_loads_no_widgets():
    make = "mdkit.live('A', source='ws://127.0.0.1:9')"
    loaded = _run(f"import sys, mdkit; {make}; print(*sys.modules)")
    assert "websockets" in loaded
    assert not {"ipywidgets", "matplotlib", "IPython", "PIL"} & set(loaded)


def test_importing_opens_no_socket_and_starts_nothing():
    code = """
import socket, subprocess, threading
def refuse(*args, **kwargs):
    raise AssertionError("not at import")
socket.socket.__init__ = refuse
subprocess.Popen.__init__ = refuse
threading.Thread.start = refuse
import mdkit
for name in mdkit.__all__:
    getattr(mdkit, name)
print("ok")
"""
    assert _run(code) == ["ok"]


def test_importing_patches_nothing_in_asyncio():
    code = """
import asyncio, asyncio.base_events, asyncio.events, asyncio.tasks, asyncio.runners, asyncio.queues
modules = [asyncio, asyncio.base_events, asyncio.events, asyncio.tasks, asyncio.runners]
classes = [asyncio.BaseEventLoop, asyncio.Queue, asyncio.Task, asyncio.Future, asyncio.Runner]
look = lambda: [dict(vars(thing)) for thing in [*modules, *classes]]
before, policy = look(), asyncio.events._event_loop_policy
import mdkit
for name in mdkit.__all__:
    getattr(mdkit, name)
for then, now in zip(before, look()):
    changed = [name for name in then if now.get(name) is not then[name]]
    assert not changed, changed
assert asyncio.events._event_loop_policy is policy
print("ok")
"""
    assert _run(code) == ["ok"]


def test_every_public_name_resolves_and_the_listing_is_honest():
    code = """
import mdkit
assert len(set(mdkit.__all__)) == len(mdkit.__all__)
for name in mdkit.__all__:
    assert getattr(mdkit, name) is not None
    assert name in dir(mdkit)
namespace = {}
exec("from mdkit import *", namespace)
assert set(mdkit.__all__) <= set(namespace)
assert mdkit.__version__
print("ok")
"""
    assert _run(code) == ["ok"]


def test_the_stub_lists_every_name_with_the_module_it_is_from():
    """Type checkers read the stub alone: what it says of a name is what the name is at runtime."""
    import mdkit

    stub = ast.parse(Path(mdkit.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    listed = [
        (line.module, name.name, name.asname)
        for line in stub.body
        if isinstance(line, ast.ImportFrom)
        for name in line.names
    ]
    assert sorted(name for _, name, _ in listed) == sorted(mdkit.__all__)
    for home, name, shown in listed:
        assert shown == name, "a stub passes on only what is imported as itself"
        if home is None:
            assert getattr(mdkit, name) is importlib.import_module(f"mdkit.{name}")
        else:
            module = importlib.import_module(f"mdkit.{home}")
            assert getattr(mdkit, name) is getattr(module, name)


def test_a_name_that_is_not_there_is_an_attribute_error():
    import mdkit

    with pytest.raises(AttributeError, match="mdkit attribute nothing"):
        mdkit.nothing  # noqa: B018


def test_importing_needs_no_key_and_shows_no_warning():
    assert _run("import mdkit; print(mdkit.__version__)", "-W", "error") == ["0.1.0"]
