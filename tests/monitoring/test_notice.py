"""Notices are shown below the cell in a notebook, and on stderr elsewhere."""

import asyncio
from datetime import UTC, datetime

import pytest

from mdkit.monitoring import notice as module
from mdkit.monitoring.alerts import Notice
from mdkit.monitoring.notice import Notices, notices_html


def _notice(text):
    return Notice("default", "gap", text, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), {})


def test_in_a_script_a_notice_is_a_line_on_stderr(capsys):
    asyncio.run(Notices()(_notice("1 gap")))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "03:04:05 mdkit session 'default', gap: 1 gap\n")


def test_in_a_notebook_one_output_holds_the_last_five(monkeypatch):
    pytest.importorskip("IPython")
    outputs = {}

    def shown(data, raw, display_id):
        assert raw
        outputs[display_id] = data

    def changed(data, raw, display_id):
        assert display_id in outputs
        shown(data, raw, display_id)

    monkeypatch.setattr(module, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown)
    monkeypatch.setattr("IPython.display.update_display", changed)
    show = Notices()
    (bundle,) = outputs.values()
    assert bundle["text/plain"] == "No alert so far."
    show.show()
    assert list(outputs.values()) == [bundle], "nothing changes without a notice"
    for n in range(7):
        asyncio.run(show(_notice(f"gap number {n};")))
    (bundle,) = outputs.values()
    for text in bundle.values():
        assert [n for n in range(7) if f"gap number {n};" in text] == [2, 3, 4, 5, 6]
    assert bundle["text/html"].index("number 6;") < bundle["text/html"].index("number 2;")


def test_what_a_notice_says_is_text_and_no_page():
    html = notices_html([_notice("<script>alert(1)</script>")])
    assert "<script>" not in html
    assert 'role="alert"' in html


@pytest.mark.outer
@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_a_notebook_keeps_the_notice_of_an_alert(runner, tmp_path):
    """In a real kernel, and saved as a program that runs notebooks saves it."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat.v4")
    begin = f"""
import asyncio
import mdkit as md
session = md.live(source="simulated", runner="{runner}")
session.alert("received > 5")
session.start();
"""
    wait = "while not (session.alerts()['state'] == 'told').any(): await asyncio.sleep(0.02)"
    cells = [nbformat.new_code_cell(code) for code in (begin, wait, "await session.stop();")]
    notebook = nbformat.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    (shown,) = (
        output.data
        for output in notebook.cells[0].outputs
        if "mdkit session 'default', received > 5" in output.get("data", {}).get("text/plain", "")
    )
    assert 'role="alert"' in shown["text/html"]
