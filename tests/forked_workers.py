"""Worker processes forked from one that has imported what they need: 30 ms each, not a second.

They are processes with a memory, a death and an exit code of their own, and run what
`python -m mdkit.processes.worker` runs. That takes long to start in tests: a strategy of a test is
found by importing the test's module there, with pytest, pandas and all.
"""

from __future__ import annotations

import gc
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import warnings

from mdkit.processes import process as worker_process

_LARGEST_REQUEST = 1 << 20


class ForkedWorkers:
    """Starts worker processes; `start` takes the place of mdkit's `start_apart`."""

    def __init__(self):
        self.server: subprocess.Popen | None = None
        self._control: socket.socket | None = None
        self._started: list[_Forked] = []
        self._start_apart = worker_process.start_apart
        self._lock = threading.Lock()  # processes of one session are started side by side

    def start(self, arguments, *, stdin, env):
        if sys.platform != "linux":  # where a process with threads may not be forked
            return self._start_apart(arguments, stdin=stdin, env=env)
        assert arguments[:-1] == [sys.executable, "-m", "mdkit.processes.worker"]
        assert stdin == subprocess.PIPE
        with self._lock:
            return self._fork(arguments[-1], env)

    def _fork(self, port, env):
        if self.server is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self.server = self._start_apart([sys.executable, "-P", __file__], stdin=theirs)
        stdin, into_stdin = os.pipe()
        status, into_status = os.pipe()
        request = json.dumps([port, os.getcwd(), env]).encode()
        socket.send_fds(self._control, [request], [stdin, into_status])
        os.close(stdin)
        os.close(into_status)
        self._started = [forked for forked in self._started if forked.poll() is None]
        self._started.append(_Forked(os.fdopen(into_stdin, "wb"), status))
        return self._started[-1]

    def running(self):
        """Return the ids of the processes that have not ended."""
        return {forked.pid for forked in self._started if forked.poll() is None}

    def close(self):
        if self.server is not None:
            self._control.close()
            self.server.wait()


class _Forked:
    """A `subprocess.Popen` of a process whose parent is the server, which tells what became of it.

    Its status says two lines: the id, and once it has ended the exit code.
    """

    def __init__(self, stdin, status):
        self.stdin, self._status = stdin, status
        self.pid = self._read_number()
        self.returncode = None
        self._reading = threading.Lock()

    def poll(self):
        return self._look(0)

    def wait(self, timeout=None):
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired("worker", timeout)
        return self.returncode

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _look(self, timeout):
        # Left open when it is read: another thread may be waiting for it.
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            with self._reading:
                if self.returncode is None:
                    self.returncode = self._read_number()
        return self.returncode

    def _read_number(self):
        read = b""
        while (byte := os.read(self._status, 1)) not in (b"", b"\n"):
            read += byte
        return int(read)

    def __del__(self):
        os.close(self._status)


def _serve():
    """Fork at each request; return what to run in the child, None in the server at its end."""
    import pandas  # noqa: F401
    import pytest  # noqa: F401

    from mdkit.processes import worker

    gc.collect()
    gc.freeze()
    waiting = selectors.DefaultSelector()
    control = socket.socket(fileno=0)
    waiting.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not control:
                _, code = os.waitpid(key.data[0], 0)
                os.write(key.data[1], b"%d\n" % os.waitstatus_to_exitcode(code))
                os.close(key.data[1])
                waiting.unregister(key.fileobj)
                os.close(key.fileobj)
                continue
            request, passed, *_ = socket.recv_fds(control, _LARGEST_REQUEST, 2)
            if not request:
                return None
            port, folder, env = json.loads(request)
            stdin, status = passed
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                pid = os.fork()  # Python 3.12 and newer warn of threads, which numpy has
            if pid == 0:
                for held in waiting.get_map().values():
                    if held.data is not None:
                        os.close(held.fileobj)
                        os.close(held.data[1])
                waiting.close()
                control.detach()
                os.dup2(stdin, 0)
                os.close(stdin)
                os.close(status)
                os.setpgid(0, 0)
                os.chdir(folder)
                os.environ.clear()
                os.environ.update(env)
                sys.path.insert(0, folder)
                sys.argv = [worker.__file__, port]
                return worker.main
            os.close(stdin)
            os.write(status, b"%d\n" % pid)
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))


if __name__ == "__main__":
    run = _serve()
    sys.exit(run() if run is not None else 0)
