"""What steps a network would take here: their number, and their speed, which is measured."""

import statistics
import sys
import time
from dataclasses import dataclass, replace
from itertools import islice

import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.corpus.encoding import Corpus
from charlm.process_group import ProcessGroup
from charlm.training.data_loader import lay_out
from charlm.training.hardware import choose_device, choose_precision
from charlm.training.state import TrainingState
from charlm.training.trainer import Learner

SLOW_STEPS = 3  # the first steps allocate and choose kernels
FEWEST_MEASURED, MOST_MEASURED = 4, 200  # steps
MEASURED_SHARE = 0.005  # of the time budget
MEASURED_WINDOWS = 8  # of validation
# Of the time budget; the rest is for dynamic evaluation's rates, and for a machine that slows down.
PLANNED_SHARE = 0.96
MOST_EPOCHS = 40.0  # unless they are said; after so many a text is learnt by heart, come what may
# A network that reads fewer tokens takes more and shorter steps. In equal times windows of 32 and
# of 64 come to 1.819 and 1.880 nats per character in 3 seconds of tiny shakespeare, and in a minute
# of the ferry tales (1.3 million tokens) to 1.139 and 1.165, of Python (1.7 million) to 1.066 and
# 1.073; but of tiny shakespeare (2.6 million) to 1.449 and 1.431.
SHORT_RUN = 2_300_000
LARGEST_DROPOUT = 0.5  # with which speed is measured


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds that one step and one validation take."""

    step: float
    validation: float


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a network and its settings would come to."""

    tokens_per_step: float
    most_steps: int
    steps: int
    speed: Speed | None  # None without a time budget

    @property
    def tokens(self) -> float:
        """How many the run would read."""
        return self.steps * self.tokens_per_step

    @property
    def is_short(self) -> bool:
        """Whether time ends the run, and soon."""
        return self.steps < self.most_steps and self.tokens < SHORT_RUN


class Machine:
    """Where a run will be, and the clock of its planning."""

    def __init__(self, config: TrainingConfig, group: ProcessGroup) -> None:
        group.sync_clock()  # the first process may have come later
        self._group, self._started = group, group.now
        self._max_time = config.max_time
        self.processes = group.world_size
        self.device = choose_device(config.device, group.process)
        group.require_same(
            self.device.type.encode(), "device", hint="let all compute alike: --device cpu"
        )
        self.precision = choose_precision(config.precision, self.device)
        if sum(group.all_reduce([self.precision == torch.float32])) > 0:  # which all have
            self.precision = torch.float32

    def outlook(self, corpus: Corpus, model: ModelConfig, config: TrainingConfig) -> Outlook:
        """Return what steps a network would take; with a time budget, its speed is measured."""
        tokens_per_step = lay_out(corpus, config).tokens_per_step
        steps = most_steps = _most_steps(config, corpus.train.tokens / tokens_per_step)
        speed = None
        if self._max_time is not None:
            probe = replace(config, dropout=LARGEST_DROPOUT)
            learner = Learner(
                corpus,
                model,
                probe,
                device=self.device,
                precision=self.precision,
                group=self._group,
            )
            speed = _measure(learner, MEASURED_SHARE * self._max_time, self._group)
            left = (self.seconds_left or 0.0) - speed.validation
            steps = max(1, min(most_steps, int(left / speed.step)))
        return Outlook(
            tokens_per_step=tokens_per_step, most_steps=most_steps, steps=steps, speed=speed
        )

    def resumed(self, corpus: Corpus, state: TrainingState) -> Outlook:
        """Return what steps the run expected that goes on, with the budget that it has now."""
        tokens_per_step = lay_out(corpus, state.config).tokens_per_step
        expected = state.estimate
        speed = None
        if expected.step_seconds is not None and expected.validation_seconds is not None:
            speed = Speed(step=expected.step_seconds, validation=expected.validation_seconds)
        most_steps = _most_steps(state.config, corpus.train.tokens / tokens_per_step)
        return Outlook(
            tokens_per_step=tokens_per_step,
            most_steps=most_steps,
            steps=most_steps if speed is None else min(expected.steps, most_steps),
            speed=speed,
        )

    @property
    def seconds_left(self) -> float | None:
        """What is left of the time budget to learn in, though planning took long: a fourth."""
        if self._max_time is None:
            return None
        whole = PLANNED_SHARE * self._max_time
        return max(whole - (self._group.now - self._started), whole / 4)


def _most_steps(config: TrainingConfig, steps_per_epoch: float) -> int:
    """Return the steps after which a run ends, however much time is left."""
    if config.max_steps is not None and config.max_epochs is None:
        return config.max_steps
    epochs = MOST_EPOCHS if config.max_epochs is None else config.max_epochs
    return min(max(1, round(epochs * steps_per_epoch)), config.max_steps or sys.maxsize)


def _measure(learner: Learner, most_seconds: float, group: ProcessGroup) -> Speed:
    """Take a few steps with a learning rate of nothing, and a little validation."""
    steps: list[float] = []
    group.sync_clock()
    while len(steps) < SLOW_STEPS + MOST_MEASURED:
        before = group.now
        learner.step(len(steps), 0.0)[0].item()
        group.sync_clock()
        steps.append(group.now - before)
        enough = len(steps) >= SLOW_STEPS + FEWEST_MEASURED and sum(steps) > most_seconds
        if enough or (len(steps) > 1 and sum(steps) > max(1.0, 4 * most_seconds)):  # slow ones
            break
    windows: list[float] = []
    started = time.perf_counter()
    for _ in islice(learner.validation_batches(), 1 + MEASURED_WINDOWS):
        windows.append(time.perf_counter() - started - sum(windows))
        if len(windows) > 1 and sum(windows) > most_seconds:
            break
    # The first process has no fewer passages than any other, and their time for all.
    [window] = group.broadcast_numbers([statistics.median(windows[1:] or windows or [0.0])])
    group.sync_clock()
    return Speed(
        step=statistics.median(steps[min(SLOW_STEPS, len(steps) - 1) :]),
        validation=learner.validation_batch_count * window,
    )
