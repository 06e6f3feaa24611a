"""The rate rises, stays and falls; a run whose end is fixed late is the run of as many steps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import ModelConfig, TrainingConfig
from charlm.process_group import ProcessGroup
from charlm.training.estimate import Throughput
from charlm.training.plan import make_plan
from charlm.training.schedule import DECAY_SHARE, WARM_UP, RunClock, Schedule
from charlm.training.state import RunProgress

SECONDS, REPORT = 100.0, 10


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


def test_a_rate_that_falls_early_is_zero_after_a_quarter_of_the_steps_to_the_best_model():
    schedule = Schedule(4000, is_timed=False)
    schedule.close(800, 800)

    assert schedule.steps == 1000
    assert [schedule.share(step) for step in (799, 800, 900, 999)] == [1, 1, 0.5, 1 / 200]


def test_a_rate_that_falls_already_falls_no_longer_than_before():
    schedule = Schedule(1000, is_timed=False)
    before = schedule.share(900)
    schedule.close(900, 700)

    assert schedule.steps == 1000
    assert schedule.share(900) == before


class Simulated(ProcessGroup):
    """A process whose clock is set by hand."""

    now = 0.0


@pytest.fixture
def plan(corpus_of):
    """Return a plan of 100 seconds in steps that are thought to take 0.05."""
    corpus = corpus_of("my dog has fleas, and 7 cats know about it." * 20)
    model = ModelConfig(embedding_size=4, hidden_size=4)
    return replace(
        make_plan(corpus, model, TrainingConfig(batch_size=2, bptt_length=8, max_steps=10)),
        seconds=SECONDS,
        most_steps=1_000_000,
        steps=2_000,
        throughput=Throughput(step_seconds=0.05, validation_seconds=0.0),
        validation_interval=1_000_000,
    )


def run(plan, seconds_of):
    """Return the steps, the seconds and the last share of a run on a clock that is simulated."""
    group = Simulated()
    clock = RunClock(plan, group=group)
    step, shares, reported = 0, [], 0.0
    while clock.schedule.steps is None or step < clock.schedule.steps:
        assert not clock.is_late
        shares.append(clock.share(step))
        group.now += seconds_of(step, group.now)
        step += 1
        if step % REPORT == 0:
            clock.add_steps(REPORT, group.now - reported)
            reported = group.now
    return step, group.now, shares


def test_a_steady_run_takes_the_steps_that_its_time_holds(plan):
    steps, seconds, shares = run(plan, lambda step, now: 0.02)

    assert steps == pytest.approx(5_000, rel=0.02)
    assert seconds == pytest.approx(SECONDS, rel=0.02)
    assert shares[steps // 5] == 1
    assert shares[-1] < 0.001


@pytest.mark.parametrize("change", [10, 30, 60, 90])  # seconds
@pytest.mark.parametrize("factor", [0.2, 0.5, 2, 5])
def test_a_run_whose_pace_changes_fills_its_time_and_its_rate_falls_to_nothing(
    plan, change, factor
):
    _, seconds, shares = run(plan, lambda step, now: 0.05 if now < change else 0.05 * factor)

    assert 0.95 * SECONDS < seconds < 1.05 * SECONDS
    assert shares[-1] < 0.02


def test_a_stall_shortens_a_run_by_little_more_than_itself(plan):
    steps, seconds, _ = run(plan, lambda step, now: 5.05 if step == 1_000 else 0.05)

    assert steps == pytest.approx(1_900, rel=0.03)
    assert seconds < 1.02 * SECONDS


def test_a_run_in_which_validation_takes_all_the_time_is_no_single_step(plan):
    slow = replace(plan, throughput=Throughput(step_seconds=0.05, validation_seconds=2 * SECONDS))
    steps, *_ = run(slow, lambda step, now: 0.05)

    assert steps > 1


def test_a_rate_that_falls_early_takes_no_more_steps_on_a_faster_machine(plan):
    clock = RunClock(plan, group=Simulated())
    clock.schedule.close(200, 200)
    clock.step_seconds /= 100
    clock.share(201)

    assert clock.schedule.steps == 250


@pytest.mark.parametrize("steps", [None, 3_000])
def test_a_run_that_goes_on_has_the_time_and_the_rate_that_it_had(plan, steps):
    place = RunProgress(
        step=1_500, validated_step=1_000, next_validation=2_000, validations_since_best=0,
        learning_rate=0.01, seconds=40.0, reported_seconds=39.0, step_seconds=0.03,
        validation_seconds=2.0,
        steps=steps, falls_from=750.0, falls_by=0.8, is_over=False,
    )  # fmt: skip
    clock = RunClock(plan, place, Simulated())

    assert clock.seconds == 40
    assert (clock.step_seconds, clock.validation_seconds) == (0.03, 2.0)
    assert clock.schedule.steps == steps
    if steps is not None:
        assert clock.schedule.share(1_500) == pytest.approx(0.8 * 1_500 / 2_250)
