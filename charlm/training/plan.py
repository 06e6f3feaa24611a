"""What to train, from the size of the text and the budget, before the first step.

`choices.py` has the measured thresholds, `estimate.py` the number of steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from charlm.config import (
    DEFAULT_MAX_TIME,
    SHORT_BPTT_LENGTH,
    ModelConfig,
    TrainingConfig,
)
from charlm.corpus.encoding import Corpus
from charlm.errors import ConfigError
from charlm.formatting import count, duration
from charlm.parameters import parameter_count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.choices import (
    fitting_size,
    short_window_reason,
    size_reason,
    with_dropout,
    with_learning_rate,
)
from charlm.training.estimate import (
    PLANNED_SHARE,
    Estimate,
    Estimator,
    Throughput,
    resumed_estimate,
)
from charlm.training.hardware import Hardware, choose_hardware
from charlm.training.loss import most_outputs
from charlm.training.progress import PlanEstimate
from charlm.training.state import TrainingState

# Training tokens per validation token. A validation token costs about a fourth of a training token,
# so validation takes at most about one 32nd of the time.
TRAINED_PER_VALIDATED = 8
PYTORCH_MEMORY = 400_000_000  # bytes of the process beside the network, measured


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, decided except for the number of steps that a time budget allows.

    Where steps or epochs end the run, the same plan on the same text gives the same weights.

    Attributes:
        model: Settings of the network.
        config: Training settings, all of which are decided.
        device: Where to compute.
        precision: Type of the matrix products.
        processes: Number of processes.
        steps: Steps of the run; an estimate if time ends it.
        most_steps: Steps after which the run ends in any case.
        seconds: Time that the run may take, validation included; None without a time budget.
        throughput: Seconds of a step and of a validation; None without a time budget.
        validation_interval: Steps between two validations, at least.
        reasons: What was chosen and why, as printed.
        parameters: Trained values of the network.
        memory: Estimated peak of each process, in bytes.
        characters: Of the training text; of pairs, of the targets.
        tokens: Ids of the training text, boundaries included.
        predictions: Ids that are predicted.
        tokens_per_step: Ids that are read in one step, on average.
        vocabulary: Size and kind of the vocabulary, as printed.
    """

    model: ModelConfig
    config: TrainingConfig
    device: torch.device
    precision: torch.dtype
    processes: int
    steps: int
    most_steps: int
    seconds: float | None
    throughput: Throughput | None
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
    size of the network and of a step; the number of steps is decided during the run.

    Args:
        corpus: The encoded texts.
        model: Settings of the network.
        config: Training settings; None where the plan chooses.
        may_resize: Whether the plan may choose the hidden size.
        group: The processes of the run. All of them get the same plan.

    Raises:
        ConfigError: If there are more processes than streams.
    """
    model = replace(
        model,
        task=corpus.config.task,
        document_separator=corpus.config.document_separator,
    )
    if config.max_time is config.max_epochs is config.max_steps is None:
        config = replace(config, max_time=DEFAULT_MAX_TIME)
    tokens = corpus.train.tokens
    reasons: list[str] = []
    config = with_learning_rate(config, model, reasons)
    most_streams = max(1, tokens // config.window_length)
    if most_streams < config.batch_size:
        config = replace(config, batch_size=most_streams)
        reasons.append(f"{count(most_streams, 'stream')} side by side for a short text")
    _require_streams(config, group)
    estimator = Estimator(config, group)
    estimate = estimator.estimate(corpus, model, config)
    if may_resize:
        size = fitting_size(model, tokens, estimate.tokens)
        reasons.append(size_reason(size, model, config, estimate))
        if size != model.hidden_size:
            model = replace(model, hidden_size=size)
            estimate = estimator.estimate(corpus, model, config)
    if config.bptt_length is None and estimate.is_short:
        config = replace(config, bptt_length=SHORT_BPTT_LENGTH)
        reasons.append(short_window_reason(config, model))
        estimate = estimator.estimate(corpus, model, config)
    config = with_dropout(config, model, tokens, estimate.tokens / tokens, reasons)
    config = replace(config, bptt_length=config.window_length)
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


def with_budget(state: TrainingState, config: TrainingConfig) -> TrainingState:
    """Return a saved run with the budget of `config`, to which its learning rate is fitted anew.

    Raises:
        ConfigError: If the run has already used up that budget.
    """
    progress, max_time = state.progress, config.max_time
    if config.max_steps is not None and config.max_steps <= progress.step:
        raise ConfigError(f"max-steps must be above {progress.step}, the steps that were taken")
    if max_time is not None and PLANNED_SHARE * max_time <= progress.seconds:
        least = progress.seconds / PLANNED_SHARE
        raise ConfigError(
            f"max-time must be above {least:.1f} seconds: the run has taken "
            f"{duration(progress.seconds)}"
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
            is_over=False,
            step_seconds=step_seconds,
        ),
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
        memory=_memory(model, config, vocab_size, processes),
        characters=corpus.train.characters,
        tokens=corpus.train.tokens,
        predictions=corpus.train.predictions,
        tokens_per_step=tokens_per_step,
        vocabulary=corpus.tokenizer.vocabulary,
    )


def _memory(model: ModelConfig, config: TrainingConfig, vocab_size: int, processes: int) -> int:
    """Estimate the peak memory of a process in bytes.

    It is PyTorch, the weights with gradients and optimizer state, and the activations.
    """
    weights = 4 * parameter_count(model, vocab_size)
    positions = -(-config.batch_size // processes) * config.window_length
    logits = most_outputs(vocab_size, positions)
    per_token = model.embedding_size + 12 * model.num_layers * model.hidden_size + 3 * logits
    activations = 4 * positions * per_token * len(model.directions)
    return PYTORCH_MEMORY + 5 * weights + activations
