"""A seed text and an ending → what goes between."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.generation import check_item, generate, lead_up
from charlm.inference.runtime import Runtime
from charlm.inference.sampling import draw, next_token_probabilities
from charlm.inference.scoring import nats_of_items
from charlm.tokenizers import Tokenizer

FEWEST_DRAWS, MOST_DRAWS = 2, 16  # texts from the seed on, and as many that lead up to the ending
DRAWN_CHARACTERS = 2000  # in each direction, about
CANDIDATES_PER_DRAW = 4  # of which one is chosen
CONTEXT = 512  # characters of seed and ending that are read; what is farther off decides nothing
# Characters that both texts share where one goes over into the other; the more, the better.
OVERLAPS = 8, 6, 4, 3, 2, 1, 0


def fill(
    forward: Runtime,
    backward: Runtime,
    tokenizer: Tokenizer,
    *,
    seed: str,
    ending: str,
    length: int,
    config: SamplingConfig,
    generator: np.random.Generator,
) -> str:
    """Return text that goes between `seed` and `ending`.

    The forward network goes on from the seed some times, the backward network leads up to the
    ending as often. Where the one can go over into the other, because both say the same for a
    while, there is a candidate. One is drawn by the whole text's probability, the geometric mean of
    both networks'.

    Args:
        forward: Reads from the beginning.
        backward: Reads from the end.
        tokenizer: The tokenizer of both.
        seed: What stands before; not repeated.
        ending: What stands after; not repeated.
        length: Characters to generate: exactly so many of a running text, at most of a line.
        config: Temperature and truncation.
        generator: Where the random numbers come from; the same state gives the same text.

    Raises:
        ConfigError: If the seed or the ending holds what ends an item.
    """
    for text, name in ((seed, "seed text"), (ending, "ending")):
        check_item(text, forward.config.form, name)
    seed, ending = seed[-CONTEXT:], ending[:CONTEXT]
    how: dict[str, Any] = {"length": length, "config": config, "generator": generator}
    draws = min(max(FEWEST_DRAWS, DRAWN_CHARACTERS // max(1, length)), MOST_DRAWS)
    fronts = ["".join(generate(forward, tokenizer, seed=seed, **how)) for _ in range(draws)]
    backs = [lead_up(backward, tokenizer, ending=ending, **how) for _ in range(draws)]
    is_exact = forward.config.form == "text"
    found: dict[str, None] = {}  # in order, each once
    for overlap in OVERLAPS:
        joins = [
            (front, kept, back, place)
            for front in fronts
            for back in backs
            for kept, place in _joins(seed, front, back, overlap, length, is_exact=is_exact)
        ]
        wanted = min(len(joins), draws * CANDIDATES_PER_DRAW - len(found))
        for number in np.linspace(0, len(joins) - 1, wanted, dtype=int):
            front, kept, back, place = joins[number]
            found[front[:kept] + back[place:]] = None
        if len(found) >= draws * CANDIDATES_PER_DRAW:
            break
    candidates = list(found)
    texts = [seed + text + ending for text in candidates]
    nats = nats_of_items(forward, tokenizer, texts) + nats_of_items(backward, tokenizer, texts)
    return candidates[draw(next_token_probabilities(-nats / 2, config), generator)]


def _joins(
    seed: str, front: str, back: str, overlap: int, length: int, *, is_exact: bool
) -> Iterator[tuple[int, int]]:
    """Yield how much of `front` to keep and where to go on in `back`.

    Before both places are the same `overlap` characters, which may begin in the seed.
    """
    left = seed + front
    places = defaultdict(list)
    if not is_exact:
        for place in range(overlap, len(back) + 1):
            places[back[place - overlap : place]].append(place)
    for end in range(max(overlap, len(seed)), len(left) + 1):
        kept, shared = end - len(seed), left[end - overlap : end]
        if is_exact:
            place = kept + len(back) - length
            if overlap <= place and back[place - overlap : place] == shared:
                yield kept, place
        else:
            for place in places.get(shared, ()):
                if kept + len(back) - place <= length:
                    yield kept, place
