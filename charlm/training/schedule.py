"""The learning rate along a run, and how long the run is."""

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
