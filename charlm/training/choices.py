"""Hidden size, dropout and learning rate that fit a text and a budget.

Every threshold stands beside the figures that it follows from. What is not measured is not chosen.
"""

import math
from dataclasses import replace

from charlm.config import DEFAULT_DROPOUT, SMALLEST_FITTED_SIZE, ModelConfig, TrainingConfig
from charlm.formatting import count, duration, quantity
from charlm.parameters import recurrent_count
from charlm.training.estimate import Estimate

# Hidden size by the tokens that a run would read with 512 units. In a short run a smaller network
# reads more tokens, and learns more. On tiny shakespeare, in nats per character:
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
# From this dropout on, the text is short rather than the time, and a larger network may learn more,
# if it reads enough tokens. In a minute of the ferry tales (1.3 million tokens), with windows of 32
# tokens, 512 units come to 1.139 nats per character, 384 to 1.157, 256 to 1.158; in 42 seconds (0.9
# million) to 1.155, 1.152, 1.159.
DROPOUT_OF_SHORT_TEXTS = 0.3
FEWEST_TOKENS_OF_SHORT_TEXTS = 1_000_000


def with_dropout(
    config: TrainingConfig, model: ModelConfig, tokens: int, epochs: float, reasons: list[str]
) -> TrainingConfig:
    """Return the settings with a dropout, and append the reason."""
    if config.dropout is not None:
        return config
    dropout = _fitting_dropout(model, tokens, epochs)
    times = f"{epochs:.2g}" if epochs < 99.5 else f"{epochs:.0f}"
    reasons.append(
        f"dropout {dropout:g} for {times} epochs and "
        f"{quantity(recurrent_count(model))} recurrent weights"
    )
    return replace(config, dropout=dropout)


def fitting_size(model: ModelConfig, tokens: int, tokens_read: float) -> int:
    """Return the hidden size for a text of `tokens`.

    Args:
        model: The largest network.
        tokens: Of the text.
        tokens_read: That this network would read in the run.
    """
    size = [units for least, units in SIZES.items() if least <= tokens_read][-1]
    dropout = _fitting_dropout(model, tokens, tokens_read / tokens)
    is_short_text = dropout >= DROPOUT_OF_SHORT_TEXTS
    if is_short_text and tokens_read >= FEWEST_TOKENS_OF_SHORT_TEXTS:
        return model.hidden_size
    return size


def _fitting_dropout(model: ModelConfig, tokens: int, epochs: float) -> float:
    """Return the dropout for a text of `tokens` that is read so often."""
    weights_per_token = epochs * recurrent_count(model) / tokens
    return [dropout for least, dropout in DEFAULT_DROPOUT.items() if least <= weights_per_token][-1]


def size_reason(size: int, model: ModelConfig, config: TrainingConfig, estimate: Estimate) -> str:
    """Return the reason of a hidden size: the tokens that the budget allows the largest one."""
    tokens = quantity(estimate.tokens)
    budget = "the budget"
    if config.max_time is not None and estimate.steps < estimate.most_steps:
        budget = duration(config.max_time)
    largest = "" if size == model.hidden_size else f" with {model.hidden_size} units"
    return f"hidden size {size}: {budget} is enough for {tokens} tokens{largest}"


def with_learning_rate(
    config: TrainingConfig, model: ModelConfig, reasons: list[str]
) -> TrainingConfig:
    """Return the settings with a peak learning rate; append the reason if it is not the default.

    The gradient of fewer streams is noisier, so that Adam needs smaller steps, by the square root
    of their share (Malladi et al. 2022, https://arxiv.org/abs/2205.10287): 16 streams come to 1.462
    with 8e-3, to 1.458 with 1.1e-2. (Not so where few streams hold the whole text.) A simple RNN
    with tanh has no gate that protects its state from a large step: in a minute, 1,000 units and 16
    streams come to 3.00 bits with 8e-3, to 2.59 with 2e-3.
    """
    if config.learning_rate is not None:
        return config
    rate = config.peak_learning_rate
    if config.optimizer in ("adamw", "adam"):
        rate *= min(1.0, math.sqrt(config.batch_size / TrainingConfig.batch_size))
    is_simple = model.cell == "rnn" and model.nonlinearity == "tanh"
    rate = float(f"{rate / 4 if is_simple else rate:.3g}")  # as printed
    if rate != config.peak_learning_rate:
        streams = count(config.batch_size, "stream")
        network = " of a simple network" if is_simple else ""
        reasons.append(f"learning rate {rate:g} for {streams}{network}")
    return replace(config, learning_rate=rate)


def short_window_reason(config: TrainingConfig, model: ModelConfig) -> str:
    """Return the reason of short windows, or of small batches of examples."""
    if model.task == "text":
        return f"windows of {config.window_length} tokens for a short run"
    return f"batches of {config.batch_size * config.window_length:,} tokens for a short run"
