"""The recorder: what is given is in the file or counted as lost, whatever happens."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading

import pytest

from mdkit.errors import RecordingError, SessionError, SettingsError
from mdkit.recording import format as mark
from mdkit.recording.file.recording_file import RecordingFile
from mdkit.recording.file.writer import RecordingWriter, part_path
from mdkit.recording.reading.info import recording_info
from mdkit.recording.recorder.recorder import Recorder

T0 = 1_700_000_000_000_000_000


def batch(first, count, size=100):
    return [(b'{"n":%d,"x":"%b"}' % (n, b"x" * size), T0 + n) for n in range(first, first + count)]


def read(*paths):
    return [item for path in paths for item in RecordingFile(path) if isinstance(item, tuple)]


@pytest.fixture
def recorder(tmp_path):
    """`recorder("name", ...)` starts a recorder, which is closed at the end."""
    made = []

    def make(name="a.jsonl", *, counts=None, on_problem=None, **options):
        made.append(Recorder(tmp_path / name, **options))
        made[-1].start("test", ["A"], counts=counts, on_problem=on_problem)
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def stuck(monkeypatch):
    """A disk on which writing waits for `stuck.set()`."""
    free = threading.Event()
    write = RecordingWriter.write

    def wait_and_write(self, lines, messages):
        if lines:
            free.wait()
        write(self, lines, messages)

    monkeypatch.setattr(RecordingWriter, "write", wait_and_write)
    yield free
    free.set()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_is_given_is_in_the_file(recorder, suffix):
    if suffix == ".zst":
        pytest.importorskip("zstandard", reason="zstandard is not installed")
    made = recorder(f"new/folder/a.jsonl{suffix}")
    assert made.running
    for first in range(0, 5000, 50):
        made.write(batch(first, 50))
        made.mark(mark.Connected(first))
    made.close()
    made.close()
    assert not made.running
    items = list(RecordingFile(made.path))
    assert read(made.path) == batch(0, 5000)
    assert items[0].source == "test"
    assert items[0].symbols == ("A",)
    assert [item.at for item in items if isinstance(item, mark.Connected)] == [*range(0, 5000, 50)]
    assert items[-1] == mark.End(5000)
    assert (made.messages, made.lost, made.flushed) == (5000, 0, 5000)
    assert made.bytes == made.path.stat().st_size
    assert made.waiting_bytes == 0
    assert "closed: 5,000 messages" in repr(made)
    if os.name == "posix":
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600


def test_line_breaks_do_not_tear_a_message(recorder):
    made = recorder()
    made.write([(b'{"a":\n1,\r\n"b":2}', T0), (b"", T0 + 1), (b"x\r", T0 + 2)])
    made.write([(b"\n", T0 + 3), (b"y", T0 + 3)])
    made.write([])
    made.write([(b"", T0 + 4), (b"", T0 + 4), (b"z", T0 + 4)])
    made.close()
    assert read(made.path) == [
        (b'{"a": 1,  "b":2}', T0),
        (b"", T0 + 1),
        (b"x ", T0 + 2),
        (b" ", T0 + 3),
        (b"y", T0 + 3),
        (b"", T0 + 4),
        (b"", T0 + 4),
        (b"z", T0 + 4),
    ]


def test_it_is_on_the_disk_a_moment_later_without_closing(recorder, wait_until):
    made = recorder("a.jsonl.gz")
    made.write(batch(0, 10))
    wait_until(lambda: made.flushed == 10)
    assert read(made.path) == batch(0, 10)


@pytest.mark.parametrize("name", ["a.csv", "a.PARQUET", "a.jsonl.zip"])
def test_a_name_of_other_files_is_refused(tmp_path, name):
    with pytest.raises(SettingsError, match=r"would not be .* such as market\.jsonl\.gz"):
        Recorder(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_file_is_never_written_over_unless_told(tmp_path, recorder):
    path = tmp_path / "a.jsonl"
    path.write_text("precious")
    with pytest.raises(
        SettingsError, match=r"a\.jsonl exists.*md\.Recorder\('.*a\.jsonl', overwrite=True\)"
    ):
        Recorder(path)
    assert path.read_text() == "precious"
    made = recorder("a.jsonl", overwrite=True)
    made.write(batch(0, 1))
    made.close()
    assert read(path) == batch(0, 1)
    late = Recorder(tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").write_text("precious")
    with pytest.raises(SettingsError, match="exists"):
        late.start()


@pytest.mark.parametrize(
    "options", [{"rotate_bytes": 0}, {"rotate_seconds": -1.0}, {"limit_bytes": 0}]
)
def test_arguments_that_cannot_work_are_refused(tmp_path, options):
    with pytest.raises(SettingsError, match=next(iter(options))):
        Recorder(tmp_path / "a.jsonl", **options)


def test_a_folder_that_cannot_be_made_is_told_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="could not be written"):
        Recorder(tmp_path / "file" / "a.jsonl").start()


def test_it_runs_once(recorder, tmp_path):
    made = recorder()
    with pytest.raises(SessionError, match="started before"):
        made.start()
    made.close()
    for use in (lambda: made.write(batch(0, 1)), lambda: made.mark(mark.Connected(0))):
        with pytest.raises(SessionError, match="not running"):
            use()
    with pytest.raises(SessionError, match="not running"):
        Recorder(tmp_path / "b.jsonl").write([])


def test_parts_have_headers_bases_and_ends(recorder, wait_until):
    given = 0

    def counts():
        return [("A", "depth", given, given - 1 if given else 0)]

    made = recorder("a.b.jsonl", rotate_bytes=2000, counts=counts)
    while len(made.paths) < 4:
        made.write(batch(given, 100))
        given += 100
        wait_until(lambda: made.waiting_bytes == 0)
    made.close()
    names = ["a.b.jsonl", "a.b.1.jsonl", "a.b.2.jsonl", "a.b.3.jsonl"]
    assert [path.name for path in made.paths] == names
    assert read(*made.paths) == batch(0, given)
    before = 0
    for number, path in enumerate(made.paths):
        file = RecordingFile(path)
        items = list(file)
        assert (file.header.part, file.faults) == (number, [])
        assert file.header.id == RecordingFile(made.paths[0]).read_header().id
        bases = [item for item in items if isinstance(item, mark.Base)]
        assert bases == ([mark.Base("A", "depth", before, before - 1)] if before else [])
        assert file.end == mark.End(file.messages, continued=number < 3)
        before += file.messages


def test_parts_by_time_skip_names_that_are_taken(recorder, tmp_path, wait_until):
    (tmp_path / "a.1.jsonl").write_text("precious")
    made = recorder("a.jsonl", rotate_seconds=1e-6)
    made.write(batch(0, 1))
    wait_until(lambda: len(made.paths) == 2)
    assert made.paths[1].name == "a.2.jsonl"
    assert (tmp_path / "a.1.jsonl").read_text() == "precious"


def test_names_of_parts(tmp_path):
    assert part_path(tmp_path / "a", 1).name == "a.1"
    assert part_path(tmp_path / "a.b.jsonl.gz", 12).name == "a.b.12.jsonl.gz"
    assert part_path(tmp_path / "a.zst", 2).name == "a.2.zst"


def test_a_slow_disk_costs_messages_of_the_recording_which_are_counted(recorder, stuck, wait_until):
    problems = []
    given = 0
    made = recorder(
        limit_bytes=50_000,
        counts=lambda: [("A", "depth", given, given)],
        on_problem=problems.append,
    )
    while not made.lost:
        made.write(batch(given, 10))
        given += 10
        assert made.waiting_bytes <= 50_000
    kept = given - 10
    for _ in range(5):
        made.write(batch(given, 10))
        given += 10
    assert (made.messages, made.lost) == (kept, 60)
    assert len(problems) == 1
    assert "The disk is too slow" in str(problems[0])
    assert made.problem is problems[0]
    stuck.set()
    wait_until(lambda: made.waiting_bytes == 0)
    made.write(batch(given, 10))
    made.close()
    assert read(made.path) == batch(0, kept) + batch(given, 10)
    items = list(RecordingFile(made.path))
    position = items.index(mark.Lost(60, "the disk was too slow", 2 + given))
    assert items[position - 1] == batch(kept - 1, 1)[0]
    assert items[position + 1] == mark.Base("A", "depth", given, given)
    assert items[-1] == mark.End(kept + 10, lost=60)


def test_markers_are_bounded_too(recorder, stuck):
    made = recorder(limit_bytes=10_000)
    for n in range(1000):
        made.mark(mark.Connected(n))
    assert made.waiting_bytes < 21_000


_FULL_DISK = """
import json, random, resource, sys, time
from mdkit.recording.recorder.recorder import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
recorder = Recorder(sys.argv[1])
problems = []
recorder.start(on_problem=lambda error: problems.append(str(error)))
given, chance = 0, random.Random(1)
while not problems:
    recorder.write([(b'{"x":"%b"}' % chance.randbytes(100).hex().encode(), n + 1)
                    for n in range(given, given + 20)])
    given += 20
    time.sleep(0.001)
