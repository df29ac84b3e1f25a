"""Worker processes: started, given their strategies, ended."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import io
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import cloudpickle

from mdkit.channels.channel import Channel
from mdkit.errors import SessionError, SettingsError
from mdkit.machine import start_apart
from mdkit.processes.protocol import TOKEN_BYTES, Ready, Setup, pack, unpack
from mdkit.queue.channel import Lane, Message
from mdkit.strategies.contract import FunctionStrategy, Strategy
from mdkit.venues.codec import Codec
from mdkit.workers.watchdog import Held

_START_TIMEOUT = 30.0
_END_TIMEOUT = 5.0


@dataclass
class Process:
    """One worker process, as the session sees it."""

    number: int
    child: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    aside: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    """What its watchdog tells comes here, past a loop that stands still."""
    outstanding: dict[int, tuple[Lane[Channel], list[Message[Channel]]]] = field(
        default_factory=dict
    )
    """Batches by number: the lane, and the messages."""
    given: int = 0
    """Messages in the outstanding batches."""
    room: asyncio.Event = field(default_factory=asyncio.Event)
    memory_bytes: int | None = None
    held: Held | None = None
    """The strategy that does not return, until it does."""
    ended: bool = False


async def start_process(number: int, setup: Setup, symbols: Callable[[], Sequence[str]]) -> Process:
    """Start a worker process that is ready for batches.

    Raises `SettingsError` when it cannot run the strategies, `SessionError` when it does not
    start.
    """
    secret = secrets.token_bytes(TOKEN_BYTES)
    # First the way for batches, then the one for the watchdog.
    arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    opened: list[asyncio.StreamWriter] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            token = await reader.readexactly(TOKEN_BYTES)
            if hmac.compare_digest(token, secret):
                writer.write(secret[::-1])
                arrived.put_nowait((reader, writer))
                return
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, limit=1 << 24)
    port = server.sockets[0].getsockname()[1]
    child = await asyncio.to_thread(_spawn, port, secret)
    try:
        reader, writer = await asyncio.wait_for(arrived.get(), _START_TIMEOUT)
        aside = await asyncio.wait_for(arrived.get(), _START_TIMEOUT)
        process = Process(number, child, reader, writer, aside)
        ready_setup = setup._replace(symbols=tuple(symbols()))
        writer.write(pack(ready_setup))
        ready: Ready = await asyncio.wait_for(unpack(reader), _START_TIMEOUT)
    except BaseException as error:
        child.kill()
        for writer in opened:
            writer.close()
        await asyncio.to_thread(child.wait)
        if isinstance(error, TimeoutError | asyncio.IncompleteReadError):
            raise SessionError(
                f"Worker process {number} did not start (exit code {child.returncode}); its "
                'standard error says why. worker_kind="task" needs no processes.'
            ) from None
        raise
    finally:
        server.close()
    if ready.error:
        await end_process(process)
        raise SettingsError(
            f"Worker process {number} cannot run the strategies ({ready.error}): what they "
            "use must be importable there as well."
        )
    return process


async def end_process(process: Process) -> None:
    """End a worker process, and wait for that."""
    process.writer.close()
    process.aside[1].close()
    child = process.child
    if not process.ended:
        child.kill()
    gone = asyncio.ensure_future(asyncio.to_thread(child.wait, _END_TIMEOUT))
    try:
        await asyncio.shield(gone)
    except subprocess.TimeoutExpired:
        child.kill()
        await asyncio.to_thread(child.wait)
    except asyncio.CancelledError:
        child.kill()  # whoever stops in a hurry still leaves no thread that waits
        await gone
        raise


def make_setup(
    strategies: Sequence[Strategy],
    codec: Codec,
    *,
    interval: str | None,
    made_of: str,
    max_retries: int,
    on_error: str,
    allow_nonpositive: bool,
) -> Setup:
    """Return what worker processes are to run. Raises `SettingsError` when that cannot go there."""
    return Setup(
        tuple(sys.path),
        pickled(strategies),
        dumps(codec),
        (),
        interval,
        made_of,
        max_retries,
        on_error,
        allow_nonpositive=allow_nonpositive,
    )


def pickled(strategies: Sequence[Strategy], otherwise: str = 'use worker_kind="task"') -> bytes:
    """Return strategies as they go to other processes; `otherwise` is what to do if they cannot.

    Raises `SettingsError` that names the one which cannot go.
    """
    for strategy in strategies:
        try:
            dumps(strategy)
        except Exception as error:
            raise SettingsError(
                f"Strategy {strategy.name} cannot go to a worker process ({error}): keep open "
                f"files, locks and connections out of it, or {otherwise}."
            ) from None
    return dumps(tuple(strategies))


def dumps(thing: Any) -> bytes:
    """Pickle what goes to another process, where nobody could import what a script defines."""
    into = io.BytesIO()
    _Pickler(into).dump(thing)
    return into.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, CodeType):
            # cloudpickle leaves out in which file code stands, which messages should name.
            make, parts = self.dispatch_table[CodeType](thing)
            return _in_file, (make, parts, thing.co_filename)
        if isinstance(thing, FunctionStrategy) and thing.function.__module__ == "__main__":
            return thing.by_value()
        return super().reducer_override(thing)


def _in_file(make: Callable[..., CodeType], parts: tuple[Any, ...], file: str) -> CodeType:
    return make(*parts).replace(co_filename=file)


def _spawn(port: int, secret: bytes) -> subprocess.Popen[bytes]:
    child = start_apart(
        [sys.executable, "-m", "mdkit.processes.worker", str(port)],
        stdin=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "TICKDB_API_KEY"},
    )
    assert child.stdin is not None
    child.stdin.write(secret)
    child.stdin.close()
    return child
