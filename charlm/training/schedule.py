"""The learning rate along a run, and how long the run is."""

import math

from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.plan import Plan
from charlm.training.state import RunProgress

WARM_UP = 20  # steps
FALL = 0.75  # share of all steps over which the rate falls


class Schedule:
    """A linear warm-up, a level, and a straight line to nothing.

          ┌──╲
         ╱     ╲            How many steps there will be must be known when the rate begins to
        ╱        ╲          fall, not before: a run that has an hour measures for 15 minutes
       ╱           ╲        how fast it is.
       0  ¼          all steps

    So a run that a time ended is, weight for weight, the run of as many steps, unless the machine
    changed its pace. The shape is that of Hägele et al. 2024 (https://arxiv.org/abs/2405.18392),
    with a longer fall.

    Attributes:
        steps: All steps of the run; None until that is known.
        falls_from: The step from which the line falls.
        falls_by: The share of the peak that it falls from.
    """

    def __init__(self, most_steps: int, *, is_timed: bool) -> None:
        """Take the most steps there may be, and whether time may end them before."""
        self._most_steps = most_steps
        self.steps: int | None = None
        self.falls_from, self.falls_by = 0.0, 1.0
        if not is_timed:
            self._fix(most_steps)

    def share(self, step: int) -> float:
        """Return the share of the peak learning rate at `step`, from 0, in (0, 1]."""
        share = min(1.0, (step + 1) / WARM_UP)
        if self.steps is not None:
            share = min(share, self.falls_by * (self.steps - step) / (self.steps - self.falls_from))
        return share

    def steps_if_falling(self, step: int) -> int:
        """Return how many steps the run would have if the rate began to fall at `step`."""
        return min(max(step + 1, round(step / (1 - FALL))), self._most_steps)

    def fall(self, step: int) -> None:
        """Let the rate fall from `step` on."""
        self._fix(self.steps_if_falling(step))

    def refit(self, step: int, steps: int) -> None:
        """Let the rate fall to nothing after another number of steps, from `step` on."""
        steps = min(max(step + 1, steps), self._most_steps)
        self.falls_by, self.falls_from, self.steps = self.share(step), step, steps

    def go_on(self, steps: int, falls_from: float, falls_by: float) -> None:
        """Be the schedule that had these attributes."""
        self.steps, self.falls_from, self.falls_by = steps, falls_from, falls_by

    def _fix(self, steps: int) -> None:
        self.steps, self.falls_from = steps, (1 - FALL) * steps


VALIDATION_GROWTH = 1.1  # of the steps, from one validation to the next, at least
STEPS_OF_PACE = 50  # that tell how fast it goes
# Where the machine turns out so much slower or faster that, when the number of steps is fixed
# already, only these shares of what is left would fit, the run is fitted to its time anew.
SLOWER, FASTER = 0.9, 1.25
FEWEST_LEFT = 10  # steps; for fewer it is not worth while
LATEST = 1.1  # of the time: a run ends then, come what may


class Pace:
    """The clock of a run: what steps and validations take, and when the rate must fall.

    Attributes:
        schedule: Whose end it fixes in time.
        step_seconds: What a step takes, in a moving average.
        validation_seconds: What the last validation took, saving included.
    """

    def __init__(
        self, plan: Plan, place: RunProgress | None = None, group: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        """Start the clock, or let it go on from where a run stands."""
        self.schedule = Schedule(plan.most_steps, is_timed=plan.seconds is not None)
        self._plan = plan
        self._allowed = math.inf if plan.seconds is None else plan.seconds
        self.step_seconds, self.validation_seconds = 0.0, 0.0
        if plan.speed is not None:
            self.step_seconds = plan.speed.step
            self.validation_seconds = plan.speed.validation
        self._group, self._started = group, group.now
        if place is not None:
            self.step_seconds = place.step_seconds
            self.validation_seconds = place.validation_seconds
            self._started -= place.seconds
            if place.steps is not None:
                self.schedule.go_on(place.steps, place.falls_from, place.falls_by)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return self._group.now - self._started

    @property
    def is_late(self) -> bool:
        """Whether the run has taken more time than it may."""
        return self.seconds > LATEST * self._allowed

    def next_validation(self, step: int) -> int:
        """Return the step after which to validate when it was done after `step`."""
        return max(step + self._plan.validation_interval, math.ceil(VALIDATION_GROWTH * step))

    def expected_steps(self, step: int) -> int:
        """Return all steps of the run; before the rate falls, as many as the pace lets expect."""
        if self.schedule.steps is not None:
            return self.schedule.steps
        steps = self._plan.steps
        if step > 0 and math.isfinite(self._allowed):
            steps = round(step * self._allowed / self.seconds)
        return max(step, min(steps, self._plan.most_steps))

    def share(self, step: int) -> float:
        """Return the share of the peak learning rate for `step`, from 0."""
        # Nothing is known yet of a run's first step, but that it may be the only one.
        if math.isfinite(self._allowed) and (step > 0 or self._plan.most_steps == 1):
            self._fit(step)
        return self.schedule.share(step)

    def took(self, steps: int, seconds: float) -> None:
        """Note what some steps took, once the device has finished them."""
        self.step_seconds += (seconds / steps - self.step_seconds) * min(1.0, steps / STEPS_OF_PACE)

    def _fit(self, step: int) -> None:
        """Let the rate fall when there is just enough time for it, and at a pace that fits."""
        steps, most = self.schedule.steps, self._plan.most_steps
        if steps is None:
            steps = self.schedule.steps_if_falling(step)
            if steps == most or steps - step >= self._affordable(step, steps):
                self.schedule.fall(step)
        else:
            left, affordable = steps - step, self._affordable(step, steps)
            may_be_longer = steps < most and step > STEPS_OF_PACE
            is_off = affordable < SLOWER * left or (affordable > FASTER * left and may_be_longer)
            if is_off and left > FEWEST_LEFT:
                self.schedule.refit(step, step + int(affordable))

    def _affordable(self, step: int, steps: int) -> float:
        """Return how many steps fit into the time left, with the validations until `steps`."""
        by_growth = math.log(steps / step) / math.log(VALIDATION_GROWTH)
        validations = 1 + min(by_growth, (steps - step) / self._plan.validation_interval)
        return (
            self._allowed - self.seconds - validations * self.validation_seconds
        ) / self.step_seconds