recorder.write([(b"{}", 1)])
recorder.close()
print(json.dumps([given, recorder.messages, recorder.lost, recorder.bytes, problems,
                  recorder.running, repr(recorder)]))
"""


@pytest.mark.outer
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_full_disk_ends_the_recording_and_keeps_what_is_written(tmp_path, suffix):
    pytest.importorskip("resource", reason="file-size limits are a Unix matter")
    path = tmp_path / f"a.jsonl{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    given, messages, lost, size, problems, running, shown = json.loads(done.stdout)
    assert len(problems) == 1
    assert "could not be written" in problems[0]
    assert not running
    assert "failed" in shown
    assert messages + lost == given + 1
    assert [stamp for _, stamp in read(path)] == [*range(1, messages + 1)]
    assert path.stat().st_size == size <= 40_000
    assert "no end marker" in faults_of(path)


def faults_of(path):
    file = RecordingFile(path)
    list(file)
    return "; ".join(file.faults)


_KILLED = """
import sys, time
from mdkit.recording.recorder.recorder import Recorder
recorder = Recorder(sys.argv[1], rotate_bytes=int(sys.argv[2]) or None)
recorder.start()
given = 0
while True:
    recorder.write([(b'{"n":%d,"x":"%b"}' % (n, b"z" * (n * 7919 % 300)), n + 1)
                    for n in range(given, given + 25)])
    given += 25
    print(given, recorder.flushed, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.outer
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a Unix matter")
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_it_reads_to_the_last_whole_line(tmp_path, seed):
    chance = random.Random(seed)
    path = tmp_path / ("a.jsonl.gz" if seed % 2 else "a.jsonl")
    rotate = 20_000 if seed >= 4 else 0
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path), str(rotate)], stdout=subprocess.PIPE, text=True
    )
    with child:
        for _ in range(chance.randrange(1, 700)):
            given, flushed = map(int, child.stdout.readline().split())
        child.send_signal(signal.SIGKILL)
        for line in child.stdout:
            if line.endswith("\n"):
                given, flushed = map(int, line.split())
    # By name: the last part may not even hold its header, which tells the number too.
    parts = sorted(tmp_path.iterdir(), key=lambda p: int((re.findall(r"\d+", p.name) or [0])[0]))
    found = [stamp for _, stamp in read(*parts)]
    assert found == [*range(1, len(found) + 1)]
    assert flushed <= len(found) <= given + 25
    assert not recording_info(parts).complete
    if RecordingFile(parts[-1]).read_header().id:  # else not even its header was written
        assert "no end marker" in faults_of(parts[-1])


@pytest.mark.outer
def test_a_recorder_that_nobody_closes_is_finished_at_exit(tmp_path):
    path = tmp_path / "a.jsonl"
    code = (
        "import sys; from mdkit.recording.recorder.recorder import Recorder;"
        "r = Recorder(sys.argv[1]); r.start(); r.write([(b'{}', 1)] * 1000)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
    file = RecordingFile(path)
    assert len(read(path)) == 1000
    assert list(file)[-1] == mark.End(1000)


def test_what_is_no_message_is_refused_and_the_recording_goes_on(recorder):
    made = recorder()
    with pytest.raises(RecordingError, match=r"takes \(bytes, time in ns\) pairs.*str found"):
        made.write([(b"{}", T0), ("text", T0)])
    made.write(batch(0, 1))
    made.close()
    assert made.messages == 1
