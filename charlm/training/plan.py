"""What to train, from the text's size and the budget, before the first step is taken."""

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
from charlm.formatting import count, quantity
from charlm.parameters import parameter_count, recurrent_count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.estimate import PLANNED_SHARE, Machine, Outlook, Speed
from charlm.training.loss import most_outputs
from charlm.training.state import PlanEstimate, TrainingState, damaged

# A validation token costs about a fourth of a training token, so that validation takes at most
# about one part in 32 of the time.
TRAINED_PER_VALIDATED = 8
PYTORCH_MEMORY = 400_000_000  # bytes of the process beside the network, measured
# Units by the tokens that a network of 512 would read in a run, from so many on: in a short one a
# smaller network, which reads more, learns more. On tiny shakespeare, in nats per character:
#
#     tokens         256 units   384     512
#     0.9 million    1.478       1.484
#     1.3 million    1.452       1.449   1.466
#     1.8 million                1.435   1.444
#     3.6 million                1.430   1.436
#     9 million                  1.417   1.390
#
# and on Tang poems in the time of a million 4.698 and 4.789 (of one random seed or two each, at
# steps that take as long on a quiet machine).
SIZES = {0: SMALLEST_FITTED_SIZE, 1_300_000: 384, 4_000_000: 512}
# From this on it is the text that is short, not the time, and a larger network may learn more from
# it, if it reads so many tokens. In a minute of the ferry tales (1.3 million) 512 units come to
# 1.139 nats per character, 384 to 1.157, 256 to 1.158, all with windows of 32 tokens; in 42 seconds
# (0.9 million) to 1.155, 1.152, 1.159.
DROPOUT_OF_SHORT_TEXTS = 0.3
FEWEST_TOKENS_OF_SHORT_TEXTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, decided but for the steps that its time allows.

    Where steps or epochs end it, the same plan on the same text gives the same weights.

    Attributes:
        model: Size of the network.
        config: Settings, in which nothing is left open.
        device: Where to compute.
        precision: Type of the matrix products.
        processes: How many train.
        steps: Steps to take; if time ends the run, an estimate.
        most_steps: Steps after which the run ends in any case.
        seconds: How long it may take, validation included; None without a time budget.
        speed: What steps and validations take; None without a time budget.
        validation_interval: Steps between two validations, at least.
        reasons: What was chosen and why, in words.
        parameters: Trained values of the network.
        memory: Estimate of each process's peak, in bytes.
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
    processes: int
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
    corpus: Corpus,
    model: ModelConfig,
    config: TrainingConfig,
    *,
    may_resize: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Plan:
    """Return the plan for a text and a budget; whatever is given stays as it is.

    With a time budget, the speed is measured over a few steps of networks that are thrown away
    after. It tells what kind of run this will be; how many steps it takes is found out on the way.

    Args:
        corpus: What to learn from.
        model: Size of the network.
        config: Settings; what is None is chosen.
        may_resize: Whether the number of units is the plan's to choose.
        group: The processes that will train, each of which gets the same plan.

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
    config = _with_rate(config, model, reasons)
    fitting = max(1, min(config.batch_size, tokens // config.window_length))
    if fitting < config.batch_size:
        config = replace(config, batch_size=fitting)
        reasons.append(f"{count(fitting, 'stream')} side by side for a short text")
    _refuse_idle_processes(config, group)
    machine = Machine(config, group)
    ahead = machine.outlook(corpus, model, config)
    if may_resize:
        size = _fitting_size(model, tokens, ahead.tokens)
        read = quantity(ahead.tokens)
        reasons.append(f"{size} units, where {model.hidden_size} would read {read} tokens")
        if size != model.hidden_size:
            model = replace(model, hidden_size=size)
            ahead = machine.outlook(corpus, model, config)
    if config.bptt_length is None and ahead.is_short:
        config = replace(config, bptt_length=SHORT_BPTT_LENGTH)
        reasons.append(_of_short_steps(config, model))
        ahead = machine.outlook(corpus, model, config)
    config = _with_dropout(config, model, tokens, ahead.tokens / tokens, reasons)
    config = replace(config, bptt_length=config.window_length)
    return _plan(corpus, model, config, machine, ahead, reasons, seconds=machine.seconds_left)


def resume_plan(corpus: Corpus, state: TrainingState, group: ProcessGroup = SINGLE_PROCESS) -> Plan:
    """Return the plan of a run that goes on; only its budget may have changed.

    Raises:
        CheckpointError: If a step would read more than the whole text, which no plan lets it.
        ConfigError: If more steps have been taken than the budget has, or there are more processes
            than streams.
    """
    batch_size, length = state.config.batch_size, state.config.window_length
    if batch_size > max(1, corpus.train.tokens // length):
        raise damaged(f"{batch_size:,} streams are too many for its text")
    _refuse_idle_processes(state.config, group)
    machine = Machine(state.config, group)
    ahead, seconds = machine.resumed(corpus, state), state.estimate.seconds
    if ahead.most_steps < state.progress.step:
        raise ConfigError(
            f"the budget is of {count(ahead.most_steps, 'step')}, "
            f"but {state.progress.step:,} were taken already",
            hint="give the run a larger one",
        )
    return _plan(corpus, state.model, state.config, machine, ahead, state.reasons, seconds=seconds)


def _refuse_idle_processes(config: TrainingConfig, group: ProcessGroup) -> None:
    """Raise ConfigError if not every process would have a stream."""
    if config.batch_size < group.world_size:
        raise ConfigError(
            f"{count(config.batch_size, 'stream')} cannot be shared by "
            f"{group.world_size} processes",
            hint="start fewer, or learn from a longer text with a larger --batch-size",
        )


def with_budget(state: TrainingState, config: TrainingConfig) -> TrainingState:
    """Return the run with the budget of `config`: its learning rate is fitted to it anew.

    Raises:
        ConfigError: If more than that has been done already.
    """
    place, allowed = state.progress, config.max_time
    if config.max_steps is not None and config.max_steps <= place.step:
        raise ConfigError(f"max-steps must be above {place.step}, the steps that were taken")
    if allowed is not None and PLANNED_SHARE * allowed <= place.seconds:
        least = place.seconds / PLANNED_SHARE
        raise ConfigError(f"max-time must be above {least:.1f} seconds, for which the run has gone")
    # Before its first report a run knows nothing of its pace; the next ones correct the guess.
    step_seconds = place.step_seconds or 0.01
    seconds, steps = None, config.max_steps or place.step
    if allowed is not None:
        seconds = PLANNED_SHARE * allowed
        steps = place.step + max(1, int((seconds - place.seconds) / step_seconds))
    return replace(
        state,
        config=config,
        estimate=PlanEstimate(
            steps=steps,
            seconds=seconds,
            step_seconds=step_seconds if seconds is not None else None,
            validation_seconds=place.validation_seconds if seconds is not None else None,
        ),
        progress=replace(
            place, steps=None, validations_since_best=0, is_over=False, step_seconds=step_seconds
        ),
    )


def _plan(
    corpus: Corpus,
    model: ModelConfig,
    config: TrainingConfig,
    machine: Machine,
    ahead: Outlook,
    reasons: Sequence[str],
    *,
    seconds: float | None,
) -> Plan:
    """Return the plan for settings in which nothing is left open."""
    return Plan(
        model=model,
        config=config,
        device=machine.device,
        precision=machine.precision,
        processes=machine.processes,
        steps=ahead.steps,
        most_steps=ahead.most_steps,
        seconds=seconds,
        speed=ahead.speed,
        validation_interval=max(
            1, int(TRAINED_PER_VALIDATED * corpus.validation.tokens / ahead.tokens_per_step)
        ),
        reasons=tuple(reasons),
        parameters=parameter_count(model, corpus.tokenizer.vocab_size),
        memory=_memory(model, config, corpus.tokenizer.vocab_size, machine.processes),
        characters=corpus.train.characters,
        tokens=corpus.train.tokens,
        predictions=corpus.train.predictions,
        tokens_per_step=ahead.tokens_per_step,
        vocabulary=corpus.tokenizer.vocabulary,
    )


def _with_dropout(
    config: TrainingConfig, model: ModelConfig, tokens: int, epochs: float, reasons: list[str]
) -> TrainingConfig:
    """Return the settings with a dropout, and add why it is what it is."""
    if config.dropout is not None:
        return config
    dropout = _fitting_dropout(model, tokens, epochs)
    times = f"{epochs:.2g}" if epochs < 99.5 else f"{epochs:.0f}"
    reasons.append(
        f"dropout {dropout:g} for a text that is read {times} times by "
        f"{quantity(recurrent_count(model))} recurrent weights"
    )
    return replace(config, dropout=dropout)


def _fitting_size(model: ModelConfig, tokens: int, read: float) -> int:
    """Return the units for a text of `tokens`, of which `model`, the largest, would read `read`."""
    size = [units for least, units in SIZES.items() if least <= read][-1]
    is_short_text = _fitting_dropout(model, tokens, read / tokens) >= DROPOUT_OF_SHORT_TEXTS
    return model.hidden_size if is_short_text and read >= FEWEST_TOKENS_OF_SHORT_TEXTS else size


def _fitting_dropout(model: ModelConfig, tokens: int, epochs: float) -> float:
    """Return the dropout for a text of `tokens` that is read so often."""
    strain = epochs * recurrent_count(model) / tokens
    return [share for least, share in DEFAULT_DROPOUT.items() if least <= strain][-1]


def _with_rate(config: TrainingConfig, model: ModelConfig, reasons: list[str]) -> TrainingConfig:
    """Return the settings with a peak learning rate, and add why it is not the default.

    The gradient of fewer streams is noisier, and Adam's step then has to be smaller by the square
    root of their share (Malladi et al. 2022, https://arxiv.org/abs/2205.10287): 16 streams come to
    1.462 at 8e-3, to 1.458 at 1.1e-2. (Not so where few fill the whole text.) A simple RNN with
    tanh has no gate that would keep a large step from its whole state: in a minute 1,000 units and
    16 streams come to 3.00 bits at 8e-3, to 2.59 at 2e-3.
    """
    if config.learning_rate is not None:
        return config
    rate = config.peak_learning_rate
    if config.optimizer in ("adamw", "adam"):
        rate *= min(1.0, math.sqrt(config.batch_size / TrainingConfig.batch_size))
    is_simple = model.cell == "rnn" and model.nonlinearity == "tanh"
    rate = float(f"{rate / 4 if is_simple else rate:.3g}")  # as it is told
    if rate != config.peak_learning_rate:
        streams = count(config.batch_size, "stream")
        kind = " of a simple network" if is_simple else ""
        reasons.append(f"learning rate {rate:g} for {streams}{kind}")
    return replace(config, learning_rate=rate)


def _of_short_steps(config: TrainingConfig, model: ModelConfig) -> str:
    """Say how many tokens a step of a short run reads: of each stream, or of all items together."""
    if model.task == "text":
        return f"windows of {config.window_length} tokens for a short run"
    return f"batches of {config.batch_size * config.window_length:,} tokens for a short run"


def _memory(model: ModelConfig, config: TrainingConfig, vocab_size: int, processes: int) -> int:
    """Estimate the peak of a process in bytes: PyTorch, weights and moments, activations."""
    weights = 4 * parameter_count(model, vocab_size)
    positions = -(-config.batch_size // processes) * config.window_length
    logits = most_outputs(vocab_size, positions)
    per_token = model.embedding_size + 12 * model.num_layers * model.hidden_size + 3 * logits
    activations = 4 * positions * per_token * len(model.directions)
    return PYTORCH_MEMORY + 5 * weights + activations
