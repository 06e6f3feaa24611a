"""What happens in a run, as small frozen results."""

from dataclasses import dataclass
from typing import Literal

from charlm.checkpoint import Checkpoint
from charlm.training.state import TrainingState

Ending = Literal["complete", "no improvement", "time is up", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the last few steps were like.

    Attributes:
        step: Steps taken so far.
        steps: All steps of the run; while the rate does not fall yet, an estimate if time ends it.
        epoch: How often the training text has been read.
        seconds: Since training began, validation included.
        nats_per_token: Mean loss over the steps since the last report.
        bits_per_character: The same per character of the raw text.
        learning_rate: Of the last step.
        gradient_norm: Of the last step, before clipping.
        clipped_share: Share of the steps since the last report whose gradient was clipped.
        characters_per_second: Throughput of learning since the last report.
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
    """The score of the held-out text, and the model if it is the best so far.

    Attributes:
        step: Steps taken so far.
        epoch: How often the training text has been read.
        seconds: Since training began.
        nats: −ln p(validation text), summed.
        nats_per_character: The same per character of the raw text.
        bits_per_character: The same in bits.
        best: The model, if no validation before was better; else None.
        sample: A little text that the model wrote.
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
    """How the run ended.

    Attributes:
        ending: "complete" after all steps, "no improvement" when validation has not been better for
            long, "time is up" when there was none left though the run had been fitted to it,
            "stopped" when it was asked to stop.
        step: Steps taken.
        seconds: Since training began.
        best: The best validation; its model can learn from what it scores, unless the run was
            stopped. None if it was stopped before the first.
        median_gradient_norm: Of all steps, before clipping; NaN if there was none.
        clipped_share: Share of all steps whose gradient was clipped.
        state: Of the run that is over, to be saved after its model; None if states were not wanted,
            or the run was stopped, for then its state has come already.
    """

    ending: Ending
    step: int
    seconds: float
    best: Validation | None
    median_gradient_norm: float
    clipped_share: float
    state: TrainingState | None = None


Event = Progress | Validation | TrainingState | Finished
