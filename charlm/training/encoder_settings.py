"""The settings of networks with an encoder: small batches, a low learning rate, more dropout.

They were chosen on words with their pronunciation and on inflected forms, 800 to 8,000 pairs, and
on 40,000 tags; benchmarks/README.md has the figures.
"""

from dataclasses import replace

from charlm.config import TrainingConfig
from charlm.corpus.encoding import Corpus

MOST_EPOCHS = 200.0  # by default
LEARNING_RATE = 4e-3  # of AdamW and Adam
# Examples of a step by those of the corpus, from each key on: a small corpus needs steps enough. A
# minute of 50,000 words with their languages comes to 84.9 % right with 32, to 86.6 % with 128.
BATCHES = {0: 16, 4_000: 32, 30_000: 128}
# Dropout by the training tokens, from each key on. The same minute comes to 86.9 % with 0.2.
DROPOUT = {0: 0.4, 50_000: 0.3, 300_000: 0.2}


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
    batch = [size for least, size in BATCHES.items() if least <= examples][-1]
    share = -(-tokens * batch // (examples * config.batch_size))
    reasons.append(f"batches of some {batch} examples for {examples:,}")
    return replace(config, bptt_length=max(1, share))


def dropout_for(tokens: int) -> float:
    """Return the default dropout for a training text of so many tokens."""
    return [dropout for least, dropout in DROPOUT.items() if least <= tokens][-1]
