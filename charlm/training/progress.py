"""How far a run has come, what the plan expected of it, and when its best model was found.

These records are part of the training state (`state.py`).
"""

import sys
from dataclasses import dataclass

from charlm.config.checks import LONGEST_TIME, require, require_whole
from charlm.errors import ConfigError

SHORTEST_STEP = 1e-9  # seconds; a shorter time was not measured


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run has come. The defaults are those of a run before its first step.

    Attributes:
        step: Steps taken.
        validated_step: Step of the last validation; −1 before the first.
        next_validation: Step of the next validation.
        validations_since_best: Validations in a row that were not the best.
        learning_rate: Of the last step.
        seconds: Time of the run so far.
        reported_seconds: Time of the last report.
        step_seconds: Seconds of a step, as a moving average.
        validation_seconds: Seconds of the last validation.
        steps: All steps of the run; None until the number is fixed.
        falls_from: Step from which the learning rate falls.
        falls_by: Share of the peak learning rate at that step.
        is_over: Whether the run has ended.
    """

    step: int
    validated_step: int = -1
    next_validation: int = 0
    validations_since_best: int = 0
    learning_rate: float = 0.0
    seconds: float = 0.0
    reported_seconds: float = 0.0
    step_seconds: float = 0.0
    validation_seconds: float = 0.0
    steps: int | None = None
    falls_from: float = 0.0
    falls_by: float = 1.0
    is_over: bool = False

    def __post_init__(self) -> None:
        require_whole("step", self.step, 0, sys.maxsize)
        require_whole("validated_step", self.validated_step, -1, self.step)
        require_whole("next_validation", self.next_validation, 0)
        require_whole("validations_since_best", self.validations_since_best, 0)
        require("learning_rate", self.learning_rate, at_least=0)
        require("seconds", self.seconds, at_least=0, at_most=LONGEST_TIME)
        require("reported_seconds", self.reported_seconds, at_least=0, at_most=self.seconds)
        require("step_seconds", self.step_seconds, at_least=0, at_most=LONGEST_TIME)
        require("validation_seconds", self.validation_seconds, at_least=0, at_most=LONGEST_TIME)
        if self.steps is not None:
            require_whole("steps", self.steps, max(1, self.step), sys.maxsize)
            require("falls_from", self.falls_from, at_least=0, below=self.steps)
        require("falls_by", self.falls_by, above=0, at_most=1)


@dataclass(frozen=True, kw_only=True)
class PlanEstimate:
    """The plan's estimate of the run.

    Attributes:
        steps: All steps of the run.
        seconds: Time that the run may take; None without a time budget.
        step_seconds: Seconds of one step; None without a time budget.
        validation_seconds: Seconds of one validation; None without a time budget.
    """

    steps: int
    seconds: float | None = None
    step_seconds: float | None = None
    validation_seconds: float | None = None

    def __post_init__(self) -> None:
        require_whole("steps", self.steps, 1, sys.maxsize)
        require("seconds", self.seconds, above=0, at_most=LONGEST_TIME)
        require("step_seconds", self.step_seconds, at_least=SHORTEST_STEP, at_most=LONGEST_TIME)
        require("validation_seconds", self.validation_seconds, at_least=0, at_most=LONGEST_TIME)
        times = {self.seconds is None, self.step_seconds is None, self.validation_seconds is None}
        if len(times) > 1:
            raise ConfigError("its estimate has some times of a time budget, but not all")


@dataclass(frozen=True, kw_only=True)
class Best:
    """When the best model was found, and its validation score in nats."""

    step: int
    epoch: float
    seconds: float
    nats: float

    def __post_init__(self) -> None:
        require_whole("step", self.step, 0)
        require("epoch", self.epoch, at_least=0)
        require("seconds", self.seconds, at_least=0, at_most=LONGEST_TIME)
        require("nats", self.nats, at_least=0)
