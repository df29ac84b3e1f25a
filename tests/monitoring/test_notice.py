"""Notices are shown below the cell in a notebook, and on stderr elsewhere."""

import asyncio
from datetime import UTC, datetime

import pytest

from mdkit.monitoring import notice as module
from mdkit.monitoring.alerts import Notice
from mdkit.monitoring.notice import notices_html, shown_notices


def _notice(text):
    return Notice("default", "gap", text, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), {})


def test_in_a_script_a_notice_is_a_line_on_stderr(capsys):
    asyncio.run(shown_notices()(_notice("1 gap")))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "03:04:05 mdkit session 'default', gap: 1 gap\n")


def test_in_a_notebook_a_box_holds_the_last_five(monkeypatch):
    pytest.importorskip("IPython")
    shown = []
    monkeypatch.setattr(module, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    show = shown_notices()
    for n in range(7):
        asyncio.run(show(_notice(f"gap number {n}")))
    (box,) = shown
    assert [n for n in range(7) if f"gap number {n}<" in box.value.replace(" <", "<")] == [
        2,
        3,
        4,
        5,
        6,
    ]
    assert box.value.index("number 6") < box.value.index("number 2")
    box.close()


def test_what_a_notice_says_is_text_and_no_page():
    html = notices_html([_notice("<script>alert(1)</script>")])
    assert "<script>" not in html
    assert 'role="alert"' in html
