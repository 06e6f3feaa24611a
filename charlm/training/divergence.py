"""Detect that training has diverged."""

import math

import numpy as np
from numpy.typing import NDArray

from charlm.errors import TrainingError

# Nats per token, in the mean of a step. A uniform guess among a million tokens costs 14.
LARGEST_LOSS = 100.0


def check_steps(steps: NDArray[np.float32], last_step: int, learning_rate: float) -> None:
    """Raise TrainingError if a loss or a gradient norm, shape (steps, 2), shows divergence."""
    first_step = last_step - len(steps) + 1
    for step, (loss, norm) in enumerate(steps.tolist(), start=first_step):
        if not loss <= LARGEST_LOSS:  # or NaN
            raise diverged(f"the loss at step {step} is {loss:.3g} nats per token", learning_rate)
        if not math.isfinite(norm):
            raise diverged(f"the gradient norm at step {step} is {norm}", learning_rate)


def diverged(problem: str, learning_rate: float) -> TrainingError:
    """Return the error that training has diverged."""
    return TrainingError(
        f"training has diverged: {problem}",
        hint=f"lower --learning-rate ({learning_rate:g})",
    )
