"""A text, each token scored from both sides."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.windows import CONTEXT_LENGTH, Windows, cut_evenly
from charlm.inference.runtime import Floats, Network
from charlm.inference.scoring import (
    Surprisal,
    batched_rows,
    examples_of,
    ids_of_examples,
    negative_log_softmax,
    predict_windows,
)
from charlm.tokenizers import Tokenizer

LONGEST_SEGMENT = 512  # tokens
SEGMENTS_HELD = 32  # whose features are held at once, of both networks


@dataclass(frozen=True, kw_only=True)
class PseudoScore(Surprisal):
    """The pseudo-likelihood of a text (Besag 1975, https://doi.org/10.2307/2987782).

    Each token is predicted from all others, so these are no probabilities of texts: they compare
    with one another, with bits per character they do not.

    Attributes:
        nats: −ln p(token | all others), summed over all tokens.
        tokens: How many there are; ends of lines are none.
    """

    def __add__(self, other: "PseudoScore") -> "PseudoScore":
        if not isinstance(other, PseudoScore):
            return NotImplemented
        return PseudoScore(nats=self.nats + other.nats, tokens=self.tokens + other.tokens)


def pseudo_score(
    forward: Network, backward: Network, tokenizer: Tokenizer, text: str
) -> PseudoScore:
    """Return the pseudo-likelihood of `text`, of each document or line for itself.

    A token's probability is the product of what both networks give it, over the sum of that
    product for all tokens (a product of experts, Hinton 2002).
    """
    config, boundary_id = forward.config, tokenizer.boundary_id
    items = [item for _, item in examples_of(text, config, "the text")]
    ids = ids_of_examples(items, tokenizer, config)
    cut = [
        _segments(before + 1, after)
        for before, after in pairwise(np.flatnonzero(ids == boundary_id).tolist())
        if before + 1 < after
    ]
    if not cut:
        return PseudoScore()
    begin, first, stop, end = np.concatenate(cut, axis=1)
    mirror, count = ids[::-1], len(ids)
    nats: list[float] = []
    for place in range(0, len(first), SEGMENTS_HELD):
        some = slice(place, place + SEGMENTS_HELD)
        rightward = Windows(ids, boundary_id, begin[some], first[some], stop[some])
        leftward = Windows(
            mirror, boundary_id, count - end[some], count - stop[some], count - first[some]
        )
        of_left, of_right = _features(forward, rightward), _features(backward, leftward)
        for (before, targets), (after, _) in zip(of_left, of_right, strict=True):
            for rows in batched_rows(len(targets), boundary_id):
                logits = forward.logits(before[rows]) + backward.logits(after[::-1][rows])
                surprisal = negative_log_softmax(logits[:, :boundary_id], targets[rows])
                nats.append(float(surprisal.sum(dtype=np.float64)))
    return PseudoScore(nats=math.fsum(nats), tokens=int((stop - first).sum()))


def _segments(start: int, stop: int) -> NDArray[np.int64]:
    """Cut ids [start, stop) into segments, which overlap in what is read but not scored.

    Returns:
        Where each is read from, scored from, scored to and read to, shape (4, segments).
    """
    cut = cut_evenly(start, stop, -(-(stop - start) // LONGEST_SEGMENT))
    return np.concatenate([cut, np.minimum(cut[-1:] + CONTEXT_LENGTH, stop)])


def _features(runtime: Network, windows: Windows) -> list[tuple[Floats, NDArray[np.int64]]]:
    """Return of each passage the features before its targets, shape (N, H), and these, (N,)."""
    parts: list[list[tuple[Floats, NDArray[np.int64]]]] = [[] for _ in windows.begin]
    for chosen in windows.groups():
        for rows, features, places in predict_windows(runtime, windows.select(chosen)):
            targets = windows.ids[places]
            for row in np.unique(rows):
                parts[chosen[row]].append((features[rows == row], targets[rows == row]))
    return [
        (np.concatenate([f for f, _ in part]), np.concatenate([t for _, t in part]))
        for part in parts
    ]
