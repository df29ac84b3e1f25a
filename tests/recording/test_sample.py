"""The recording that comes with mdkit is found in an installation and in a clone."""

import pytest

import mdkit as md
from mdkit.errors import RecordingError
from mdkit.recording import sample


def test_the_sample_is_what_its_description_says():
    info = md.recording_info(md.sample())
    assert info.complete
    assert info.messages == 1859
    assert set(info.symbols) == {"AAPL.US", "MSFT.US"}
    assert set(info.channels) == {"depth", "trade"}
    assert int(info.seconds) == 14


def test_an_installation_has_it_in_the_package_and_that_one_is_taken_first(monkeypatch, tmp_path):
    package = tmp_path / "mdkit"
    package.mkdir()
    monkeypatch.setattr(sample, "_PACKAGE", package)
    with pytest.raises(RecordingError, match="missing: install mdkit again"):
        sample.sample()
    clone = tmp_path / "data" / "sample.jsonl.gz"
    clone.parent.mkdir()
    clone.touch()
    assert sample.sample() == clone
    installed = package / "sample.jsonl.gz"
    installed.touch()
    assert sample.sample() == installed
