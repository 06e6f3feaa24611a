"""Estimate the number of steps of a run, and measure their throughput on this machine."""

import statistics
import sys
import time
from dataclasses import dataclass, replace
from itertools import islice

from charlm.config import ModelConfig, TrainingConfig
from charlm.corpus.encoding import Corpus
from charlm.process_group import ProcessGroup
from charlm.training.data_loader import training_batches
from charlm.training.hardware import choose_hardware
from charlm.training.state import TrainingState
from charlm.training.trainer import Trainer

SLOW_STEPS = 3  # the first steps allocate memory and choose kernels
FEWEST_MEASURED, MOST_MEASURED = 4, 200  # steps
MEASURED_SHARE = 0.005  # of the time budget
MEASURED_BATCHES = 8  # of a validation
# Of the time budget. The rest is for the rates of dynamic evaluation, and for a slower machine.
PLANNED_SHARE = 0.96
MOST_EPOCHS = 40.0  # by default; after so many, a text is memorised in any case
# Shorter windows make more steps. In equal times, windows of 32 and of 64 tokens come to 1.819 and
# 1.880 nats per character in 3 seconds of tiny shakespeare, and in a minute to 1.139 and 1.165 on
# the ferry tales (1.3 million tokens), to 1.066 and 1.073 on Python (1.7 million), but to 1.449 and
# 1.431 on tiny shakespeare (2.6 million).
SHORT_RUN = 2_300_000  # tokens
LARGEST_DROPOUT = 0.5  # for the measurement


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Seconds of one step and of one validation."""

    step_seconds: float
    validation_seconds: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The expected length of a run.

    Attributes:
        tokens_per_step: Tokens that are read in one step, on average.
        most_steps: Steps after which the run ends in any case.
        steps: Steps of the run.
        throughput: Measured; None without a time budget.
    """

    tokens_per_step: float
    most_steps: int
    steps: int
    throughput: Throughput | None

    @property
    def tokens(self) -> float:
        """Tokens that are read in the run."""
        return self.steps * self.tokens_per_step

    @property
    def is_short(self) -> bool:
        """Whether time ends the run after few tokens."""
        return self.steps < self.most_steps and self.tokens < SHORT_RUN


class Estimator:
    """Estimates of runs on this hardware, within one time budget that planning uses up, too.

    Attributes:
        hardware: What the run computes on.
    """

    def __init__(self, config: TrainingConfig, group: ProcessGroup) -> None:
        group.sync_clock()  # rank 0 may have started later
        self._group, self._started = group, group.now
        self._max_time = config.max_time
        self.hardware = choose_hardware(config, group)

    def estimate(self, corpus: Corpus, model: ModelConfig, config: TrainingConfig) -> Estimate:
        """Estimate a run with these settings. With a time budget, measure its throughput."""
        tokens_per_step = training_batches(corpus, config).tokens_per_step
        steps = most_steps = _most_steps(config, corpus.train.tokens / tokens_per_step)
        throughput = None
        if self._max_time is not None:
            trainer = Trainer(
                corpus,
                model,
                replace(config, dropout=LARGEST_DROPOUT),
                device=self.hardware.device,
                precision=self.hardware.precision,
                group=self._group,
            )
            throughput = _measure(trainer, MEASURED_SHARE * self._max_time, self._group)
            seconds = (self.seconds_left or 0.0) - throughput.validation_seconds
            steps = max(1, min(most_steps, int(seconds / throughput.step_seconds)))
        return Estimate(
            tokens_per_step=tokens_per_step,
            most_steps=most_steps,
            steps=steps,
            throughput=throughput,
        )

    @property
    def seconds_left(self) -> float | None:
        """Time left for training: at least a quarter of the budget. None without a budget."""
        if self._max_time is None:
            return None
        planned = PLANNED_SHARE * self._max_time
        return max(planned - (self._group.now - self._started), planned / 4)


def resumed_estimate(corpus: Corpus, state: TrainingState) -> Estimate:
    """Return the estimate of a saved run, within the budget that it has now."""
    tokens_per_step = training_batches(corpus, state.config).tokens_per_step
    most_steps = _most_steps(state.config, corpus.train.tokens / tokens_per_step)
    saved, steps, throughput = state.estimate, most_steps, None
    if saved.step_seconds is not None and saved.validation_seconds is not None:
        steps = min(saved.steps, most_steps)
        throughput = Throughput(
            step_seconds=saved.step_seconds, validation_seconds=saved.validation_seconds
        )
    return Estimate(
        tokens_per_step=tokens_per_step,
        most_steps=most_steps,
        steps=steps,
        throughput=throughput,
    )


def _most_steps(config: TrainingConfig, steps_per_epoch: float) -> int:
    """Return the steps after which a run ends, however much time is left."""
    if config.max_steps is not None and config.max_epochs is None:
        return config.max_steps
    epochs = MOST_EPOCHS if config.max_epochs is None else config.max_epochs
    return min(max(1, round(epochs * steps_per_epoch)), config.max_steps or sys.maxsize)


def _measure(trainer: Trainer, most_seconds: float, group: ProcessGroup) -> Throughput:
    """Time a few steps with a learning rate of 0, and a few batches of validation."""
    steps: list[float] = []
    group.sync_clock()
    while len(steps) < SLOW_STEPS + MOST_MEASURED:
        before = group.now
        trainer.step(len(steps), 0.0)[0].item()
        group.sync_clock()
        steps.append(group.now - before)
        is_enough = len(steps) >= SLOW_STEPS + FEWEST_MEASURED and sum(steps) > most_seconds
        is_slow = len(steps) > 1 and sum(steps) > max(1.0, 4 * most_seconds)
        if is_enough or is_slow:
            break
    batches: list[float] = []
    started = time.perf_counter()
    for _ in islice(trainer.validation_batches(), 1 + MEASURED_BATCHES):
        batches.append(time.perf_counter() - started - sum(batches))
        if len(batches) > 1 and sum(batches) > most_seconds:
            break
    # Rank 0 has as many validation batches as any other process, and its time counts for all.
    [batch_seconds] = group.broadcast_numbers([statistics.median(batches[1:] or batches or [0.0])])
    group.sync_clock()
    return Throughput(
        step_seconds=statistics.median(steps[min(SLOW_STEPS, len(steps) - 1) :]),
        validation_seconds=trainer.validation_batch_count * batch_seconds,
    )
