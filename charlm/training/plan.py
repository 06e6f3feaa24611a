"""What to train, from the text's size and the budget, before the first step is taken."""

import statistics
import sys
import time
from dataclasses import dataclass, replace
from itertools import islice

import torch

from charlm.config import (
    DEFAULT_MAX_TIME,
    SMALLEST_FITTED_SIZE,
    ModelConfig,
    TrainingConfig,
)
from charlm.corpus.encoding import Corpus
from charlm.parameters import parameter_count
from charlm.training.hardware import choose_device, choose_precision
from charlm.training.learner import Learner, lay_out
from charlm.training.loss import most_outputs
from charlm.wording import count, quantity

SLOW_STEPS = 3  # the first steps allocate and choose kernels
FEWEST_MEASURED, MOST_MEASURED = 8, 200  # steps
MEASURED_SHARE = 0.005  # of the time budget
MEASURED_WINDOWS = 8  # of validation
# Of the time budget; the rest is for dynamic evaluation's rates, and for a machine that slows down.
PLANNED_SHARE = 0.94
# A validation token costs about a fourth of a training token, so that validation takes at most
# about one part in 32 of the time.
TRAINED_PER_VALIDATED = 8
PYTORCH_MEMORY = 400_000_000  # bytes of the process beside the network, measured
# Dropout by how often a text is read, from so many times on. A text that is read once or twice is
# not learnt by heart, and dropout costs; one that is read ten times is.
DROPOUT = {0.0: 0.0, 4.0: 0.2, 10.0: 0.3, 20.0: 0.5}
MOST_EPOCHS = 40.0  # unless they are said; after so many a text is learnt by heart, come what may
# Units by the tokens that a network of 512 would read in a run, from so many on: in a short one a
# smaller network, which reads more, learns more. On tiny shakespeare 512, 384 and 256 units come to
# 1.675, 1.638 and 1.603 nats per character in the time of 300 thousand tokens, to 1.471, 1.457 and
# 1.461 in that of 1.2 million, to 1.437, 1.442 and 1.446 in that of 1.7 million; on Tang poems 384
# and 256 to 4.987 and 4.861 in that of 620 thousand.
SIZES = {0: SMALLEST_FITTED_SIZE, 1_000_000: 384, 1_700_000: 512}


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds that one step and one validation take."""

    step: float
    validation: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, decided but for the steps that its time allows.

    Where steps or epochs end it, the same plan on the same text gives the same weights.

    Attributes:
        model: Size of the network.
        config: Settings, with the batch size that fits the text.
        device: Where to compute.
        precision: Type of the matrix products.
        steps: Steps to take; if time ends the run, an estimate.
        most_steps: Steps after which the run ends in any case.
        seconds: How long it may take, validation included; None without a time budget.
        speed: What steps and validations take; None without a time budget.
        validation_interval: Steps between two validations, at least.
        reasons: What was chosen and why, in words.
        parameters: Trained values of the network.
        memory: Estimate of the process's peak, in bytes.
        characters: Of the training text; of pairs, of the targets.
        tokens: Ids of the training text, boundaries included.
        predictions: Those that are predicted.
        tokens_per_step: Ids that are read in one step, on average.
        vocabulary: What can be predicted, in words.
    """

    model: ModelConfig
    config: TrainingConfig
    device: torch.device
    precision: torch.dtype
    steps: int
    most_steps: int
    seconds: float | None
    speed: Speed | None
    validation_interval: int
    reasons: tuple[str, ...]
    parameters: int
    memory: int
    characters: int
    tokens: int
    predictions: int
    tokens_per_step: float
    vocabulary: str

    @property
    def expected_seconds(self) -> float | None:
        """How long learning will take, if nothing changes; None without a time budget."""
        if self.seconds is None or self.speed is None:
            return None
        return min(self.seconds, self.steps * self.speed.step + self.speed.validation)

    @property
    def epochs(self) -> float:
        """How often the training text is read."""
        return self.steps * self.tokens_per_step / self.tokens


