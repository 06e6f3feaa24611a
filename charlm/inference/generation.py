"""Seed text → a stream of text."""

from collections.abc import Iterator

import numpy as np

from charlm.config import SamplingConfig
from charlm.corpus.items import BREAKS
from charlm.errors import ConfigError
from charlm.inference.runtime import Runtime
from charlm.inference.sampling import draw, next_token_probabilities
from charlm.tokenizers import StreamDecoder, Tokenizer
from charlm.wording import visible


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
        seed: Read first and not repeated; "" starts a text from nothing. To a model of pairs it
            is the source, and what comes is the target.
        length: Characters to generate: exactly so many of a running text, at most of an item.
        config: Temperature and truncation.
        generator: Where the random numbers come from; the same state gives the same text.

    Raises:
        ConfigError: If the seed holds what ends an item.
    """
    form = runtime.config.form
    if set(seed) & set(BREAKS[form]):
        raise ConfigError(
            f"the seed text {visible(seed[:40])!r} holds a line end or a tab, "
            f"which no item of a model of {form} can hold"
        )
    boundary = tokenizer.boundary_id
    return _continue(
        runtime,
        tokenizer,
        [boundary, *tokenizer.encode(seed), *[boundary] * (form == "pairs")],
        length=length,
        config=config,
        generator=generator,
    )


def _continue(
    runtime: Runtime,
    tokenizer: Tokenizer,
    ids: list[int],
    *,
    length: int,
    config: SamplingConfig,
    generator: np.random.Generator,
) -> Iterator[str]:
    state = runtime.zero_state(1)
    for token in ids:
        features, state = runtime.step(np.array([token]), state)
    # What was replaced by boundaries has hardly any probability, and would break a line in two.
    ends = {tokenizer.boundary_id, *BREAKS[runtime.config.form].encode()}
    decoder = StreamDecoder(tokenizer)
    remaining = length
    while remaining > 0:
        probabilities = next_token_probabilities(runtime.logits(features)[0], config)
        token = draw(probabilities, generator)
        if token in ends:
            yield decoder.finish()[:remaining]
            return
        text = decoder.push(token)[:remaining]
        if text:
            remaining -= len(text)
            yield text
        features, state = runtime.step(np.array([token]), state)
