"""What to train, from the size of the text and the budget, before the first step.

Every threshold stands beside the figures that it follows from. The plan chooses nothing that was
not measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from charlm.config import (
    DEFAULT_DROPOUT,
    DEFAULT_MAX_TIME,
    SHORT_BPTT_LENGTH,
    SMALLEST_FITTED_SIZE,
    ModelConfig,
    TrainingConfig,
)
from charlm.corpus.encoding import Corpus
from charlm.errors import ConfigError
from charlm.formatting import count, duration, quantity
from charlm.parameters import parameter_count, recurrent_count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.encoder_settings import LEARNING_RATE, dropout_for, with_example_batches
from charlm.training.estimate import (
    Estimate,
    Estimator,
    Throughput,
    most_epochs,
    peak_memory,
    resumed_estimate,
)
from charlm.training.hardware import Hardware, choose_hardware
from charlm.training.state import TrainingState

# Training tokens per validation token. A validation token costs about a fourth of a training token,
# so validation takes at most about one 32nd of the time.
TRAINED_PER_VALIDATED = 8
# Hidden size by the tokens that a run would read with 512 units. In a short run a smaller network
# reads more tokens, and scores better. On tiny shakespeare, in nats per character:
#
#     tokens         256 units   384     512
#     0.9 million    1.478       1.484
#     1.3 million    1.452       1.449   1.466
#     1.8 million                1.435   1.444
#     3.6 million                1.430   1.436
#     9 million                  1.417   1.390
#
# and on Tang poems in the time of a million tokens 4.698 and 4.789 (one or two random seeds each,
# with steps as long as on an idle machine).
SIZES = {0: SMALLEST_FITTED_SIZE, 1_300_000: 384, 4_000_000: 512}
# From this dropout on, the text is short rather than the time. Then a larger network may score
# better, if it reads enough tokens. In a minute of the ferry tales (1.3 million tokens), with
# windows of 32 tokens, 512 units come to 1.139 nats per character, 384 to 1.157, 256 to 1.158; in
# 42 seconds (0.9 million) to 1.155, 1.152, 1.159.
DROPOUT_OF_SHORT_TEXTS = 0.3
FEWEST_TOKENS_OF_SHORT_TEXTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, decided except for the number of steps that a time budget allows.

    Where steps or epochs end the run, the same plan on the same text gives the same weights.
    """

    model: ModelConfig
    config: TrainingConfig  # all settings are decided
    device: torch.device
    precision: torch.dtype  # type of the matrix products
    processes: int
    steps: int  # steps of the run; an estimate if time ends it
    most_steps: int  # steps after which the run ends in any case
    seconds: float | None  # that the run may take, validation included; None without a time budget
    throughput: Throughput | None  # None without a time budget
    validation_interval: int  # steps between two validations, at least
    reasons: tuple[str, ...]  # what was chosen and why, as printed
    parameters: int  # trained values of the network
    memory: int  # estimated peak of each process, in bytes
    characters: int  # of the training text; of pairs, of the targets
    tokens: int  # ids of the training text, boundaries included
    predictions: int  # ids that are predicted
    tokens_per_step: float  # ids that are read in one step, on average
    vocabulary: str  # size and kind of the vocabulary, as printed

    @property
    def expected_seconds(self) -> float | None:
        """Expected time of the run; None without a time budget."""
        if self.seconds is None or self.throughput is None:
            return None
        trained = self.steps * self.throughput.step_seconds
        return min(self.seconds, trained + self.throughput.validation_seconds)

    @property
    def epochs(self) -> float:
        """How often the training text is read."""
        return self.steps * self.tokens_per_step / self.tokens


