"""The exchange in a process of its own: starting it, watching it, ending it.

The configuration travels over the child's stdin, because a process list shows arguments and
the configuration may hold a key. The child answers with one line: its port, or why not. It ends
when its stdin does, so it never outlives its parent, however that one dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from mdkit.errors import ExchangeError, MdkitError, RecordingError, SettingsError
from mdkit.exchange.config import ExchangeConfig
from mdkit.machine import in_browser, start_apart

_ERRORS: dict[str, type[MdkitError]] = {
    error.__name__: error for error in (ExchangeError, RecordingError, SettingsError)
}
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 3.0


class Ready(msgspec.Struct):
    """The child's one line: a port, or an error's type and sentence."""

    port: int = 0
    error: str = ""
    message: str = ""


def start_process(config: ExchangeConfig) -> tuple[subprocess.Popen[bytes], int]:
    """Start an exchange's process; return it and its port, or raise what kept it from starting."""
    child = start_apart(
        [sys.executable, "-m", "mdkit.exchange"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "TICKDB_API_KEY"},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    watchdog = threading.Timer(_START_TIMEOUT, child.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        child.stdin.write(msgspec.json.encode(config, enc_hook=str) + b"\n")
        child.stdin.flush()
        line = child.stdout.readline()
        ready = msgspec.json.decode(line, type=Ready)
    except (OSError, msgspec.DecodeError):
        end_process(child)
        raise ExchangeError(
            f"The exchange's process ended before it was ready (exit code {child.returncode}); "
            "its standard error says why. Exchange(process=False) runs without a process."
        ) from None
    except BaseException:
        end_process(child)
        raise
    finally:
        watchdog.cancel()
    if ready.error:
        end_process(child)
        raise _ERRORS.get(ready.error, ExchangeError)(ready.message)
    return child, ready.port


def end_process(child: subprocess.Popen[bytes]) -> None:
    """End an exchange's process: ask, then terminate, then kill. Safe to call twice."""
    if child.stdin is not None and not child.stdin.closed:
        try:
            # A word besides the end of file: a forked worker may hold our end of the pipe open.
            child.stdin.write(b"stop\n")
            child.stdin.close()
        except OSError:
            pass
    for end in (None, child.terminate, child.kill):
        if end is not None:
            end()
        try:
            child.wait(_STOP_TIMEOUT)
            break
        except subprocess.TimeoutExpired:
            continue
    if child.stdout is not None:
        child.stdout.close()


def child_main() -> int:
    """Run the exchange that stdin describes until stdin ends; the child's entry point."""
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        config = msgspec.json.decode(_read_line(), type=ExchangeConfig)
    except msgspec.DecodeError:
        sys.stderr.write(
            "python -m mdkit.exchange is started by mdkit itself and reads its configuration "
            "from standard input; to run an exchange by hand use: python -m mdkit serve\n"
        )
        return 2
    asyncio.run(_serve_child(config))
    return 0


async def _serve_child(config: ExchangeConfig) -> None:
    from mdkit.exchange.server.sockets import ExchangeServer

    server = None
    try:
        server = ExchangeServer(config)
        await server.start()
    except MdkitError as error:
        _say(Ready(error=type(error).__name__, message=str(error)))
        return
    _say(Ready(port=server.port))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(
        target=_watch_parent, args=(lambda: loop.call_soon_threadsafe(ended.set),), daemon=True
    ).start()
    # Made now, while the parent is still on its way back, rather than on its first request.
    _ = server.delivery
    watch = asyncio.create_task(_watch_parent_id(ended))
    await ended.wait()
    watch.cancel()
    await server.stop()


def _say(ready: Ready) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(ready) + b"\n")
    sys.stdout.buffer.flush()


def _read_line() -> bytes:
    """Read stdin up to a newline, unbuffered: a thread will read on from there."""
    parts: list[bytes] = []
    while (part := os.read(0, 65_536)) and not part.endswith(b"\n"):
        parts.append(part)
    return b"".join([*parts, part])


def _watch_parent(ended: Callable[[], Any]) -> None:
    # os.read, not sys.stdin: a thread inside a buffered reader breaks the interpreter's exit.
    try:
        os.read(0, 1)
        ended()
    except (OSError, RuntimeError):
        os._exit(0)


async def _watch_parent_id(ended: asyncio.Event) -> None:
    """End, too, when the parent is gone but a fork of it still holds our stdin open."""
    if sys.platform == "win32":
        return
    parent = os.getppid()
    # Nobody tells a process that its parent died; looking once a second is cheap.
    while os.getppid() == parent:  # noqa: ASYNC110
        await asyncio.sleep(1.0)
    ended.set()


def check_sockets() -> None:
    """Raise `ExchangeError` where there are none to listen at."""
    if in_browser():
        raise ExchangeError(
            "An exchange needs sockets, which Python in a browser has not: "
            'source="simulated" and md.Simulated(...) are the same market without.'
        )
