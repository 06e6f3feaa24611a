"""What a run yields, as small frozen dataclasses."""

from dataclasses import dataclass
from typing import Literal

from charlm.checkpoint import Checkpoint
from charlm.training.state import Best, TrainingState

Ending = Literal["complete", "no improvement", "time is up", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A report of the steps since the last report."""

    step: int  # steps taken so far
    steps: int  # all steps of the run; an estimate while a time budget has not fixed the number
    epoch: float  # how often the training text has been read
    seconds: float  # since training began, validation included
    nats_per_token: float  # mean loss over the steps since the last report
    bits_per_character: float  # the same per character of the raw text
    learning_rate: float  # of the last step
    gradient_norm: float  # of the last step, before clipping
    clipped_share: float  # share of the steps since the last report whose gradient was clipped
    characters_per_second: float  # speed of training since the last report


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The score of the validation text, and the model if it is the best so far."""

    step: int  # steps taken so far
    epoch: float  # how often the training text has been read
    seconds: float  # since training began
    nats: float  # −ln p(validation text), summed
    nats_per_character: float  # the same per character of the raw text
    bits_per_character: float  # the same in bits
    best: Checkpoint | None  # the model if it is the best so far, else None
    sample: str  # A short text that the model generated
    # Wrong predictions, and their share in [0, 1]; only counted where an encoder reads a source.
    errors: int = 0
    error_rate: float = 0.0

    @property
    def score(self) -> Best:
        """When the model was validated, and its score."""
        return Best(
            step=self.step,
            epoch=self.epoch,
            seconds=self.seconds,
            nats=self.nats,
            errors=self.errors,
        )


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of the run."""

    # "complete" after all steps, "no improvement" when the last validations were not the best,
    # "time is up" when the machine was too slow for the time budget, "stopped" after a request to
    # stop.
    ending: Ending
    step: int  # steps taken
    seconds: float  # since training began
    # The best validation. Its model has the rates of dynamic evaluation, unless the run was
    # stopped. None after a stop before the first validation.
    best: Validation | None
    median_gradient_norm: float  # of all steps, before clipping; NaN before the first
    clipped_share: float  # share of all steps whose gradient was clipped
    # Of the ended run, to be saved after its model. None without saving, and after a stop: then the
    # state was an event of its own.
    state: TrainingState | None = None


Event = Progress | Validation | TrainingState | Finished
