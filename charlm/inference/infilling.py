"""A seed text and an ending → what goes between."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from charlm.inference.generation import whole
from charlm.inference.runtime import Network
from charlm.inference.sampling import draw, next_token_probabilities
from charlm.inference.scoring import score_windows, windows_of
from charlm.inference.sequences import Continuation, LeadUp, RngSeed, Voice, check_example

FEWEST_DRAWS, MOST_DRAWS = 2, 16  # texts from the seed on, and as many that lead up to the ending
DRAWN_CHARACTERS = 2000  # in each direction, about
CANDIDATES_PER_DRAW = 4  # of which one is chosen
CONTEXT = 512  # characters of seed and ending that are read; what is farther off decides nothing
# Characters that both texts share where one goes over into the other; the more, the better.
OVERLAPS = 8, 6, 4, 3, 2, 1, 0


def fill(voice: Voice, backward: Network, *, seed: str, ending: str, rng_seed: RngSeed) -> str:
    """Return text that goes between `seed` and `ending`.

    The forward network goes on from the seed some times, the backward network leads up to the
    ending as often. Where the one can go over into the other, because both say the same for a
    while, there is a candidate. One is drawn by the whole text's probability, the geometric mean of
    both networks'.

    Args:
        voice: Reads from the beginning. Of its limits only the length counts: exactly so many
            characters of a running text, at most of a line.
        backward: Reads from the end, with the same tokenizer.
        seed: What stands before; not repeated.
        ending: What stands after; not repeated.
        rng_seed: Where the random numbers come from.

    Raises:
        ConfigError: If the seed or the ending holds what ends an item.
    """
    forward, tokenizer, length = voice.network, voice.tokenizer, voice.limits.length or 0
    for text, name in ((seed, "seed text"), (ending, "ending")):
        check_example(text, forward.config.task, name)
    seed, ending = seed[-CONTEXT:], ending[:CONTEXT]
    draws = min(max(FEWEST_DRAWS, DRAWN_CHARACTERS // max(1, length)), MOST_DRAWS)
    seeds = [(*rng_seed, number) for number in range(2 * draws + 1)]
    from_end = replace(voice, network=backward)
    fronts = whole(voice, [Continuation(voice, seed, each) for each in seeds[:draws]])
    backs = whole(from_end, [LeadUp(from_end, ending, each) for each in seeds[draws:-1]])
    is_exact = forward.config.task == "text"
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
    ahead, back = (
        score_windows(network, windows_of(texts, tokenizer, network.config))
        for network in (forward, backward)
    )
    probabilities = next_token_probabilities(-(ahead + back) / 2, voice.sampling)
    return candidates[int(draw(probabilities[None], np.random.default_rng(seeds[-1]).random(1))[0])]


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
