"""The rate rises, stays and falls; a run whose end is fixed late is the run of as many steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.training.schedule import DECAY_SHARE, WARM_UP, Schedule


def test_the_rate_rises_stays_and_falls_to_nothing():
    schedule = Schedule(1000, is_timed=False)
    shares = [schedule.share(step) for step in range(1000)]
    level = round(1000 * (1 - DECAY_SHARE))

    assert shares[0] == pytest.approx(1 / WARM_UP)
    assert shares[WARM_UP - 1 : level + 1] == [1.0] * (level - WARM_UP + 2)
    assert shares[round(1000 * (1 - DECAY_SHARE / 2))] == pytest.approx(0.5)
    assert shares[-1] == pytest.approx(1 / (1000 * DECAY_SHARE))
    assert shares[level:] == sorted(shares[level:], reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_the_shortest_runs_have_a_schedule(steps):
    schedule = Schedule(steps, is_timed=False)

    assert all(0 < schedule.share(step) <= 1 for step in range(steps))


@given(fall=st.integers(0, 5000), most=st.integers(1, 30_000))
def test_a_run_whose_end_is_fixed_late_is_the_run_of_as_many_steps(fall, most):
    late = Schedule(most, is_timed=True)
    shares = []
    while late.steps is None:
        if len(shares) == fall or late.steps_if_falling(len(shares)) == most:
            late.fall(len(shares))
        else:
            shares.append(late.share(len(shares)))
    shares += [late.share(step) for step in range(len(shares), late.steps)]
    known = Schedule(late.steps, is_timed=False)

    assert late.steps <= most
    assert len(shares) == late.steps
    assert shares == [known.share(step) for step in range(late.steps)]


@pytest.mark.parametrize("steps", [700, 1400])
def test_a_run_that_is_fitted_anew_goes_on_from_where_it_is(steps):
    schedule = Schedule(2000, is_timed=True)
    schedule.fall(250)
    before = schedule.share(600)
    schedule.refit(600, steps)

    assert before == pytest.approx(400 / 750)
    assert schedule.steps == steps
    assert [
        schedule.share(step) / before for step in (600, (600 + steps) // 2, steps - 1)
    ] == pytest.approx([1, 0.5, 1 / (steps - 600)])


def test_no_run_is_longer_than_it_may_be():
    schedule = Schedule(100, is_timed=True)
    schedule.fall(20)
    schedule.refit(50, 1000)

    assert schedule.steps == 100