def make_plan(
    corpus: Corpus,
    model: ModelConfig,
    config: TrainingConfig,
    *,
    may_resize: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Plan:
    """Return the plan for a text and a budget. Settings that are given stay as they are.

    With a time budget, a few steps of temporary networks measure the throughput. It decides the
    size of the network and of a step; the number of steps is decided during the run. The plan may
    choose the hidden size only with `may_resize`. All processes of `group` get the same plan.

    Raises:
        ConfigError: If there are more processes than streams.
    """
    model = replace(
        model,
        task=corpus.config.task,
        document_separator=corpus.config.document_separator,
        begins_after=corpus.config.begins_after or "",
        predicts_end=bool(corpus.config.predicts_end),
        mask=corpus.config.mask,
        columns=corpus.config.columns,
    )
    if model.is_of_classes:
        classes = corpus.tokenizer.vocab_size - corpus.tokenizer.first_symbol
        model = replace(model, num_classes=classes)
    if config.max_time is config.max_epochs is config.max_steps is None:
        config = replace(config, max_time=DEFAULT_MAX_TIME)
    tokens = corpus.train.tokens
    reasons: list[str] = []
    if model.has_encoder:
        config, may_resize = with_example_batches(config, corpus, reasons), False
    config = _with_learning_rate(config, model, reasons)
    most_streams = max(1, tokens // config.window_length)
    if most_streams < config.batch_size:
        config = replace(config, batch_size=most_streams)
        reasons.append(f"{count(most_streams, 'stream')} side by side for a short text")
    _require_streams(config, group)
    estimator = Estimator(config, group)
    most_tokens = estimator.most_tokens(tokens)
    if may_resize and most_tokens is not None and most_tokens <= FEWEST_TOKENS_OF_SHORT_TEXTS:
        # To measure larger networks would take a tenth of the time or more.
        model, may_resize = replace(model, hidden_size=min(SIZES.values())), False
        reasons.append(f"hidden size {model.hidden_size} for {duration(config.max_time or 0)}")
        if config.bptt_length is None:
            config = replace(config, bptt_length=SHORT_BPTT_LENGTH)
            reasons.append(_short_window_reason(config, model))
    estimate = estimator.estimate(corpus, model, config)
    if may_resize:
        size = _fitting_size(model, tokens, estimate.tokens)
        reasons.append(_size_reason(size, model, config, estimate))
        if size != model.hidden_size:
            model = replace(model, hidden_size=size)
            estimate = estimator.estimate(corpus, model, config)
    if config.bptt_length is None and estimate.is_short:
        config = replace(config, bptt_length=SHORT_BPTT_LENGTH)
        reasons.append(_short_window_reason(config, model))
        estimate = estimator.estimate(corpus, model, config)
    config = _with_dropout(config, model, tokens, estimate.tokens / tokens, reasons)
    config = replace(config, bptt_length=config.window_length)
    if config.max_epochs is config.max_steps is None and estimate.steps == estimate.most_steps:
        reasons.append(
            f"{most_epochs(model):g} epochs at most, after which a text is memorised; "
            "--max-epochs sets another limit"
        )
    return _plan(
        corpus,
        model,
        config,
        estimator.hardware,
        estimate,
        reasons,
        processes=group.world_size,
        seconds=estimator.seconds_left,
    )


def resume_plan(corpus: Corpus, state: TrainingState, group: ProcessGroup = SINGLE_PROCESS) -> Plan:
    """Return the plan of a saved run. Only its budget may have changed.

    Raises:
        CheckpointError: If a step would read more than the whole text.
        ConfigError: If more steps were taken than the budget allows, or there are more processes
            than streams.
    """
    state.check_text_size(corpus.train.tokens)
    _require_streams(state.config, group)
    group.sync_clock()
    hardware = choose_hardware(state.config, group)
    estimate = resumed_estimate(corpus, state)
    if estimate.most_steps < state.progress.step:
        raise ConfigError(
            f"the budget is {count(estimate.most_steps, 'step')}, "
            f"but the run has taken {state.progress.step:,}",
            hint="use a larger --max-steps, --max-epochs or --max-time",
        )
    return _plan(
        corpus,
        state.model,
        state.config,
        hardware,
        estimate,
        state.reasons,
        processes=group.world_size,
        seconds=state.estimate.seconds,
    )


def _require_streams(config: TrainingConfig, group: ProcessGroup) -> None:
    """Raise ConfigError unless every process has a stream."""
    if config.batch_size < group.world_size:
        raise ConfigError(
            f"{count(config.batch_size, 'stream')} cannot be shared by "
            f"{group.world_size} processes",
            hint=f"torchrun --nproc-per-node {config.batch_size}, or train on a longer text with "
            "a larger --batch-size",
        )


def _plan(
    corpus: Corpus,
    model: ModelConfig,
    config: TrainingConfig,
    hardware: Hardware,
    estimate: Estimate,
    reasons: Sequence[str],
    *,
    processes: int,
    seconds: float | None,
) -> Plan:
    """Return the plan for settings that are all decided."""
    vocab_size, tokens_per_step = corpus.tokenizer.vocab_size, estimate.tokens_per_step
    if hardware.fallback is not None and hardware.fallback not in reasons:
        reasons = [*reasons, hardware.fallback]
    return Plan(
        model=model,
        config=config,
        device=hardware.device,
        precision=hardware.precision,
        processes=processes,
        steps=estimate.steps,
        most_steps=estimate.most_steps,
        seconds=seconds,
        throughput=estimate.throughput,
        validation_interval=max(
            1, int(TRAINED_PER_VALIDATED * corpus.validation.tokens / tokens_per_step)
        ),
        reasons=tuple(reasons),
        parameters=parameter_count(model, vocab_size),
        memory=peak_memory(model, config, vocab_size, processes),
        characters=corpus.train.characters,
        tokens=corpus.train.tokens,
        predictions=corpus.train.predictions,
        tokens_per_step=tokens_per_step,
        vocabulary=corpus.tokenizer.vocabulary,
    )


def _with_dropout(
    config: TrainingConfig, model: ModelConfig, tokens: int, epochs: float, reasons: list[str]
) -> TrainingConfig:
    """Return the settings with a dropout, and append the reason."""
    if config.dropout is not None:
        return config
    if model.has_encoder:
        dropout = dropout_for(tokens)
        reasons.append(f"dropout {dropout:g} for {quantity(tokens)} tokens")
        return replace(config, dropout=dropout)
    dropout = _fitting_dropout(model, tokens, epochs)
    times = f"{epochs:.2g}" if epochs < 99.5 else f"{epochs:.0f}"
    reasons.append(
        f"dropout {dropout:g} for {times} epochs and "
        f"{quantity(recurrent_count(model))} recurrent weights"
    )
    return replace(config, dropout=dropout)


def _fitting_size(model: ModelConfig, tokens: int, tokens_read: float) -> int:
    """Return the hidden size for a text, if the largest network reads `tokens_read` of it."""
    dropout = _fitting_dropout(model, tokens, tokens_read / tokens)
    if dropout >= DROPOUT_OF_SHORT_TEXTS and tokens_read >= FEWEST_TOKENS_OF_SHORT_TEXTS:
        return model.hidden_size
    return [units for least, units in SIZES.items() if least <= tokens_read][-1]


def _fitting_dropout(model: ModelConfig, tokens: int, epochs: float) -> float:
    """Return the dropout for a text of `tokens` that is read in `epochs`."""
    weights_per_token = epochs * recurrent_count(model) / tokens
    return [dropout for least, dropout in DEFAULT_DROPOUT.items() if least <= weights_per_token][-1]


def _size_reason(size: int, model: ModelConfig, config: TrainingConfig, estimate: Estimate) -> str:
    """Return the reason of a hidden size: the tokens that the budget allows the largest one."""
    tokens = quantity(estimate.tokens)
    budget = "the budget"
    if config.max_time is not None and estimate.steps < estimate.most_steps:
        budget = duration(config.max_time)
    if size == model.hidden_size:
        return f"hidden size {size}: {budget} is enough for {tokens} tokens"
    largest = count(model.hidden_size, "unit")
    return f"hidden size {size}: with {largest}, {budget} is enough for only {tokens} tokens"


def _with_learning_rate(
    config: TrainingConfig, model: ModelConfig, reasons: list[str]
) -> TrainingConfig:
    """Return the settings with a peak learning rate; append the reason if it is not the default.

    The gradient of fewer streams is noisier, so that Adam needs smaller steps, by the square root
    of their share (Malladi et al. 2022, https://arxiv.org/abs/2205.10287): 16 streams come to 1.462
    with 8e-3, to 1.458 with 1.1e-2. (Not so where few streams hold the whole text.) A simple RNN
    with tanh has no gate that protects its state from a large step: in a minute, 1,000 units and 16
    streams come to 3.00 bits with 8e-3, to 2.59 with 2e-3. With ReLU nothing bounds the state: a
    step of Adam can raise the largest eigenvalue of the recurrent matrix by H times the rate. With
    a rate of 2 / H four of six runs of 256 to 1,000 units diverged, with 1 / H none of three.
    """
    if config.learning_rate is not None:
        return config
    rate = config.peak_learning_rate
    if config.optimizer in ("adamw", "adam"):
        rate = LEARNING_RATE if model.has_encoder else rate
        rate *= min(1.0, math.sqrt(config.batch_size / TrainingConfig.batch_size))
    is_simple = model.cell == "rnn"
    if is_simple:
        rate = rate / 4 if model.nonlinearity == "tanh" else min(rate, 1 / model.hidden_size)
    rate = float(f"{rate:.3g}")  # as printed
    if rate != config.peak_learning_rate:
        streams = count(config.batch_size, "stream")
        network = " of a simple network" if is_simple else ""
        network += " with an encoder" if model.has_encoder else ""
        reasons.append(f"learning rate {rate:g} for {streams}{network}")
    return replace(config, learning_rate=rate)


def _short_window_reason(config: TrainingConfig, model: ModelConfig) -> str:
    """Return the reason of short windows, or of small batches of examples."""
    if model.task == "text":
        return f"windows of {config.window_length} tokens for a short run"
    return f"batches of {config.batch_size * config.window_length:,} tokens for a short run"
