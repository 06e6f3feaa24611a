"""The pseudo-likelihood of a text: each token is predicted from both sides."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.windows import CONTEXT_LENGTH, Windows, cut_evenly, prefix_of
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
SEGMENTS_HELD = 32  # at once in memory, with the features of both networks


@dataclass(frozen=True, kw_only=True)
class PseudoScore(Surprisal):
    """The pseudo-likelihood of a text (Besag 1975, https://doi.org/10.2307/2987782).

    Each token is predicted from all others, so this is no probability of the text. Compare it
    with other pseudo-likelihoods, never with bits per character. The ends of lines do not count.
    """

    def __add__(self, other: "PseudoScore") -> "PseudoScore":
        if not isinstance(other, PseudoScore):
            return NotImplemented
        return PseudoScore(nats=self.nats + other.nats, tokens=self.tokens + other.tokens)


def pseudo_score(
    forward: Network, backward: Network, tokenizer: Tokenizer, text: str
) -> PseudoScore:
    """Return the pseudo-likelihood of `text`, in which documents and lines are read alone.

    The probability of a token is the normalised product of its probabilities under both networks
    (a product of experts, Hinton 2002, https://doi.org/10.1162/089976602760128018).
    """
    config, boundary_id = forward.config, tokenizer.boundary_id
    examples = examples_of(text, config, "the text")
    ids = ids_of_examples(examples, tokenizer, config)
    segment_bounds = [
        _segments(before + 1, after)
        for before, after in pairwise(np.flatnonzero(ids == boundary_id).tolist())
        if before + 1 < after
    ]
    if not segment_bounds:
        return PseudoScore()
    begin, first, stop, end = np.concatenate(segment_bounds, axis=1)
    mirror, count = ids[::-1], len(ids)
    prefix, left_prefix = (prefix_of(tokenizer, net.config) for net in (forward, backward))
    nats: list[float] = []
    for start in range(0, len(first), SEGMENTS_HELD):
        part = slice(start, start + SEGMENTS_HELD)
        rightward = Windows(ids, boundary_id, begin[part], first[part], stop[part], prefix)
        left_begin, left_first, left_stop = (count - bound[part] for bound in (end, stop, first))
        leftward = Windows(mirror, boundary_id, left_begin, left_first, left_stop, left_prefix)
        left_features, right_features = _features(forward, rightward), _features(backward, leftward)
        for (before, targets), (after, _) in zip(left_features, right_features, strict=True):
            for rows in batched_rows(len(targets), boundary_id):
                logits = forward.logits(before[rows]) + backward.logits(after[::-1][rows])
                surprisal = negative_log_softmax(logits[:, :boundary_id], targets[rows])
                nats.append(float(surprisal.sum(dtype=np.float64)))
    return PseudoScore(nats=math.fsum(nats), tokens=int((stop - first).sum()))


def _segments(start: int, stop: int) -> NDArray[np.int64]:
    """Cut ids [start, stop) into segments with context on both sides, shape (4, segments).

    The rows are where reading begins, scoring begins, scoring ends and reading ends.
    """
    cut = cut_evenly(start, stop, -(-(stop - start) // LONGEST_SEGMENT))
    return np.concatenate([cut, np.minimum(cut[-1:] + CONTEXT_LENGTH, stop)])


def _features(runtime: Network, windows: Windows) -> list[tuple[Floats, NDArray[np.int64]]]:
    """Return the features before the targets of each window, (N, H), and the targets, (N,)."""
    parts: list[list[tuple[Floats, NDArray[np.int64]]]] = [[] for _ in windows.begin]
    for numbers, features, positions in predict_windows(runtime, windows):
        targets = windows.ids[positions]
        for number in np.unique(numbers):
            is_own = numbers == number
            parts[number].append((features[is_own], targets[is_own]))
    return [
        (
            np.concatenate([features for features, _ in part]),
            np.concatenate([targets for _, targets in part]),
        )
        for part in parts
    ]
