"""A timed run fills its time, and its rate falls to nothing, however fast the machine is."""

from dataclasses import replace

import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.process_group import ProcessGroup
from charlm.training.estimate import Throughput
from charlm.training.plan import make_plan
from charlm.training.schedule import RunClock
from charlm.training.state import RunProgress

SECONDS, REPORT = 100.0, 10


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
        speed=Throughput(step=0.05, validation=0.0),
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
            clock.took(REPORT, group.now - reported)
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
    slow = replace(plan, speed=Throughput(step=0.05, validation=2 * SECONDS))
    steps, *_ = run(slow, lambda step, now: 0.05)

    assert steps > 1


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
