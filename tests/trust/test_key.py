"""The API key is in nothing that a full run writes, prints, logs, raises or starts."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.outer

KEY = "sk-planted-7f3c9a2e51"
RUN = Path(__file__).with_name("key_run.py")


def environment(exchange, folder):
    return {
        **os.environ,
        "TICKDB_API_KEY": KEY,
        "TICKDB_WS_URL": exchange.ws_url,
        "TICKDB_REST_URL": exchange.rest_url,
        "MDKIT_CACHE": str(folder / "cache"),
        "HOME": str(folder),
        "MPLBACKEND": "agg",
    }


def files_with_the_key(folder):
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and (KEY.encode() in path.read_bytes() or KEY in path.name)
    ]


@pytest.fixture
def process_list():
    """Command lines seen while the test ran that hold the key."""
    found, ended = set(), threading.Event()

    def watch():
        while not ended.wait(0.05):
            for process in psutil.process_iter():
                try:
                    line = " ".join(process.cmdline())
                except psutil.Error:
                    continue
                if KEY in line:
                    found.add(line)

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    ended.set()
    thread.join()


def test_a_full_run_lets_no_key_slip(tmp_path, exchange_process, process_list):
    exchange = exchange_process("AAPL.US", rate=200, api_key=KEY)
    for code in (1003, 1004):
        exchange.inject("unauthorized", code=code)  # the first two connections
    done = subprocess.run(
        [sys.executable, str(RUN), str(exchange.port), str(tmp_path)],
        env=environment(exchange, tmp_path),
        capture_output=True,
        text=True,
        timeout=180,
        cwd=tmp_path,
    )
    (tmp_path / "out.txt").write_text(done.stdout)
    (tmp_path / "err.txt").write_text(done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"done"' in done.stdout
    # It was a full run: data came, keys were refused, a report and recordings were written.
    assert "AuthenticationError" in done.stderr
    assert "no use for Depth" in done.stdout
    assert list(tmp_path.glob("report/*.html"))
    assert list(tmp_path.glob("*.jsonl"))
    assert list((tmp_path / "cache").rglob("*.parquet"))
    assert not files_with_the_key(tmp_path)
    assert not process_list


def test_a_saved_notebook_holds_no_key(tmp_path, exchange_process, process_list):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    exchange = exchange_process("AAPL.US", rate=200, api_key=KEY)
    cells = [
        "import os, mdkit as md\nsession = md.live('AAPL.US', bars='1m').start()\nsession",
        "session.dashboard()",
        "import asyncio\nawait asyncio.sleep(1)\nsession",
        "session.stats(), session.pipeline.source, session.ledger()",
        "md.klines('AAPL.US', '1h', start='2025-01-01')",
        "md.klines('NONE.US', '1h', start='2025-01-01')",
        "await session.stop()",
        "md.live('AAPL.US', api_key='wrong-' + os.environ['TICKDB_API_KEY']).run_blocking(2)",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        book, timeout=60, kernel_name="python3", allow_errors=True, resources={}
    )
    client.execute(env=environment(exchange, tmp_path), cwd=str(tmp_path))
    path = tmp_path / "saved.ipynb"
    nbformat.write(book, path)
    saved = path.read_text()
    assert "AuthenticationError" in saved
    assert "received" in saved
    assert not files_with_the_key(tmp_path)
    assert not process_list
