"""The learning rate along a run, and the clock that fits it to the time budget."""

import math

from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.plan import Plan
from charlm.training.state import RunProgress

WARM_UP = 20  # steps
DECAY_SHARE = 0.75  # of all steps
CLOSING_SHARE = 0.25  # of the steps until the best validation, when the rate falls early

VALIDATION_GROWTH = 1.1  # least factor from the step of one validation to the step of the next
AVERAGED_STEPS = 50  # of the moving average of a step's time
# A change of the machine's speed: the remaining time holds less than SLOWER, or more than FASTER,
# times the remaining steps. Then the number of steps is fitted to the time again.
SLOWER, FASTER = 0.9, 1.25
FEWEST_REFITTED = 10  # remaining steps; fewer are not worth another fit
LATEST = 1.1  # times the time budget; then the run ends in any case


class Schedule:
    """A linear warm-up, a constant rate, and a linear decay to zero.

          ┌──╲
         ╱     ╲            The number of steps must be known when the decay begins, not before:
        ╱        ╲          a run of one hour measures its own speed for 15 minutes.
       ╱           ╲
       0  ¼          all steps

    So a run that ends by time has the weights of a run of as many steps, unless the machine
    changed its speed. The shape is that of Hägele et al. 2024 (https://arxiv.org/abs/2405.18392),
    with a longer decay.

    Attributes:
        steps: All steps of the run; None until the number is fixed.
        falls_from: Step from which the learning rate falls.
        falls_by: Share of the peak learning rate at that step.
        is_closing: Whether the rate falls early, because the run no longer improves.
    """

    def __init__(self, most_steps: int, *, is_timed: bool) -> None:
        """Take the largest number of steps, and whether time may end the run before."""
        self._most_steps = most_steps
        self.steps: int | None = None
        self.falls_from, self.falls_by, self.is_closing = 0.0, 1.0, False
        if not is_timed:
            self._fix(most_steps)

    def share(self, step: int) -> float:
        """Return the share of the peak learning rate at `step`, from 0, in (0, 1]."""
        share = min(1.0, (step + 1) / WARM_UP)
        if self.steps is not None:
            share = min(share, self.falls_by * (self.steps - step) / (self.steps - self.falls_from))
        return share

    def steps_if_falling(self, step: int) -> int:
        """Return the number of steps of a run whose decay begins at `step`."""
        return min(max(step + 1, round(step / (1 - DECAY_SHARE))), self._most_steps)

    def fall(self, step: int) -> None:
        """Begin the decay at `step`."""
        self._fix(self.steps_if_falling(step))

    def refit(self, step: int, steps: int) -> None:
        """Continue from the rate at `step` with a decay that ends after `steps`."""
        steps = min(max(step + 1, steps), self._most_steps)
        self.falls_by, self.falls_from, self.steps = self.share(step), step, steps

    def close(self, step: int, best_step: int) -> None:
        """Let the rate fall to zero soon after `step`, as nothing improves since `best_step`."""
        soon = step + math.ceil(CLOSING_SHARE * best_step)
        self.refit(step, soon if self.steps is None else min(soon, self.steps))
        self.is_closing = True

    def restore(self, progress: RunProgress) -> None:
        """Set the attributes to those of a saved run."""
        self.steps, self.is_closing = progress.steps, progress.is_closing
        self.falls_from, self.falls_by = progress.falls_from, progress.falls_by

    def _fix(self, steps: int) -> None:
        self.steps, self.falls_from = steps, (1 - DECAY_SHARE) * steps


class RunClock:
    """The time of a run: its throughput, and when the learning rate must fall.

    Attributes:
        schedule: The schedule that is fitted to the time.
        step_seconds: Seconds of a step, as a moving average.
        validation_seconds: Seconds of the last validation, saving included.
    """

    def __init__(
        self, plan: Plan, progress: RunProgress | None = None, group: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        """Start the clock, or continue that of a saved run."""
        self.schedule = Schedule(plan.most_steps, is_timed=plan.seconds is not None)
        self._plan = plan
        self._allowed = math.inf if plan.seconds is None else plan.seconds
        self.step_seconds, self.validation_seconds = 0.0, 0.0
        if plan.throughput is not None:
            self.step_seconds = plan.throughput.step_seconds
            self.validation_seconds = plan.throughput.validation_seconds
        self._group, self._started = group, group.now
        if progress is not None:
            self.step_seconds = progress.step_seconds
            self.validation_seconds = progress.validation_seconds
            self._started -= progress.seconds
            if progress.steps is not None:
                self.schedule.restore(progress)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return self._group.now - self._started

    @property
    def is_late(self) -> bool:
        """Whether the run has exceeded its time budget by too much."""
        return self.seconds > LATEST * self._allowed

    def next_validation(self, step: int) -> int:
        """Return the step of the validation after one at `step`."""
        return max(step + self._plan.validation_interval, math.ceil(VALIDATION_GROWTH * step))

    def expected_steps(self, step: int) -> int:
        """Return the number of all steps; before it is fixed, an estimate from the throughput."""
        if self.schedule.steps is not None:
            return self.schedule.steps
        steps = self._plan.steps
        if step > 0 and math.isfinite(self._allowed):
            steps = round(step * self._allowed / self.seconds)
        return max(step, min(steps, self._plan.most_steps))

    def share(self, step: int) -> float:
        """Return the share of the peak learning rate for `step`, from 0."""
        # Before the first step nothing is measured. But it may be the only one.
        if math.isfinite(self._allowed) and (step > 0 or self._plan.most_steps == 1):
            self._fit(step)
        return self.schedule.share(step)

    def add_steps(self, steps: int, seconds: float) -> None:
        """Update the moving average with some steps that the device has finished."""
        weight = min(1.0, steps / AVERAGED_STEPS)
        self.step_seconds += (seconds / steps - self.step_seconds) * weight

    def _fit(self, step: int) -> None:
        """Begin the decay when the remaining time just holds it; refit when the speed changes."""
        steps, most = self.schedule.steps, self._plan.most_steps
        if steps is None:
            steps = self.schedule.steps_if_falling(step)
            if steps == most or steps - step >= self._affordable(step, steps):
                self.schedule.fall(step)
        else:
            remaining, affordable = steps - step, self._affordable(step, steps)
            can_be_longer = steps < most and step > AVERAGED_STEPS and not self.schedule.is_closing
            is_slower = affordable < SLOWER * remaining
            is_faster = affordable > FASTER * remaining and can_be_longer
            if (is_slower or is_faster) and remaining > FEWEST_REFITTED:
                self.schedule.refit(step, step + int(affordable))

    def _affordable(self, step: int, steps: int) -> float:
        """Return how many steps the remaining time holds, with the validations until `steps`."""
        by_growth = math.log(steps / step) / math.log(VALIDATION_GROWTH)
        validations = 1 + min(by_growth, (steps - step) / self._plan.validation_interval)
        return (
            self._allowed - self.seconds - validations * self.validation_seconds
        ) / self.step_seconds