def make_plan(
    corpus: Corpus, model: ModelConfig, config: TrainingConfig, *, may_resize: bool = False
) -> Plan:
    """Return the plan for a text and a budget; whatever is given stays as it is.

    With a time budget, the speed is measured over a few steps of a network that is thrown away
    after. It tells what kind of run this will be; how many steps it takes is found out on the way.

    Args:
        corpus: What to learn from.
        model: Size of the network.
        config: Settings; what is None is chosen.
        may_resize: Whether the number of units is the plan's to choose.
    """
    started = time.perf_counter()
    model = replace(
        model,
        form=corpus.config.form,
        document_separator=corpus.config.document_separator,
    )
    if config.max_time is config.max_epochs is config.max_steps is None:
        config = replace(config, max_time=DEFAULT_MAX_TIME)
    tokens = corpus.train.tokens
    reasons: list[str] = []
    fitting = max(1, min(config.batch_size, tokens // config.bptt_length))
    if fitting < config.batch_size:
        config = replace(config, batch_size=fitting)
        reasons.append(f"{count(fitting, 'stream')} side by side for a short text")
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    per_step = lay_out(corpus, config).tokens_per_step
    most_steps = _most_steps(config, tokens / per_step)

    def try_out(model: ModelConfig) -> tuple[int, Speed | None]:
        """Return the steps to expect and, if time may end the run, the speed."""
        if config.max_time is None:
            return most_steps, None
        probe = replace(config, dropout=max(DROPOUT.values()))
        learner = Learner(corpus, model, probe, device=device, precision=precision)
        speed = _measure(learner, MEASURED_SHARE * config.max_time)
        left = _seconds_left(config, started) - speed.validation
        return max(1, min(most_steps, int(left / speed.step))), speed

    steps, speed = try_out(model)
    if may_resize:
        size = [units for least, units in SIZES.items() if least <= steps * per_step][-1]
        read = quantity(steps * per_step)
        reasons.append(f"{size} units, where {model.hidden_size} would read {read} tokens")
        if size != model.hidden_size:
            model = replace(model, hidden_size=size)
            steps, speed = try_out(model)
    config = _fitted(config, model, steps * per_step / tokens, reasons)
    return Plan(
        model=model,
        config=config,
        device=device,
        precision=precision,
        steps=steps,
        most_steps=most_steps,
        seconds=None if config.max_time is None else _seconds_left(config, started),
        speed=speed,
        validation_interval=max(
            1, int(TRAINED_PER_VALIDATED * corpus.validation.tokens / per_step)
        ),
        reasons=tuple(reasons),
        parameters=parameter_count(model, corpus.tokenizer.vocab_size),
        memory=_memory(model, config, corpus.tokenizer.vocab_size),
        characters=corpus.train.characters,
        tokens=tokens,
        predictions=corpus.train.predictions,
        tokens_per_step=per_step,
        vocabulary=corpus.tokenizer.vocabulary,
    )


def _most_steps(config: TrainingConfig, steps_per_epoch: float) -> int:
    """Return the steps after which a run ends, however much time is left."""
    if config.max_steps is not None and config.max_epochs is None:
        return config.max_steps
    epochs = MOST_EPOCHS if config.max_epochs is None else config.max_epochs
    return min(max(1, round(epochs * steps_per_epoch)), config.max_steps or sys.maxsize)


def _seconds_left(config: TrainingConfig, started: float) -> float:
    """Return what is left of the time budget to learn in, though planning took long: a fourth."""
    whole = PLANNED_SHARE * (config.max_time or 0.0)
    return max(whole - (time.perf_counter() - started), whole / 4)


def _measure(learner: Learner, most_seconds: float) -> Speed:
    """Take a few steps with a learning rate of nothing, and a little validation."""
    steps: list[float] = []
    while len(steps) < SLOW_STEPS + MOST_MEASURED:
        before = time.perf_counter()
        learner.step(len(steps), 0.0)[0].item()
        steps.append(time.perf_counter() - before)
        enough = len(steps) >= SLOW_STEPS + FEWEST_MEASURED and sum(steps) > most_seconds
        if enough or (len(steps) > 1 and sum(steps) > max(1.0, 4 * most_seconds)):  # slow ones
            break
    windows: list[float] = []
    before = time.perf_counter()
    for _ in islice(learner.validation_windows(), 1 + MEASURED_WINDOWS):
        windows.append(time.perf_counter() - before)
        before = time.perf_counter()
        if len(windows) > 1 and sum(windows) > most_seconds:
            break
    return Speed(
        step=statistics.median(steps[min(SLOW_STEPS, len(steps) - 1) :]),
        validation=learner.validation_window_count * statistics.median(windows[1:] or windows),
    )


def _fitted(
    config: TrainingConfig, model: ModelConfig, epochs: float, reasons: list[str]
) -> TrainingConfig:
    """Return the settings in which nothing is left open, and add why they are what they are."""
    if config.dropout is None:
        dropout = [share for least, share in DROPOUT.items() if least <= epochs][-1]
        config = replace(config, dropout=dropout)
        reasons.append(f"dropout {dropout:g} for a text that is read {epochs:.2g} times")
    if config.learning_rate is None:
        rate = _fitting_rate(config, model)
        if rate != config.peak_learning_rate:
            kind = "simple" if model.cell == "rnn" else "small"
            reasons.append(f"learning rate {rate:g} for a {kind} network")
        config = replace(config, learning_rate=rate)
    return config


def _fitting_rate(config: TrainingConfig, model: ModelConfig) -> float:
    """Return the peak learning rate for a network.

    A small one of gates takes larger steps: in ten seconds of tiny shakespeare 256 units come to
    1.603 nats per character at 8e-3, to 1.591 at 12e-3. A simple RNN with tanh has no gate that
    would keep a large step from its whole state: in a minute 1,000 units come to 3.00 bits at 8e-3,
    to 2.59 at 2e-3.
    """
    rate = config.peak_learning_rate
    if model.cell == "rnn":
        return rate / 4 if model.nonlinearity == "tanh" else rate
    is_small = model.hidden_size <= SMALLEST_FITTED_SIZE and config.optimizer in ("adamw", "adam")
    return 1.5 * rate if is_small else rate


def _memory(model: ModelConfig, config: TrainingConfig, vocab_size: int) -> int:
    """Estimate the peak of the process in bytes: PyTorch, weights and moments, activations."""
    weights = 4 * parameter_count(model, vocab_size)
    positions = config.batch_size * config.bptt_length
    logits = most_outputs(vocab_size, positions)
    per_token = model.embedding_size + 12 * model.num_layers * model.hidden_size + 3 * logits
    activations = 4 * positions * per_token * len(model.directions)
    return PYTORCH_MEMORY + 5 * weights + activations
