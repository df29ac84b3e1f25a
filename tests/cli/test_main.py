"""The command line as a stranger runs it: output, files, exit codes, no traceback ever."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest
import requests

import mdkit as md
from mdkit.session.opening import named

pytestmark = pytest.mark.outer

LONG = ("--seconds", "90")
"""For a command that ends sooner, when it has shown what it should."""


@pytest.fixture
def recording(tmp_path, depth_message):
    path = tmp_path / "small.jsonl"
    lines = [
        b"%d\t%b\n" % (1_700_000_000_000_000_000 + n * 1_000_000, depth_message(symbol, n))
        for n in range(300)
        for symbol in ("A", "B")
    ]
    path.write_bytes(b"".join(lines))
    return path


def test_version_and_help(shell):
    assert shell("--version") == (0, f"mdkit {md.__version__}\n", "")
    code, out, _ = shell("--help")
    assert code == 0
    assert all(command in out for command in ("demo", "serve", "doctor"))


@pytest.mark.parametrize("more", [[], ["--scenario", "open", "--opening", "500"]])
def test_demo_shows_pressure_and_ends_with_ledger_and_chart(cli, tmp_path, more):
    code, out, err = cli("demo", *LONG, "--out", "out", *more, until="pressure AAPL.US")
    assert (code, err) == (0, "")
    assert "pressure AAPL.US" in out
    assert "msg/s" in out
    assert "Where every message went" in out
    assert "the ledger balances" in out
    assert "overview.png" in out
    assert (tmp_path / "out" / "overview.png").read_bytes().startswith(b"\x89PNG")
    for table in ("ledger.csv", "signals.csv"):
        assert (tmp_path / "out" / table).stat().st_size > 0


def test_demo_plays_a_recording_to_its_end(either, recording):
    code, out, err = either("demo", "--replay", recording, "--speed", "0.5", "--out", "out")
    assert (code, err) == (0, "")
    assert "600 messages in" in out
    assert "600 processed" in out


def test_demo_says_that_its_recording_was_cut_off(cli, tmp_path, recording):
    (tmp_path / "cut.jsonl").write_bytes(recording.read_bytes()[:-10])
    code, out, err = cli("demo", "--replay", "cut.jsonl", "--speed", "0", "--out", "out")
    assert (code, err) == (0, "")
    assert "599 processed" in out
    assert "cut.jsonl: its last line was cut off" in out


def test_demo_loses_nothing_of_a_recording_played_at_full_speed(cli, tmp_path, depth_message):
    path = tmp_path / "large.jsonl"
    count = 30_000
    path.write_bytes(
        b"".join(b"%d\t%b\n" % (1 + n, depth_message("A", n, 10)) for n in range(count))
    )
    code, out, err = cli("demo", "--replay", path, "--speed", "0", "--out", "out")
    assert (code, err) == (0, "")
    assert f"{count:,} processed" in out


def test_doctor_reports_and_never_shows_the_key(either, monkeypatch):
    monkeypatch.setenv("TICKDB_API_KEY", "sk-secret-1")
    code, out, err = either("doctor")
    assert code in (0, 1)
    assert err == ""
    assert code == int(any(line.startswith("!") for line in out.splitlines()))
    for name in ("python", "mdkit", "websockets", "numba", "ipykernel", "event loop", "chromium"):
        assert name in out
    assert "TICKDB_API_KEY       set" in out
    assert "sk-secret-1" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["demo", "--scenario", "nothing"], 1, "scenario='nothing' is unknown"),
        (["serve", "--scenario", "nothing"], 1, "scenario='nothing' is unknown"),
        (["serve", "--opening", "1000"], 1, "use it with scenario='open'"),
        (["demo", "--replay", "absent.jsonl"], 1, "no recording absent.jsonl"),
        (["serve", "--replay", "absent.jsonl"], 1, "no recording absent.jsonl"),
        (["demo", "--symbols", "A A"], 1, "'A A' is not a symbol"),
        (["demo", "--symbols", ","], 1, "symbols is empty"),
        (["demo", "--strategy", "nope.py:lean"], 1, "There is no file nope.py"),
        (["demo", "-s", "SmaCross"], 1, 'add an interval to fold trades into, such as bars="1m"'),
        (["demo", "--fault", "drp@2"], 1, "fault 'drp' is unknown; the faults are disconnect"),
        (["serve", "--fault", "stall@1,duration"], 1, "write kind@seconds,name=value"),
        (["serve", "--fault", "drop@soon"], 1, "at='soon' is not a number"),
        (["lab", "nowhere"], 1, "There is no folder nowhere"),
        (["backtest", "-s", "fast=3"], 1, "a parameter is given by --set fast=3 (or -p)"),
        (["backtest", "A.US", "B.US"], 1, "A.US and B.US are more than one"),
        (["demo", "--speed", "-1"], 1, "speed=-1"),
        (["demo", "--seconds", "0"], 2, "0.1"),
        (["serve", "--port", "70000"], 2, "65535"),
        (["nothing"], 2, "No such command"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence_with_an_exit_code(cli, arguments, code, told):
    found, out, err = cli(*arguments)
    assert found == code
    assert told in err
    if code == 1:
        assert err.startswith("mdkit: ")
        assert err.count("\n") == 1
        assert out == ""


@pytest.mark.parametrize("command", ["demo", "serve"])
@pytest.mark.parametrize("content", [b"hello\n", b"", b"\x1f\x8b broken", b"\x89PNG\r\n\x00\xff"])
def test_a_file_that_is_no_recording_is_told(cli, tmp_path, command, content):
    (tmp_path / "file").write_bytes(content)
    code, _, err = cli(command, "--replay", "file")
    assert code == 1
    assert err.startswith("mdkit: file ")
    assert err.count("\n") == 1


@pytest.fixture
def my_file(tmp_path):
    path = tmp_path / "my_file.py"
    path.write_text(
        "import mdkit as md\n"
        "@md.strategy('depth')\n"
        "def lean(book, levels=3):\n"
        "    return md.imbalance(book, levels)\n"
        "@md.strategy('bar')\n"
        "class Always:\n"
        "    much: float = 1.0\n"
        "    def __call__(self, bar):\n"
        "        return self.much\n"
    )
    return path


def test_strategies_of_your_own_file_are_watched_backtested_and_swept(cli, my_file, bar_file):
    code, out, err = cli("demo", *LONG, "--strategy", "my_file.py:lean", until="lean AAPL.US")
    assert (code, err) == (0, "")
    assert "lean AAPL.US" in out
    assert "pressure" not in out
    bars = ("--file", bar_file, "--engine", "python")
    code, out, err = cli("backtest", "my_file.py:Always", *bars, "-p", "much=0.5")
    assert (code, err) == (0, "")
    assert "Always(much=0.5)" in out
    assert "mdkit-backtest/backtest.png" in out
    code, out, err = cli("backtest", "-s", "my_file.py:Always", *bars)
    assert (code, "Always(much=1.0)" in out) == (0, True), err
    code, out, err = cli(
        *("sweep", "my_file.py:Always", "--file", bar_file),
        *("-p", "much=0.5,1", "--metric", "return"),
    )
    assert (code, "2 combinations" in out) == (0, True), err
    code, out, err = cli("backtest", "AAPL.US", "my_file.py:Always", "MSFT.US")
    assert (code, "AAPL.US and MSFT.US are more than one" in err) == (1, True)


def test_a_fault_on_the_command_line_happens(cli):
    def is_broken(_):
        session = named("demo")
        return session is not None and len(session.gaps()) > 0

    code, out, err = cli("demo", *LONG, "--fault", "disconnect@0.5,code=1013", until=is_broken)
    assert (code, err) == (0, "")
    assert " 0 gaps" not in out


def test_serve_takes_faults():
    command = [sys.executable, "-m", "mdkit", "serve", "--port", "0", "--fault", "drop@2.0"]
    command += ["--fault", "stall@4,duration=1.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        try:
            lines = [serving.stdout.readline() for _ in range(4)]
            url = next(line.split()[-1] for line in lines if line.startswith("control"))
            told = requests.get(url, headers={"X-Mdkit-Control": "1"}, timeout=10).json()
            assert told["faults_pending"] == 2
        finally:
            serving.terminate()
            serving.communicate(timeout=10)


def test_serve_speaks_a_venues_dialect():
    command = [sys.executable, "-m", "mdkit", "serve", "--port", "0", "--venue", "binance"]
    command += ["--symbols", "BTC/USD", "--fault", "lost_diff@60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        try:
            lines = [serving.stdout.readline() for _ in range(3)]
            base = next(line.split()[-1] for line in lines if line.startswith("REST"))
            params = {"symbol": "BTCUSDT"}
            book = requests.get(base + "/api/v3/depth", params=params, timeout=10).json()
            assert len(book["bids"]) == 100
        finally:
            serving.terminate()
            serving.communicate(timeout=10)


def test_lab_passes_everything_else_to_jupyter(tmp_path, monkeypatch):
    from mdkit.cli.main import _lab_command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    root = f"--ServerApp.root_dir={tmp_path}"
    assert _lab_command(["--port", "9999"])[3:] == [root, "--port", "9999"]
    (tmp_path / "notebooks").mkdir()
    assert _lab_command([])[3:] == [f"{root}/notebooks"]
    assert _lab_command([".", "--no-browser"])[3:] == [root, "--no-browser"]
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert _lab_command([".", "--ip=0.0.0.0"])[3:] == [root, "--allow-root", "--ip=0.0.0.0"]
    assert _lab_command([".", "--allow-root"])[3:] == [root, "--allow-root"]


def test_lab_starts_jupyter_with_them(shell):
    jupyterlab = pytest.importorskip("jupyterlab")
    code, out, _ = shell("lab", "--version")
    assert (code, out.strip()) == (0, jupyterlab.__version__)


def test_a_port_that_is_taken_is_told(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = cli("serve", "--port", port)
    assert code == 1
    assert f"127.0.0.1:{port}" in err


def test_an_output_folder_that_cannot_be_is_told(cli, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = cli("demo", "--seconds", "0.5", "--out", "file")
    assert code == 1
    assert "file" in err


def test_a_refused_key_exits_3(shell):
    code = """
