"""Tables and pages that a session is saved as."""

import pandas as pd
import pytest

import mdkit as md
from mdkit.charts import report


def test_a_spreadsheet_runs_no_text(tmp_path):
    table = pd.DataFrame(
        {
            "symbol": ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "AAPL.US", ""],
            "value": [-1.0, 1.0, 2.0, 3.0, 4.0, float("nan")],
        },
        index=pd.Index(["=a", "b", "c", "d", "e", "f"], name="key"),
    )
    path = tmp_path / "table.csv"
    report.as_csv(table).to_csv(path)
    lines = path.read_text().splitlines()
    assert lines[1] == "'=a,'=HYPERLINK(1),-1.0"
    assert [line.split(",")[1] for line in lines[2:5]] == ["'+1", "'-1", "'@SUM(1)"]
    assert lines[5] == "e,AAPL.US,4.0"
    assert table.symbol.iloc[0] == "=HYPERLINK(1)"


def test_a_picture_that_fails_costs_no_table(tmp_path, monkeypatch):
    source = md.Simulated(["AAPL.US"], speed=0, count=100)
    session = md.live(source=source, strategies=[md.strategies.pressure], name="saved")
    session.run_blocking()

    def fails(session):
        raise ValueError("a picture of nothing")

    monkeypatch.setattr(report, "draw", fails)
    with pytest.warns(UserWarning, match="no chart was drawn: ValueError: a picture of nothing"):
        page = session.save(tmp_path)
    assert (tmp_path / "ledger.csv").exists()
    assert "ledger.csv" in page.read_text()
    assert "overview.png" not in page.read_text()
