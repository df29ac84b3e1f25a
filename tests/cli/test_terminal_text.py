"""What a terminal and plain IPython show of things that are made for notebooks."""

import base64

import pytest
from IPython.core.formatters import DisplayFormatter

import mdkit as md
from mdkit.views.ladder import LadderView

_WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def session():
    made = md.live(source=md.Simulated(["A"], scenario="busy", count=500), name="text")
    made.run_blocking()
    return made


@pytest.fixture
def formatter():
    """What `ipython` shows a cell's value with: no kernel, no browser."""
    return DisplayFormatter(active_types=["text/plain"])


SHOWN = [
    (lambda s: s.dashboard(), "Dashboard of session 'text'", "print(session.explain())"),
    (lambda s: s.live_frame("depth", "A"), "depth A", "session.frame('depth', 'A', last=10)"),
    (lambda s: s.view(LadderView()), "Order book", "print(session.explain())"),
]


@pytest.mark.parametrize(("make", "what", "instead"), SHOWN)
def test_a_line_says_what_it_is_and_what_to_do(session, formatter, make, what, instead):
    shown = make(session)
    bundle = shown._repr_mimebundle_()
    assert repr(shown) == str(shown) == bundle["text/plain"]
    assert bundle[_WIDGET]["model_id"] or shown._closed
    formatted, _ = formatter.format(shown)
    for text in (repr(shown), formatted["text/plain"]):
        assert what.casefold() in text.casefold()
        assert instead in text
        assert "python -m mdkit lab" in text
        assert "\n" not in text
        assert " object at 0x" not in text
        assert "<div" not in text


def test_the_dashboards_picture_is_in_its_bundle(session):
    bundle = session.dashboard()._repr_mimebundle_()
    assert "mdkit-dashboard-still" in bundle["text/html"]
    assert base64.b64decode(bundle["image/png"])[1:4] == b"PNG"


def test_plain_ipython_shows_a_receipt_as_its_sentence(session, formatter):
    formatted, _ = formatter.format(session.receipt)
    assert formatted["text/plain"] == str(session.receipt)
