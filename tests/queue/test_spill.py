"""Overflow to disk: first in, first out, bounded, and gone at the end."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdkit.errors import SpillQuotaError
from mdkit.queue import spill
from mdkit.queue.spill import SpillFile

HEADER = 24
records = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=40),
    st.integers(0, 2**64 - 1),
)


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(spill, "_SEGMENT_BYTES", 100)


@pytest.fixture
def file():
    made = SpillFile()
    yield made
    made.close()


@pytest.mark.usefixtures("small_segments")
@settings(suppress_health_check=["function_scoped_fixture"])
@given(st.lists(records | st.integers(0, 12), max_size=60))
def test_first_in_first_out_across_segments(steps):
    file, model, peak = SpillFile(), [], 0
    try:
        for step in steps:
            if isinstance(step, tuple):
                file.append(*step)
                model.append(step)
            else:
                taken = list(file.take(step))
                assert taken == model[:step]
                del model[:step]
            size = sum(HEADER + len(raw) for _, _, raw, _ in model)
            peak = max(peak, size)
            assert len(file) == len(model)
            assert list(file.places()) == [place for *_, place in model]
            assert file.unread_bytes == size
            assert file.peak_bytes == peak
            if file.folder:
                on_disk = sum(path.stat().st_size for path in Path(file.folder).iterdir())
                assert on_disk <= size + 300  # what has been read is soon off the disk
        assert list(file.take(1000)) == model
        assert not file
    finally:
        file.close()


@pytest.mark.usefixtures("small_segments")
def test_a_segment_is_deleted_when_its_last_record_has_been_read(file):
    for number in range(50):
        file.append(number, 0, bytes(84))
    assert len(list(Path(file.folder).iterdir())) == 50
    list(file.take(26))
    assert len(list(Path(file.folder).iterdir())) <= 25


def test_nothing_is_created_before_the_first_record(file):
    assert file.folder is None
    assert list(file.take(5)) == []
    assert file.folder is None


def test_the_quota_bounds_what_is_unread_and_says_what_to_do():
    file = SpillFile(quota_bytes=3 * (HEADER + 4))
    try:
        for number in range(3):
            file.append(number, 0, b"four")
        with pytest.raises(SpillQuotaError, match=r"3 messages \(84 bytes\).*84 bytes.*QUOTA"):
            file.append(3, 0, b"")
        assert len(file) == 3
        assert [key for key, *_ in file.take(1)] == [0]
        file.append(3, 0, b"four")
        assert [key for key, *_ in file.take(9)] == [1, 2, 3]
    finally:
        file.close()


def test_a_quota_of_zero_takes_nothing(file):
    file.quota_bytes = 0
    with pytest.raises(SpillQuotaError):
        file.append(0, 0, b"")
    assert file.folder is None


def test_close_removes_the_files_and_can_be_called_twice(file):
    file.append(1, 2, b"three")
    folder = Path(file.folder)
    assert folder.is_dir()
    file.close()
    assert not folder.exists()
    assert len(file) == 0
    assert file.unread_bytes == 0
    file.close()
    file.append(4, 5, b"six")  # and it can be used again
    assert list(file.take(2)) == [(4, 5, b"six", 0)]
