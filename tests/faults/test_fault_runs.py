"""A few of the schedules that `python -m tests.faults --schedules 200` runs."""

import pytest
from fault_plans import make_plan
from fault_runs import run_plan
from venue_runs import run

from mdkit.venues.registry import VENUES

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("idle machine")]

# Between them both dialects and runners, all overflow policies, recordings, processes, names
# that cannot be looked up, and a burst.
SEEDS = (2, 4, 7, 8, 9, 12)


@pytest.fixture
def warm_exchanges():
    """Start a process for every exchange: what a schedule leaves behind is looked at."""
    return


@pytest.fixture
def forked_workers():
    """Start worker processes, too, as users do."""
    return


@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_lives_through_a_schedule_of_faults(seed, tmp_path):
    plan = make_plan(seed, 2.0)
    outcome = run_plan(plan, tmp_path)
    again = f"python -m tests.faults --seed {seed} --seconds 2"
    assert not outcome.complaints, f"{plan}\n{again}\n" + "\n".join(outcome.complaints)
    assert outcome.messages
    assert outcome.connects >= 2


def test_a_plan_is_its_seeds():
    assert make_plan(3, 2.0) == make_plan(3, 2.0) != make_plan(4, 2.0)


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_a_schedule_of_faults_of_each_venue_holds(venue):
    plan, wrong = run(venue, seed=1)
    assert not wrong, plan
