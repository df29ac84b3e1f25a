"""The commands on recordings, as typed: what they print, write, and refuse."""

from __future__ import annotations

import resource
import socket

import pytest
import typer
from typer.testing import CliRunner

from mdkit.cli import recordings
from mdkit.errors import MdkitError, RecordingError, SessionError, SettingsError
from mdkit.recording.reading.info import recording_info


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """`cli("info", ...)` runs a command in an empty folder; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    for command in (recordings.record, recordings.replay, recordings.info):
        app.command()(command)

    def run(*arguments, exit_code=0):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        run.output = done.output
        if isinstance(done.exception, MdkitError):
            raise done.exception
        assert done.exit_code == exit_code, done.output
        return done.output

    return run


@pytest.fixture
def recording(tmp_path, depth_message):
    path = tmp_path / "small.jsonl"
    lines = [
        b"%d\t%b\n" % (1_700_000_000_000_000_000 + n * 1_000_000, depth_message(symbol, n, 5))
        for n in range(300)
        for symbol in ("A", "B")
    ]
    path.write_bytes(b"".join(lines))
    return path


def test_what_was_recorded_is_told_and_replayed(cli, tmp_path):
    options = ("--source", "simulated", "--seconds", 1, "--out", "a/b.gz")
    out = cli("record", "AAPL.US,MSFT.US", *options)
    info = recording_info(tmp_path / "a" / "b.gz")
    assert info.complete
    assert set(info.symbols) == {"AAPL.US", "MSFT.US"}
    assert set(info.channels) == {"depth", "trade"}
    assert f"<Recorder a/b.gz closed: {info.messages:,} messages" in out
    assert "recording a/b.gz" in out
    assert repr(info).replace(str(tmp_path) + "/", "") in cli("info", "a/b.gz")
    replayed = cli("replay", "a/b.gz", "--speed", 0)
    assert f"{info.messages:,} processed" in replayed
    assert "AAPL.US pressure" in replayed


def test_a_replay_takes_strategies_symbols_and_a_folder(cli, recording, tmp_path):
    options = ("-s", "spread_monitor", "-s", "pressure", "--symbols", "A", "--out", "report")
    out = cli("replay", recording, "--speed", 0, *options)
    assert "300 processed" in out
    assert (tmp_path / "report" / "report.html").exists()
    assert "100 messages" in cli(
        "replay", recording, "--speed", 0, "--symbols", "A", "--start", "2023-11-14 22:13:20.2"
    )


def test_patterns_and_paced_replay(cli, recording):
    assert "600 messages in" in cli("replay", recording.parent / "*.jsonl", "--speed", 0.5)
    assert "messages     600" in cli("info", recording.parent / "*.jsonl")


@pytest.mark.outer
def test_a_recording_that_fails_exits_with_1_and_says_why(cli):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        out = cli(
            "record", "--source", "demo", "--seconds", 600, "--out", "full.jsonl", exit_code=1
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "full.jsonl ended because it could not be written (File too large)" in out
    assert "<Recorder full.jsonl failed" in out


@pytest.mark.outer
def test_signals_are_summed_up_beyond_those_that_are_kept(cli, tmp_path):
    path = tmp_path / "many.jsonl"
    count = 100_500
    raw = '{"cmd":"depth","data":{"symbol":"A","bids":[["100","5"]],"asks":[["101","1"]]}}'
    path.write_text("".join(f"{1_700_000_000_000_000_000 + n}\t{raw}\n" for n in range(count)))
    out = cli("replay", path, "--speed", 0)
    row = next(line for line in out.splitlines() if line.startswith("A "))
    assert row.split() == ["A", "pressure", str(count), "1", "1", "1"]
    assert f"{count:,} signals" in out


def test_strategies_of_bars_need_bars(cli, tmp_path):
    path = tmp_path / "trades.jsonl"
    began = 1_699_999_980_000
    text = '{"cmd":"trade","data":{"symbol":"A","trades":[{"id":"%d","price":"%d","quantity":"1",'
    text += '"side":"buy","timestamp":%d}]}}'
    trades = [(n, 100 + n % 7, began + n * 20_000) for n in range(200)]
    path.write_text("".join(f"{t[2]}000000\t{text % t}\n" for t in trades))
    with pytest.raises(SettingsError, match=r"--strategy SmaCross is one of bars.*--bars 1m"):
        cli("replay", path, "--speed", 0, "-s", "SmaCross")
    assert "SmaCross" in cli("replay", path, "--speed", 0, "-s", "SmaCross", "--bars", "1m")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--start", "2030-01-01"), "ends at 2023-11-14 22:13:20.299 UTC, before 2030-01-01"),
        (("--symbols", "C"), "played no message about C"),
    ],
)
def test_a_replay_of_nothing_says_so_and_fails(cli, recording, options, why):
    with pytest.raises(SessionError, match=r"Nothing was played of .*small\.jsonl"):
        cli("replay", recording, "--speed", 0, *options)
    assert why in cli.output


@pytest.mark.parametrize(
    ("content", "why", "said"),
    [
        (b"", ": it holds no market message", ""),
        (b'1\t{"cmd":"dep', "", "its last line was cut off after 13 bytes"),
    ],
)
def test_a_replay_of_an_empty_file_says_so_and_fails(cli, tmp_path, content, why, said):
    (tmp_path / "empty.jsonl").write_bytes(content)
    with pytest.raises(SessionError, match=rf"Nothing was played of empty\.jsonl{why}"):
        cli("replay", "empty.jsonl", "--speed", 0)
    assert said in cli.output


@pytest.mark.outer
def test_recording_a_server_that_is_not_there_says_so_and_fails(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: it refuses
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SessionError, match=r"Nothing was recorded: .*connection refused, try"):
            cli("record", "AAPL.US", "--source", url, "--seconds", 2.5, "--out", "x.jsonl")
    assert "s  not connected: connection refused, try" in cli.output
    assert cli.output.count("FeedError") == 1


@pytest.mark.parametrize("out", [[], ["--out", "mine"]])
def test_recordings_go_into_the_folder_that_the_help_names_or_the_one_given(cli, tmp_path, out):
    (tmp_path / "mine").mkdir()
    cli("record", "AAPL.US", "--source", "simulated", "--seconds", 1, *out)
    folder = tmp_path / (out[1] if out else "mdkit-record")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", folder.name}
    assert [path.name[-9:] for path in folder.iterdir()] == [".jsonl.gz"]


def test_what_cannot_work_is_told(cli, recording):
    with pytest.raises(RecordingError, match="no recording nowhere"):
        cli("info", "nowhere")
    with pytest.raises(SettingsError, match="--strategy Nope is unknown; choose from pressure"):
        cli("replay", recording, "--strategy", "Nope")
    with pytest.raises(SettingsError, match="is not a time"):
        cli("replay", recording, "--start", "soon")
    with pytest.raises(SettingsError, match=r"small\.jsonl exists.*--overwrite"):
        cli("record", "--source", "demo", "--out", recording)
    with pytest.raises(SettingsError, match="channel 'bars' does not exist"):
        cli("record", "--channels", "bars", "--out", "new.jsonl")
