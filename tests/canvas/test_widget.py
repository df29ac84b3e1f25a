"""When the widget sends, and what: numbered pictures, few of them unanswered."""

import re
from pathlib import Path

import numpy as np
import pytest

from mdkit.canvas import widget as module
from mdkit.canvas.widget import (
    ANSWER_SECONDS,
    BLIND_INTERVAL,
    BLIND_SECONDS,
    SHARING,
    UNANSWERED,
    UNSEEN_INTERVAL,
    CanvasWidget,
)


@pytest.fixture
def clock(monkeypatch, hand_clock):
    monkeypatch.setattr(module, "time", hand_clock)
    return hand_clock


@pytest.fixture
def widget(clock):
    widget = CanvasWidget()
    widget.sent = []
    widget.send = lambda message, buffers: widget.sent.append((message, buffers))
    yield widget
    widget.close()


def send(widget, **parts):
    widget.send_picture(lambda anew: ({}, parts))


def say(widget, **content):
    widget._on_message(widget, content, [])


def test_without_a_page_a_whole_picture_goes_now_and_then(widget, clock):
    assert widget.ready
    send(widget)
    assert not widget.ready
    clock.now += UNSEEN_INTERVAL
    assert widget.ready
    send(widget)
    assert [message["anew"] for message, _ in widget.sent] == [True, True]


def sent_while_ready(widget, clock, seconds):
    """Send pictures, one each so many seconds, for as long as the widget is ready."""
    before = len(widget.sent)
    while widget.ready:
        send(widget)
        clock.now += seconds
        assert len(widget.sent) < 100
    return [message["asks"] for message, _ in widget.sent[before:]]


def test_two_answers_may_be_outstanding_and_each_slow_picture_asks_for_one(widget, clock):
    say(widget, kind="hello")
    assert sent_while_ready(widget, clock, ANSWER_SECONDS) == [True, True]
    assert [message["anew"] for message, _ in widget.sent] == [True, False]
    say(widget, kind="ack", n=1)
    assert sent_while_ready(widget, clock, ANSWER_SECONDS) == [True]
    say(widget, kind="ack", n=3)
    assert sent_while_ready(widget, clock, ANSWER_SECONDS) == [True, True]


@pytest.mark.parametrize("seconds", [0.0, 1 / 60, 1 / 30])
def test_pictures_that_follow_each_other_closely_share_an_answer(widget, clock, seconds):
    say(widget, kind="hello")
    assert sent_while_ready(widget, clock, seconds) == [True, False, False, False] * 2
    say(widget, kind="ack", n=4)  # the page may have taken in more than was asked about
    assert sent_while_ready(widget, clock, seconds) == [True, False, False, False]
    say(widget, kind="ack", n=9)
    assert sent_while_ready(widget, clock, seconds) == [True, False, False, False] * 2


def test_a_page_that_cannot_answer_gets_some_pictures_all_the_same(widget, clock):
    say(widget, kind="hello")
    sent_while_ready(widget, clock, ANSWER_SECONDS)
    clock.now += BLIND_SECONDS + 0.01
    for _ in range(5):
        assert widget.ready
        send(widget)
        assert not widget.ready
        clock.now += BLIND_INTERVAL
    say(widget, kind="ack", n=widget.number)
    assert sent_while_ready(widget, clock, ANSWER_SECONDS) == [True, True]


def test_everything_anew_asks_for_an_answer_at_once(widget, clock):
    say(widget, kind="hello")
    sent_while_ready(widget, clock, 0.0)
    say(widget, kind="hole", n=3)
    assert sent_while_ready(widget, clock, 0.0) == [True, False, False, False] * 2


def test_what_nobody_sees_is_not_sent_and_a_hole_asks_for_everything(widget, clock):
    say(widget, kind="hello")
    send(widget)
    say(widget, kind="visible", on=False)
    clock.now += 1e6
    assert not widget.ready
    say(widget, kind="visible", on=True)
    assert widget.ready
    say(widget, kind="hole", n=0)
    send(widget, trades=np.array([[1.0, 2.0], [3.0, 4.0]]))
    message, buffers = widget.sent[-1]
    assert message["anew"]
    assert (message["n"], message["parts"]) == (2, [("trades", 2, 2)])
    assert np.frombuffer(buffers[0], "<f8").tolist() == [1.0, 2.0, 3.0, 4.0]


def test_who_asks_for_everything_while_a_picture_is_collected_gets_it_with_the_next(widget):
    say(widget, kind="hello")
    send(widget)

    def collect(anew):
        say(widget, kind="hole", n=0)  # in another thread, at that moment
        return {}, {}

    widget.send_picture(collect)
    send(widget)
    assert [message["anew"] for message, _ in widget.sent] == [True, False, True]


def test_everything_is_asked_for_still_where_it_could_not_be_collected(widget):
    say(widget, kind="hello")

    def fail(anew):
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        widget.send_picture(fail)
    send(widget)
    assert [message["anew"] for message, _ in widget.sent] == [True]


def test_the_page_waits_for_what_is_under_way_before_it_tells_of_a_hole_again():
    store = Path(module.__file__).with_name("static").joinpath("store.js").read_text()
    under_way = re.search(r"const UNDER_WAY = (\d+);", store)
    assert int(under_way[1]) == UNANSWERED * SHARING


def test_an_answer_to_a_picture_that_was_never_sent_counts_for_nothing(widget):
    say(widget, kind="hello")
    send(widget)
    say(widget, kind="ack", n=99)
    assert widget.acked == widget.number == 1


def test_a_closed_widget_leaves_nothing_behind():
    import ipywidgets

    before = len(ipywidgets.widgets.widget._instances)
    widget = CanvasWidget()
    assert len(ipywidgets.widgets.widget._instances) > before
    widget.close()
    widget.close()
    assert len(ipywidgets.widgets.widget._instances) == before
