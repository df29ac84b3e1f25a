"""The edge rule, against a naive statement of it over whole histories."""

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from mdkit.monitoring.episodes import Episodes, Step

LOOKS = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60)
COOLDOWNS = st.integers(0, 20)


def _play(looks, cooldown):
    """Return the steps, with the time of each look; times never fall."""
    episodes, now, played = Episodes(cooldown), 0, []
    for holds, later in looks:
        now += later
        played.append((now, holds, episodes.look(holds, now)))
    return played


def _runs(played):
    """Return the maximal runs of looks at which the condition holds."""
    return [list(run) for holds, run in groupby(played, key=lambda look: look[1]) if holds]


@given(LOOKS, COOLDOWNS)
def test_an_episode_begins_with_each_run_and_is_told_at_most_once(looks, cooldown):
    played = _play(looks, cooldown)
    for run in _runs(played):
        assert [step.begins for *_, step in run] == [True] + [False] * (len(run) - 1)
        assert sum(step.tells for *_, step in run) <= 1
    assert all(not step.begins and not step.tells for _, holds, step in played if not holds)


@given(LOOKS, COOLDOWNS)
def test_it_is_told_at_its_first_look_outside_the_cooldown_and_only_there(looks, cooldown):
    last = None
    for run in _runs(_play(looks, cooldown)):
        allowed = [now for now, *_ in run if last is None or now - last >= cooldown]
        told = [now for now, _, step in run if step.tells]
        assert told == allowed[:1]
        last = told[0] if told else last


@given(LOOKS, COOLDOWNS)
def test_what_passes_untold_says_so_once(looks, cooldown):
    played = _play(looks, cooldown)
    untold = [run for run in _runs(played) if not any(step.tells for *_, step in run)]
    is_open = bool(played) and played[-1][1]
    ended = len(untold) - (is_open and not any(s.tells for *_, s in _runs(played)[-1]))
    assert sum(step.passes for *_, step in played) == ended


@given(LOOKS)
def test_without_a_cooldown_every_episode_is_told_when_it_begins(looks):
    for *_, step in _play(looks, 0):
        assert step.tells == step.begins
        assert not step.passes


def test_events_that_are_closed_begin_again_at_the_next_look():
    episodes = Episodes(10)
    assert episodes.look(True, 0) == Step(begins=True, tells=True)
    episodes.close()
    assert episodes.look(True, 3) == Step(begins=True)
    assert episodes.look(True, 9) == Step()
    assert episodes.look(True, 10) == Step(tells=True)
