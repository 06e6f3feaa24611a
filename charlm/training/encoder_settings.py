"""The settings of networks with an encoder: small batches, a low learning rate, more dropout.

They were chosen on words with their pronunciation and on inflected forms, 800 to 8,000 pairs, and
on 40,000 tags; benchmarks/README.md has the figures.
"""

from dataclasses import replace

from charlm.config import TrainingConfig
from charlm.corpus.encoding import Corpus

MOST_EPOCHS = 200.0  # by default
LEARNING_RATE = 4e-3  # of AdamW and Adam
# Examples of a step: fewer of a small corpus, so that an epoch has steps enough.
FEW_EXAMPLES, SMALL_BATCH, LARGE_BATCH = 4000, 16, 32
# Dropout by the training tokens, from each key on.
DROPOUT = {0: 0.4, 50_000: 0.3, 2_000_000: 0.2}


def with_example_batches(
    config: TrainingConfig, corpus: Corpus, reasons: list[str]
) -> TrainingConfig:
    """Return the settings with batches of some whole examples, and append the reason.

    Their matrix products are too small to gain from bfloat16 on a CPU: 250 steps take 9 s, or 12 s.
    """
    if config.precision == "auto":
        config = replace(config, precision="fp32")
    if config.bptt_length is not None:
        return config
    examples = max(1, corpus.examples)
    tokens = corpus.train.tokens + corpus.validation.tokens
    batch = SMALL_BATCH if examples < FEW_EXAMPLES else LARGE_BATCH
    share = -(-tokens * batch // (examples * config.batch_size))
    reasons.append(f"batches of some {batch} examples for {examples:,}")
    return replace(config, bptt_length=max(1, share))


def dropout_for(tokens: int) -> float:
    """Return the default dropout for a training text of so many tokens."""
    return [dropout for least, dropout in DROPOUT.items() if least <= tokens][-1]
