"""Estimate the steps and the memory of a run, and measure its throughput on this machine."""

import math
import statistics
import sys
import time
from dataclasses import dataclass, replace
from itertools import islice

import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.corpus.encoding import Corpus
from charlm.errors import ConfigError
from charlm.formatting import duration
from charlm.parameters import parameter_count
from charlm.process_group import ProcessGroup
from charlm.training import encoder_settings
from charlm.training.hardware import choose_hardware
from charlm.training.loss import most_outputs
from charlm.training.state import PlanEstimate, TrainingState
from charlm.training.trainer import Trainer, training_batches

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
# Tokens a second of each thread, at most. Two threads of an AMD EPYC read 113,000 in all with 256
# units.
FASTEST = 100_000
LARGEST_DROPOUT = 0.5  # for the measurement
PYTORCH_MEMORY = 400_000_000  # bytes of the process beside the network, measured


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Seconds of one step and of one validation."""

    step_seconds: float
    validation_seconds: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The expected length of a run."""

    tokens_per_step: float  # tokens that are read in one step, on average
    most_steps: int  # steps after which the run ends in any case
    steps: int  # steps of the run
    throughput: Throughput | None  # measured; None without a time budget

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
        self._config, self._max_time = config, config.max_time
        self.hardware = choose_hardware(config, group)

    def estimate(self, corpus: Corpus, model: ModelConfig, config: TrainingConfig) -> Estimate:
        """Estimate a run with these settings. With a time budget, measure its throughput."""
        tokens_per_step = training_batches(corpus, config).tokens_per_step
        epoch_steps = corpus.train.tokens / tokens_per_step
        steps = most_steps = _most_steps(config, model, epoch_steps)
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

    def most_tokens(self, tokens: int) -> float | None:
        """Return more tokens than a CPU can read in the time budget.

        None on other devices, without a time budget alone, and for a text of so few `tokens` that
        the largest number of epochs ends the run.
        """
        config = self._config
        if config.max_time is None or config.max_steps is not None or config.max_epochs is not None:
            return None
        most = FASTEST * torch.get_num_threads() * config.max_time
        is_slow = self.hardware.device.type == "cpu" and most < MOST_EPOCHS * tokens
        return most if is_slow else None

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
    most_steps = _most_steps(state.config, state.model, corpus.train.tokens / tokens_per_step)
    saved, steps, throughput = state.estimate, most_steps, None
    if saved.step_seconds is not None and saved.validation_seconds is not None:
        steps = min(saved.steps, most_steps)
        throughput = Throughput(
            step_seconds=saved.step_seconds, validation_seconds=saved.validation_seconds
        )
    return Estimate(
        tokens_per_step=tokens_per_step, most_steps=most_steps, steps=steps, throughput=throughput
    )


def with_budget(state: TrainingState, config: TrainingConfig) -> TrainingState:
    """Return a saved run with the budget of `config`, to which its learning rate is fitted anew.

    Raises:
        ConfigError: If the run has already used up that budget.
    """
    progress, max_time = state.progress, config.max_time
    if config.max_steps is not None and config.max_steps <= progress.step:
        raise ConfigError(
            f"max-steps must be above {progress.step}, the steps that were taken",
            hint=f"give a larger budget, such as --max-steps {2 * progress.step}",
        )
    if max_time is not None and PLANNED_SHARE * max_time <= progress.seconds:
        least = progress.seconds / PLANNED_SHARE
        raise ConfigError(
            f"max-time must be above {least:.1f} seconds: the run has taken "
            f"{duration(progress.seconds)}",
            hint=f"give a larger budget, such as --max-time {math.ceil(2 * least)}s",
        )
    # Before the first report there is no measurement. The following reports correct the guess.
    step_seconds = progress.step_seconds or 0.01
    estimate = PlanEstimate(steps=config.max_steps or max(1, progress.step))
    if max_time is not None:
        seconds = PLANNED_SHARE * max_time
        estimate = PlanEstimate(
            steps=progress.step + max(1, int((seconds - progress.seconds) / step_seconds)),
            seconds=seconds,
            step_seconds=step_seconds,
            validation_seconds=progress.validation_seconds,
        )
    return replace(
        state,
        config=config,
        estimate=estimate,
        progress=replace(
            progress,
            steps=None,
            validations_since_best=0,
            is_closing=False,
            is_over=False,
            step_seconds=step_seconds,
        ),
    )


def peak_memory(model: ModelConfig, config: TrainingConfig, vocab_size: int, processes: int) -> int:
    """Estimate the peak memory of a process in bytes.

    It is PyTorch, the weights with gradients and optimizer state, and the activations.
    """
    weights = 4 * parameter_count(model, vocab_size)
    positions = -(-config.batch_size // processes) * config.window_length
    logits = most_outputs(vocab_size, positions)
    per_token = model.embedding_size + 12 * model.num_layers * model.hidden_size + 3 * logits
    activations = 4 * positions * per_token * len(model.directions)
    return PYTORCH_MEMORY + 5 * weights + activations


def most_epochs(model: ModelConfig) -> float:
    """Return the epochs after which a run ends by default."""
    return encoder_settings.MOST_EPOCHS if model.has_encoder else MOST_EPOCHS


def _most_steps(config: TrainingConfig, model: ModelConfig, steps_per_epoch: float) -> int:
    """Return the steps after which a run ends, however much time is left."""
    if config.max_steps is not None and config.max_epochs is None:
        return config.max_steps
    epochs = most_epochs(model) if config.max_epochs is None else config.max_epochs
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