import mdkit.cli.terminal as terminal
from mdkit.venues.tickdb.codes import classify
from mdkit.cli.main import main
def refuse(*args):
    raise classify(1001)
terminal.run_demo = refuse
main(["demo"])
"""
    found, _, err = shell(code=code)
    assert found == 3
    assert "1001" in err


def test_serve_refuses_whoever_does_not_send_the_key():
    command = [sys.executable, "-m", "mdkit", "serve", "--port", "0", "--key", "open sesame"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        try:
            lines = [serving.stdout.readline() for _ in range(4)]
            base = next(line.split()[-1] for line in lines if line.startswith("REST"))
            assert "sesame" not in "".join(lines)
            url = f"{base}/market/depth?symbol=AAPL.US"
            answers = [
                requests.get(url, headers=headers, timeout=10).json()["code"]
                for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": "open sesame"})
            ]
            assert answers == [1002, 1001, 0]
        finally:
            serving.terminate()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_serves_until_it_is_told_to_stop(until, number):
    child = subprocess.Popen(
        [sys.executable, "-m", "mdkit", "serve", "--port", "0", "--symbols", "AAPL.US"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    async def use(url):
        async with md.live(["AAPL.US"], source=url, name="serve") as session:
            await until(lambda: session.ledger()["processed"].sum() > 5)
            child.send_signal(number)
            await until(lambda: child.poll() is not None)

    try:
        url = child.stdout.readline().split()[1]
        assert url.startswith("ws://127.0.0.1:")
        asyncio.run(use(url))
        _, err = child.communicate(timeout=30)
    finally:
        child.kill()
        child.communicate()
    assert (child.returncode, err) == (0, "")


# -- history ------------------------------------------------------------------------------------


@pytest.fixture
def bar_file(tmp_path):
    """A file of 200 hourly bars that rise and fall."""
    path = tmp_path / "bars.csv"
    rows = ["time,open,high,low,close,volume"]
    for i in range(200):
        price = 100 + 10 * (i % 40 if i % 80 < 40 else 40 - i % 40) / 40
        stamp = f"2026-01-{1 + i // 24:02d}T{i % 24:02d}:00:00Z"
        rows.append(f"{stamp},{price},{price + 1},{price - 1},{price + 0.5},10")
    path.write_text("\n".join(rows))
    return path


def test_backtest_writes_what_it_found(shell, tmp_path, bar_file):
    out = tmp_path / "out"
    code, shown, errors = shell(
        *("backtest", "--file", str(bar_file), "--set", "fast=3", "--set", "slow=8"),
        *("--fee", "0.001", "--engine", "python", "--out", str(out)),
    )
    assert code == 0, errors
    assert "SmaCross(fast=3, slow=8" in shown
    assert "engine: python" in shown
    assert {"backtest.png", "backtest.html", "trades.csv"} <= {p.name for p in out.iterdir()}


def test_sweep_shows_the_best_first(cli, tmp_path, bar_file):
    out = tmp_path / "out"
    code, shown, errors = cli(
        *("sweep", "--file", str(bar_file), "--set", "fast=2,3,5", "--set", "slow=8,13"),
        *("--metric", "return", "--out", str(out)),
    )
    assert code == 0, errors
    assert "6 combinations" in shown
    figures = [float(line.split()[-1]) for line in shown.splitlines()[1:7]]
    assert figures == sorted(figures, reverse=True)
    assert (out / "sweep.png").stat().st_size > 1000


def test_klines_are_written_where_asked(cli, tmp_path, bar_file):
    out = tmp_path / "bars.parquet"
    code, shown, errors = cli(
        "klines", "AAPL.US", "--source", "demo", "--limit", "5", "--out", str(out)
    )
    assert code == 0, errors
    assert "5 bars of AAPL.US, 1h" in shown
    assert out.stat().st_size > 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("backtest", "--strategy", "Nope"), "--strategy Nope is unknown; choose from SmaCross"),
        (("backtest", "--set", "fast"), "--set fast is not usable: write name=value"),
        (("sweep",), "A sweep needs values to try"),
        (("backtest", "--file", "nowhere.csv"), "nowhere.csv"),
        (("klines", "AAPL.US", "--interval", "7m", "--source", "demo"), "7m"),
    ],
)
def test_wrong_history_commands_are_one_sentence(cli, arguments, told):
    code, _, errors = cli(*arguments)
    assert code == 1
    assert told in errors
