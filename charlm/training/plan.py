"""What to train, from the text's size and the budget, before the first step is taken."""

import statistics
import time
from dataclasses import dataclass, replace

import torch

from charlm.config import (
    DEFAULT_MAX_TIME,
    ModelConfig,
    TrainingConfig,
)
from charlm.corpus.encoding import Corpus
from charlm.parameters import parameter_count
from charlm.training.hardware import choose_device, choose_precision
from charlm.training.learner import Learner, lay_out
from charlm.training.loss import LARGEST_SOFTMAX

SLOW_STEPS = 3  # the first steps allocate and choose kernels
FEWEST_MEASURED, MOST_MEASURED = 8, 200  # steps
MEASURED_SHARE = 0.03  # of the time budget
# Of the time budget; the rest is for dynamic evaluation's rates, and for a machine that slows down.
PLANNED_SHARE = 0.94
# A validation token costs about a fourth of a training token, so that validation takes at most
# about a sixteenth of the time.
TRAINED_PER_VALIDATED = 4
PYTORCH_MEMORY = 400_000_000  # bytes of the process beside the network, measured
MANY_EPOCHS, MANY_EPOCHS_DROPOUT = 4.0, 0.3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, decided: the same plan on the same text gives the same weights.

    Attributes:
        model: Size of the network.
        config: Settings, with the batch size that fits the text.
        device: Where to compute.
        precision: Type of the matrix products.
        steps: Steps to take; if time ends the run, an estimate.
        most_steps: Steps after which the run ends in any case; None if time alone ends it.
        seconds: How long it may take, validation included; None without a time budget.
        validation_interval: Steps between two validations, at least.
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
    most_steps: int | None
    seconds: float | None
    validation_interval: int
    parameters: int
    memory: int
    characters: int
    tokens: int
    predictions: int
    tokens_per_step: float
    vocabulary: str

    @property
    def epochs(self) -> float:
        """How often the training text is read."""
        return self.steps * self.tokens_per_step / self.tokens


def make_plan(corpus: Corpus, model: ModelConfig, config: TrainingConfig) -> Plan:
    """Return the plan for a text and a budget; whatever is given stays as it is.

    With a time budget, the speed is measured over a few steps of a network that is thrown away
    after. It tells what kind of run this will be; how many steps it takes is found out on the way.
    """
    started = time.perf_counter()
    tokens = corpus.train.tokens
    model = replace(
        model,
        form=corpus.config.form,
        document_separator=corpus.config.document_separator,
    )
    if config.max_time is config.max_epochs is config.max_steps is None:
        config = replace(config, max_time=DEFAULT_MAX_TIME)
    config = replace(
        config,
        batch_size=max(1, min(config.batch_size, tokens // config.bptt_length)),
        learning_rate=_fitting_rate(config, model),
    )
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    per_step = lay_out(corpus, config).tokens_per_step
    limits = [] if config.max_steps is None else [config.max_steps]
    if config.max_epochs is not None:
        limits.append(max(1, round(config.max_epochs * tokens / per_step)))
    most_steps = min(limits, default=None)
    seconds = None
    if config.max_time is not None:
        dropout = MANY_EPOCHS_DROPOUT if config.dropout is None else config.dropout
        learner = Learner(
            corpus, model, replace(config, dropout=dropout), device=device, precision=precision
        )
        a_step = _measure(learner, MEASURED_SHARE * config.max_time)
        seconds = PLANNED_SHARE * config.max_time - (time.perf_counter() - started)
        limits.append(max(1, int(seconds / a_step)))
    steps = min(limits)
    if config.dropout is None:
        config = replace(config, dropout=_fitting_dropout(steps * per_step / tokens))
    affordable = int(TRAINED_PER_VALIDATED * corpus.validation.tokens / per_step)
    return Plan(
        model=model,
        config=config,
        device=device,
        precision=precision,
        steps=steps,
        most_steps=most_steps,
        seconds=seconds,
        validation_interval=max(1, affordable),
        parameters=parameter_count(model, corpus.tokenizer.vocab_size),
        memory=_memory(model, config, corpus.tokenizer.vocab_size),
        characters=corpus.train.characters,
        tokens=tokens,
        predictions=corpus.train.predictions,
        tokens_per_step=per_step,
        vocabulary=corpus.tokenizer.vocabulary,
    )


def _measure(learner: Learner, most_seconds: float) -> float:
    """Return the seconds of a step, from a few with a learning rate of nothing."""
    steps: list[float] = []
    while len(steps) < SLOW_STEPS + MOST_MEASURED:
        before = time.perf_counter()
        learner.step(len(steps), 0.0)[0].item()
        steps.append(time.perf_counter() - before)
        enough = len(steps) >= SLOW_STEPS + FEWEST_MEASURED and sum(steps) > most_seconds
        if enough or (len(steps) > 1 and sum(steps) > 4 * most_seconds):  # each takes seconds
            break
    return statistics.median(steps[min(SLOW_STEPS, len(steps) - 1) :])


def _fitting_rate(config: TrainingConfig, model: ModelConfig) -> float:
    """Return the peak learning rate: the given one, or the optimizer's, a quarter of it for tanh.

    A simple RNN with tanh has no gate that would keep a large step from its whole state. Measured
    in a minute of tiny shakespeare at 1,000 units: 3.00 bits per character at 8e-3, 2.59 at 2e-3.
    """
    is_tanh = model.cell == "rnn" and model.nonlinearity == "tanh"
    if config.learning_rate is None and is_tanh:
        return config.peak_learning_rate / 4
    return config.peak_learning_rate


def _fitting_dropout(epochs: float) -> float:
    """Return a dropout for a text that is read `epochs` times.

    A text that is read once or twice is not learnt by heart, and dropout costs; one that is read
    ten times is. Measured on one minute of tiny shakespeare (1.5 epochs: 1.472 nats per character
    without, 1.532 with 0.2) and of the ferry tales (11 epochs: 1.25 without, 1.16 with 0.3).
    """
    return MANY_EPOCHS_DROPOUT if epochs >= MANY_EPOCHS else 0.0


def _memory(model: ModelConfig, config: TrainingConfig, vocab_size: int) -> int:
    """Estimate the peak of the process in bytes: PyTorch, weights and moments, activations."""
    weights = 4 * parameter_count(model, vocab_size)
    logits = min(vocab_size, LARGEST_SOFTMAX)
    per_token = model.embedding_size + 12 * model.num_layers * model.hidden_size + 3 * logits
    activations = 4 * config.batch_size * config.bptt_length * per_token * len(model.directions)
    return PYTORCH_MEMORY + 5 * weights + activations
