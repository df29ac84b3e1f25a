"""When the widget sends, and what: numbered pictures, few of them unanswered."""

import numpy as np
import pytest

from mdkit.canvas import widget as module
from mdkit.canvas.widget import BLIND_INTERVAL, BLIND_SECONDS, UNSEEN_INTERVAL, CanvasWidget


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def widget(clock):
    widget = CanvasWidget()
    widget.sent = []
    widget.send = lambda message, buffers: widget.sent.append((message, buffers))
    yield widget
    widget.close()


def say(widget, **content):
    widget._on_message(widget, content, [])


def test_without_a_page_a_whole_picture_goes_now_and_then(widget, clock):
    assert widget.ready
    widget.send_picture({}, {})
    assert not widget.ready
    clock.now += UNSEEN_INTERVAL
    assert widget.ready
    widget.send_picture({}, {})
    assert [message["anew"] for message, _ in widget.sent] == [True, True]


def test_two_may_be_unanswered_and_a_page_that_cannot_answer_gets_some_all_the_same(widget, clock):
    say(widget, kind="hello")
    for _ in range(2):
        assert widget.ready
        widget.send_picture({}, {})
    assert [message["anew"] for message, _ in widget.sent] == [True, False]
    assert not widget.ready
    say(widget, kind="ack", n=1)
    assert widget.ready
    widget.send_picture({}, {})
    assert not widget.ready
    clock.now += BLIND_SECONDS + 0.01
    assert widget.ready
    widget.send_picture({}, {})
    assert not widget.ready
    clock.now += BLIND_INTERVAL
    assert widget.ready


def test_what_nobody_sees_is_not_sent_and_a_hole_asks_for_everything(widget, clock):
    say(widget, kind="hello")
    widget.send_picture({}, {})
    say(widget, kind="visible", on=False)
    clock.now += 1e6
    assert not widget.ready
    say(widget, kind="visible", on=True)
    assert widget.ready
    say(widget, kind="hole", n=0)
    widget.send_picture({}, {"trades": np.array([[1.0, 2.0], [3.0, 4.0]])})
    message, buffers = widget.sent[-1]
    assert message["anew"]
    assert (message["n"], message["parts"]) == (2, [("trades", 2, 2)])
    assert np.frombuffer(buffers[0], "<f8").tolist() == [1.0, 2.0, 3.0, 4.0]


def test_an_answer_to_a_picture_that_was_never_sent_counts_for_nothing(widget):
    say(widget, kind="hello")
    widget.send_picture({}, {})
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
