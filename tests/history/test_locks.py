"""The lock between processes: exclusive, let go of by the dead, and an OSError where it fails."""

import subprocess
import sys
import threading

import filelock
import pytest

from mdkit.history.locks import locked

HOLDS = """
import sys, time
from pathlib import Path
from mdkit.history.locks import locked
with locked(Path(sys.argv[1]), 5.0):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.outer
def test_a_process_that_is_killed_lets_go(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        told = r"lock has been locked by another process for 0\.05 s"
        with pytest.raises(TimeoutError, match=told), locked(path, 0.05):
            pass
        holder.kill()
    with locked(path, 5.0):
        pass


def test_threads_exclude_each_other(tmp_path):
    path, inside, most = tmp_path / "lock", [], []

    def work():
        for _ in range(20):
            with locked(path, 30.0):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80


def test_it_is_free_after_an_error(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(KeyError), locked(path, 1.0):
        raise KeyError
    with locked(path, 0.0):
        pass


def test_a_place_without_locks_is_an_os_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "lock", 1.0):
        pass

    class Refusing(filelock.FileLock):
        def acquire(self, *args, **options):
            raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock, "FileLock", Refusing)
    told = pytest.raises(OSError, match="lock cannot be locked: FileSystem")
    with told, locked(tmp_path / "lock", 1.0):
        pass
