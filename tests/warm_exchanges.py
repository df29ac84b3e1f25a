"""Exchange processes that serve one test after another: each takes a third of a second to start.

They run what `python -m mdkit.exchange` runs, in a new event loop for each exchange, but wait for
the next configuration where that exits.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys

import msgspec

from mdkit.exchange import process as exchange_process
from mdkit.exchange.config import ExchangeConfig

IDLE = b"idle\n"


class WarmExchanges:
    """Processes that wait for an exchange; `start` takes the place of mdkit's `start_apart`."""

    def __init__(self):
        self.idle: list[subprocess.Popen] = []
        self._start_apart = exchange_process.start_apart

    def start(self, _, **options):
        while self.idle and self.idle[-1].poll() is not None:
            _end(self.idle.pop())
        if self.idle:
            child = self.idle.pop()
        else:
            child = self._start_apart([sys.executable, "-P", __file__], **options)
        child.stdin.write(os.fsencode(os.getcwd()) + b"\n")
        return _Lent(child, self)

    def close(self):
        while self.idle:
            _end(self.idle.pop())


def _end(child):
    child.stdin.close()
    child.wait()
    child.stdout.close()


class _Lent:
    """A `subprocess.Popen` that waits for the next exchange where others would end."""

    def __init__(self, child, owner):
        self._child, self._owner = child, owner
        self.pid, self.kill, self.terminate = child.pid, child.kill, child.terminate
        self.stdin, self.stdout = _Stdin(child.stdin), _Stdout(child.stdout)
        self.returncode = None

    def poll(self):
        if self.returncode is None and self._child.poll() is not None:
            self.returncode = self._child.returncode
            _end(self._child)
        return self.returncode

    def wait(self, timeout=None):
        if self.poll() is not None:
            return self.returncode
        if not select.select([self._child.stdout], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("exchange", timeout)
        if self._child.stdout.readline() == IDLE:
            self.returncode = 0
            self._owner.idle.append(self._child)
            return 0
        self._child.wait(timeout)
        return self.poll()


class _Stdin:
    """A pipe that stays open for the next exchange."""

    def __init__(self, pipe):
        self.write, self.flush = pipe.write, pipe.flush
        self.closed = False

    def close(self):
        self.flush()
        self.closed = True


class _Stdout:
    def __init__(self, pipe):
        self.readline = pipe.readline

    def close(self):
        pass


def _read_folder():
    """Return the first line, and no byte of the configuration behind it."""
    read = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        read += byte
    return read


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while folder := _read_folder():
        os.chdir(folder)
        config = msgspec.json.decode(exchange_process._read_line(), type=ExchangeConfig)
        asyncio.run(exchange_process._serve_child(config))
        if not os.read(0, 16):  # what the exchange has left of "stop\n"
            return
        sys.stdout.buffer.write(IDLE)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
