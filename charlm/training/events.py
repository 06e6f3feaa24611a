"""What a run yields, as small frozen dataclasses."""

from dataclasses import dataclass
from typing import Literal

from charlm.checkpoint import Checkpoint
from charlm.training.state import TrainingState

Ending = Literal["complete", "no improvement", "time is up", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A report of the steps since the last report.

    Attributes:
        step: Steps taken so far.
        steps: All steps of the run; an estimate while a time budget has not fixed the number.
        epoch: How often the training text has been read.
        seconds: Since training began, validation included.
        nats_per_token: Mean loss over the steps since the last report.
        bits_per_character: The same per character of the raw text.
        learning_rate: Of the last step.
        gradient_norm: Of the last step, before clipping.
        clipped_share: Share of the steps since the last report whose gradient was clipped.
        characters_per_second: Speed of training since the last report.
    """

    step: int
    steps: int
    epoch: float
    seconds: float
    nats_per_token: float
    bits_per_character: float
    learning_rate: float
    gradient_norm: float
    clipped_share: float
    characters_per_second: float


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The score of the validation text, and the model if it is the best so far.

    Attributes:
        step: Steps taken so far.
        epoch: How often the training text has been read.
        seconds: Since training began.
        nats: −ln p(validation text), summed.
        nats_per_character: The same per character of the raw text.
        bits_per_character: The same in bits.
        best: The model if it is the best so far, else None.
        sample: A short text that the model generated.
    """

    step: int
    epoch: float
    seconds: float
    nats: float
    nats_per_character: float
    bits_per_character: float
    best: Checkpoint | None
    sample: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of the run.

    Attributes:
        ending: "complete" after all steps, "no improvement" when the last validations were not the
            best, "time is up" when the machine was too slow for the time budget, "stopped" after a
            request to stop.
        step: Steps taken.
        seconds: Since training began.
        best: The best validation. Its model has the rates of dynamic evaluation, unless the run was
            stopped. None after a stop before the first validation.
        median_gradient_norm: Of all steps, before clipping; NaN before the first.
        clipped_share: Share of all steps whose gradient was clipped.
        state: Of the ended run, to be saved after its model. None without saving, and after a stop:
            then the state was an event of its own.
    """

    ending: Ending
    step: int
    seconds: float
    best: Validation | None
    median_gradient_norm: float
    clipped_share: float
    state: TrainingState | None = None


Event = Progress | Validation | TrainingState | Finished
