"""Words, comparisons and functions mean what they say; anything else is refused with a cure."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.errors import SettingsError
from mdkit.monitoring.conditions import _EVENTS, _LEVELS, condition
from mdkit.monitoring.figures import NUMBERS, Figures
from mdkit.redaction import hide

QUIET = Figures(
    **dict.fromkeys(NUMBERS, 0),
    connected=True,
    failing=False,
    failed="",
    ended=False,
    last_gap="",
)
SIGNS = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@pytest.mark.parametrize(
    ("word", "changed", "said"),
    [
        ("disconnected", {"connected": False}, "there is no connection"),
        ("stale", {"stale": 12.34}, "the feed has been silent for 12.3 s"),
        ("failing", {"failing": True}, "most of the last messages became dead letters"),
        ("blocked", {"lag": 0.75}, "the event loop was late by 0.8 s"),
        ("failed", {"failed": "KeyError: x"}, "the session failed: KeyError: x"),
        ("ended", {"ended": True}, "the session has ended"),
        ("gap", {"gaps": 1, "last_gap": "A depth: silent"}, "1 gap, the last of A depth: silent"),
        ("loss", {"lost": 1200}, "1,200 messages dropped or conflated"),
        ("dead_letter", {"dead_letters": 1}, "1 dead letter"),
    ],
)
def test_a_word_holds_when_its_figure_says_so(word, changed, said):
    waits = condition(word, None, QUIET)
    assert waits(QUIET) == ""
    assert waits(replace(QUIET, **changed)) == said
    assert waits.text == word


def test_every_word_is_tried_above():
    tried = test_a_word_holds_when_its_figure_says_so.pytestmark[0].args[1]
    assert {word for word, *_ in tried} == {*_LEVELS, *_EVENTS}


def test_events_count_from_when_they_were_asked_for_and_from_when_they_were_told():
    waits = condition("gap", None, replace(QUIET, gaps=5))
    assert waits(replace(QUIET, gaps=5)) == ""
    after = replace(QUIET, gaps=8, last_gap="B trade: lost")
    assert waits(after) == "3 gaps, the last of B trade: lost"
    assert waits.was_told(after)
    assert waits(after) == ""
    assert waits(replace(QUIET, gaps=9)).startswith("1 gap")


@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(sorted(SIGNS)),
    st.floats(-100, 100).map(lambda x: round(x, 2)),
    st.floats(-100, 100).map(lambda x: round(x, 2)),
    st.sampled_from(["", " ", "  "]),
)
def test_a_comparison_compares(name, sign, limit, value, space):
    waits = condition(f"{space}{name}{space}{sign}{space}{limit}{space}", None, QUIET)
    said = waits(replace(QUIET, **{name: value}))
    assert bool(said) == SIGNS[sign](value, limit)
    assert not said or said.startswith(f"{name} is ")


def test_a_function_is_called_with_the_session_and_a_text_says_itself():
    session = object()
    seen = []

    def late(given):
        seen.append(given)
        return "key sk-very-secret is late"

    hide("sk-very-secret")
    waits = condition(late, session, QUIET)
    assert waits(QUIET) == "key *** is late"
    assert seen == [session]
    assert waits.text == "late"
    assert condition(lambda _: 1, None, QUIET)(QUIET) == "<lambda> holds"
    assert condition(lambda _: 0, None, QUIET)(QUIET) == ""


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("gpa", "did you mean.*gap"),
        ("qeue > 0.8", "'qeue' is no figure of a session: did you mean.*queue"),
        ("queue > many", "'many' is no number to compare queue with"),
        ("queue > nan", "'nan' is no number"),
        ("queue >", "is no condition"),
        ("", "is no condition"),
        (3, "when=3 is no condition"),
        (None, "when=None is no condition"),
    ],
)
def test_what_means_nothing_is_refused_with_a_cure(when, said):
    with pytest.raises(SettingsError, match=said):
        condition(when, None, QUIET)


async def _later(_):
    return False


def test_what_must_be_awaited_is_no_condition():
    with pytest.raises(SettingsError, match="_later is a coroutine function"):
        condition(_later, None, QUIET)
    hidden = condition(lambda session: _later(session), None, QUIET)
    with pytest.raises(SettingsError, match="answers with something to wait for"):
        hidden(QUIET)
