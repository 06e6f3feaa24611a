"""How fast a run goes, and what that means for its length."""

import math

from charlm.distributed import ALONE, Group
from charlm.training.plan import Plan
from charlm.training.schedule import Schedule
from charlm.training.state import Place

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

    def __init__(self, plan: Plan, place: Place | None = None, group: Group = ALONE) -> None:
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
