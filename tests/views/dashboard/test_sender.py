"""Pictures of a session: everything for a page that has nothing, and then what is new."""

import asyncio
from types import SimpleNamespace

import pytest

from mdkit.canvas.widget import CanvasWidget
from mdkit.pipeline.pipeline import Pipeline
from mdkit.views.dashboard.sender import PictureSender


@pytest.fixture
def sender(list_source):
    """The sender of a session that has not begun; `sender.sent` is what a page would get."""

    async def main():
        return Pipeline(list_source([]))

    pipeline = asyncio.run(main())
    session = SimpleNamespace(name="s", pipeline=pipeline, symbols=("A",), loop=None)
    widget = CanvasWidget()
    sender = PictureSender(
        session, widget, hz=30, levels=5, symbol="A", player=None, at_end=lambda: None
    )
    sender.sent = []
    widget.send = lambda message, buffers: sender.sent.append(message)
    say(sender, "hello")
    yield sender
    widget.close()


def say(sender, kind):
    sender.widget._on_message(sender.widget, {"kind": kind}, [])


def while_collecting(sender, monkeypatch, do):
    """Do something, once, in the middle of collecting what is next."""
    parts = sender.collector.parts

    def collect(anew):
        monkeypatch.undo()
        found = parts(anew)
        do()
        return found

    monkeypatch.setattr(sender.collector, "parts", collect)


def is_whole(message):
    return message["anew"] and {"symbol", "sentence", "steps"} <= message["head"].keys()


def test_what_could_not_be_collected_is_whole_with_the_next_picture(sender, monkeypatch):
    def fail():
        raise OSError("full")

    while_collecting(sender, monkeypatch, fail)
    with pytest.raises(OSError, match="full"):
        sender.send_last()
    sender.send_last()
    sender.send_last()
    assert [is_whole(message) for message in sender.sent] == [True, False]
    assert sender.pictures == 2


def test_a_page_that_asks_while_a_picture_is_collected_gets_a_whole_one_next(sender, monkeypatch):
    sender.send_last()
    while_collecting(sender, monkeypatch, lambda: say(sender, "hole"))
    for _ in range(3):
        sender.send_last()
    assert [is_whole(message) for message in sender.sent] == [True, False, True, False]
    assert not sender.sent[1]["anew"]


@pytest.mark.parametrize(
    ("subscriptions", "may"),
    [
        ({}, True),
        ({("depth", "A"): None}, False),
        ({("depth", "A"): None, ("trade", "B"): None}, True),
    ],
)
def test_a_page_knows_where_no_trades_are_to_come(sender, subscriptions, may):
    sender.session.pipeline.source.subscriptions = subscriptions
    sender.send_last()
    assert sender.sent[-1]["head"]["may_trade"] is may
