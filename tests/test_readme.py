"""The README's Python runs as it stands, only shorter, and says what the README says it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.outer

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_readme_runs(code, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    if "import mdkit" not in code:
        exec("import mdkit as md", namespace)
    if "gaps()" not in code:  # a reconnect may take its second, and must be seen
        code = re.sub(r"run_blocking\(\d+\)", "run_blocking(3)", code)
    exec(code, namespace)
    if "print(receipt)" in code:
        shown = capsys.readouterr().out
        assert "the ledger balances" in shown
        assert "AAPL.US depth" in shown
    if 'md.Fault("drop"' in code:
        assert "connection lost without a close frame" in capsys.readouterr().out
    if "md.replay(" in code:
        shown = capsys.readouterr().out
        assert "closed by the server" in shown
        assert "python = replay = replay with 4 workers" in shown


def test_the_readme_names_files_that_exist():
    for name in re.findall(
        r"(?:python |\()((?:tests|data|notebooks)/[\w./-]+)", README.read_text()
    ):
        assert (README.parent / name).exists(), name
