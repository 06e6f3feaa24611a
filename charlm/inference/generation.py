"""Seed text → a stream of text."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

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
    # A word has the space before it in its token, so a space at the end is left to the first.
    is_open = form != "pairs" and seed.endswith(" ")
    ids = tokenizer.encode(seed.removesuffix(" ") if is_open else seed)
    return _continue(
        runtime,
        tokenizer,
        [boundary, *ids, *[boundary] * (form == "pairs")],
        is_open=is_open,
        length=length,
        config=config,
        generator=generator,
    )


def _continue(
    runtime: Runtime,
    tokenizer: Tokenizer,
    ids: list[int],
    *,
    is_open: bool,
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
        logits = runtime.logits(features)[0]
        if is_open:
            logits = np.where(_begins_with_space(tokenizer, len(logits)), logits, -np.inf)
        probabilities = next_token_probabilities(logits, config)
        token = draw(probabilities, generator)
        if token in ends:
            yield decoder.finish()[:remaining]
            return
        text = decoder.push(token)
        text = (text.removeprefix(" ") if is_open else text)[:remaining]
        is_open = False
        if text:
            remaining -= len(text)
            yield text
        features, state = runtime.step(np.array([token]), state)


def _begins_with_space(tokenizer: Tokenizer, outputs: int) -> NDArray[np.bool_]:
    """Return which outputs are a space or begin with one, shape (outputs,)."""
    found = [piece == ord(" ") or str(piece).startswith(" ") for piece in tokenizer.pieces]
    return np.array(found + [False] * (outputs - len(found)))
