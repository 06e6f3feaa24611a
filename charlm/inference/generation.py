"""Seed text → a stream of text."""

from collections.abc import Iterator

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.runtime import Runtime
from charlm.inference.sampling import draw, next_token_probabilities
from charlm.tokenizers import StreamDecoder, Tokenizer


def generate(
    runtime: Runtime,
    tokenizer: Tokenizer,
    *,
    seed: str,
    length: int,
    config: SamplingConfig,
    generator: np.random.Generator,
) -> Iterator[str]:
    """Yield text that continues `seed`, as soon as each character is complete.

    Args:
        runtime: The network.
        tokenizer: The tokenizer that it was trained with.
        seed: Read first and not repeated; "" starts a text from nothing.
        length: Characters to generate, exactly.
        config: Temperature and truncation.
        generator: Where the random numbers come from; the same state gives the same text.
    """
    state = runtime.zero_state(1)
    features, state = runtime.step(np.array([tokenizer.start_id]), state)
    for token in tokenizer.encode(seed):
        features, state = runtime.step(np.array([token]), state)
    decoder = StreamDecoder(tokenizer)
    remaining = length
    while remaining > 0:
        probabilities = next_token_probabilities(runtime.logits(features)[0], config)
        token = draw(probabilities, generator)
        text = decoder.push(token)[:remaining]
        if text:
            remaining -= len(text)
            yield text
        features, state = runtime.step(np.array([token]), state)
