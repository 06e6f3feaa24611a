"""Seed text → a stream of text; an ending → the text that leads up to it."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.config import Form, SamplingConfig
from charlm.corpus.items import BREAKS
from charlm.errors import ConfigError
from charlm.inference.runtime import Runtime
from charlm.inference.sampling import draw, next_token_probabilities
from charlm.tokenizers import StreamDecoder, Tokenizer
from charlm.wording import visible

MOST_CONTINUING = 3  # bytes 10xxxxxx that continue a character of UTF-8


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
    check_item(seed, runtime.config.form, "seed text")
    form, boundary = runtime.config.form, tokenizer.boundary_id
    # A word has the space before it in its token, so a space at the end is left to the first.
    is_open = form != "pairs" and seed.endswith(" ")
    ids = tokenizer.encode(seed.removesuffix(" ") if is_open else seed)
    begun = [boundary, *ids, *[boundary] * (form == "pairs")]
    first = _begins_with_space(runtime, tokenizer) if is_open else None
    tokens = _tokens(runtime, begun, config, generator, first=first)
    return _text(tokens, StreamDecoder(tokenizer), length, is_open=is_open)


def lead_up(
    runtime: Runtime,
    tokenizer: Tokenizer,
    *,
    ending: str,
    length: int,
    config: SamplingConfig,
    generator: np.random.Generator,
) -> str:
    """Return text that leads up to `ending`.

    Args:
        runtime: A backward network.
        tokenizer: The tokenizer that it was trained with.
        ending: Read first, from its end, and not repeated; "" starts at the end of a text.
        length: Characters to generate: exactly so many of a running text, at most of a line.
        config: Temperature and truncation.
        generator: Where the random numbers come from; the same state gives the same text.

    Raises:
        ConfigError: If the ending holds what ends an item.
    """
    check_item(ending, runtime.config.form, "ending")
    begun = [tokenizer.boundary_id, *tokenizer.encode(ending)[::-1].tolist()]
    tokens: list[int] = []
    characters = continuing = 0  # bytes that continue a character which has not begun yet
    following = _tokens(runtime, begun, config, generator)
    while characters < length and (token := next(following, None)) is not None:
        tokens.append(token)
        piece = tokenizer.pieces[token]
        if isinstance(piece, int) and piece >> 6 == 0b10:
            continuing += 1
            characters += continuing > MOST_CONTINUING  # a byte too many is a character, U+FFFD
        else:
            characters += len(piece) if isinstance(piece, str) else 1
            continuing = 0
    decoder = StreamDecoder(tokenizer)
    text = "".join([*map(decoder.push, reversed(tokens)), decoder.finish()])
    return text[max(0, len(text) - length) :]


def check_item(text: str, form: Form, name: str) -> None:
    """Raise ConfigError if `text`, which messages call `name`, holds what ends an item."""
    if set(text) & set(BREAKS[form]):
        raise ConfigError(
            f"the {name} {visible(text[:40])!r} holds a line end or a tab, "
            f"which no item of a model of {form} can hold"
        )


def _tokens(
    runtime: Runtime,
    begun: Sequence[int],
    config: SamplingConfig,
    generator: np.random.Generator,
    *,
    first: NDArray[np.bool_] | None = None,
) -> Iterator[int]:
    """Yield the tokens that follow `begun` until an item ends; `first` says what may come first.

    The first of `begun` is the boundary.
    """
    # What was replaced by boundaries has hardly any probability, and would break a line in two.
    ends = {begun[0], *BREAKS[runtime.config.form].encode()}
    state = runtime.zero_state(1)
    for token in begun:
        features, state = runtime.step(np.array([token]), state)
    while True:
        logits = runtime.logits(features)[0]
        if first is not None:
            logits, first = np.where(first, logits, -np.inf), None
        token = draw(next_token_probabilities(logits, config), generator)
        if token in ends:
            return
        yield token
        features, state = runtime.step(np.array([token]), state)


def _text(
    tokens: Iterator[int], decoder: StreamDecoder, remaining: int, *, is_open: bool
) -> Iterator[str]:
    """Yield the text of tokens, as many characters as remain; of an open one less its space."""
    if remaining == 0:
        return
    for token in tokens:
        text = decoder.push(token)
        text = (text.removeprefix(" ") if is_open else text)[:remaining]
        is_open = False
        if text:
            remaining -= len(text)
            yield text
        if remaining == 0:
            return
    yield decoder.finish()[:remaining]


def _begins_with_space(runtime: Runtime, tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Return which outputs are a space or begin with one, shape (outputs,)."""
    found = np.zeros(runtime.config.outputs(tokenizer.vocab_size), dtype=np.bool_)
    for token, piece in enumerate(tokenizer.pieces):
        found[token] = piece == ord(" ") or str(piece).startswith(" ")
    return found
