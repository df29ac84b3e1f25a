"""The README's Python runs, until something has come, and says what the README says it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mdkit as md
from mdkit.venues.registry import VENUES

pytestmark = pytest.mark.outer

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def kraken(monkeypatch):
    """`source="kraken"` is the embedded exchange that speaks Kraken's wire."""
    with md.Exchange(["BTC/USD", "ETH/USD"], venue="kraken") as exchange:
        here = md.venue("kraken", ws_url=exchange.ws_url, rest_url=exchange.rest_url)
        monkeypatch.setitem(VENUES, "kraken", here)
        yield


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_readme_runs(code, capsys, monkeypatch, tmp_path, kraken, wait_until):
    def run(session):
        session.start()
        wait_until(lambda: len(session.ledger()) == 2 and (session.ledger()["received"] > 9).all())
        return session.stop()

    monkeypatch.chdir(tmp_path)
    namespace = {"run": run}
    exec(re.sub(r"session\.run_blocking\(\d+\)", "run(session)", code), namespace)
    totals = namespace["session"].receipt.totals
    assert totals["received"] == totals["processed"] > 0
    if 'source="kraken"' in code:
        assert set(namespace["session"].frame("depth")["symbol"]) == {"BTC/USD", "ETH/USD"}
    if "print(receipt)" in code:
        shown = capsys.readouterr().out
        assert "the ledger balances" in shown
        assert "AAPL.US depth" in shown


def test_the_readme_is_short_and_names_what_exists():
    assert len(TEXT.splitlines()) <= 150
    for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", TEXT):
        assert (README.parent / link).exists(), link


def test_what_the_readme_says_of_sessions_and_events_is_there():
    for name in re.findall(r"`(?:session\.)?(\w+)\(", TEXT.split("## Ten lines")[1]):
        assert hasattr(md.Session, name), name
    events = {"book": md.Depth, "trade": md.Trade, "ticker": md.Ticker, "bar": md.Bar}
    for event, field in re.findall(r"`(book|trade|ticker|bar)\.(\w+)", TEXT):
        assert field in events[event].__struct_fields__, (event, field)
