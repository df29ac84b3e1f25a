"""When `mdkit demo` is at the end of a recording."""

from types import SimpleNamespace

import pytest

from mdkit.cli import terminal


@pytest.mark.parametrize("comes", [True, False])
def test_a_playback_ends_with_its_last_message_not_before(comes, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: now[0]))
    said = {"finished": False, "sent_total": 10}
    totals = {"received": 10}
    exchange = SimpleNamespace(statistics=lambda: said)
    ledger = SimpleNamespace(totals=lambda: totals)
    playback = terminal._Playback(
        exchange, SimpleNamespace(pipeline=SimpleNamespace(ledger=ledger))
    )
    assert not playback.is_over()
    said.update(finished=True, sent_total=30)
    assert not playback.is_over()
    now[0] += 1.9
    totals["received"] = 20
    assert not playback.is_over()  # something has come meanwhile
    now[0] += 1.9
    assert not playback.is_over()
    if comes:
        totals["received"] = 30
    else:  # it was lost with a connection, say
        now[0] += 0.2
    assert playback.is_over()
