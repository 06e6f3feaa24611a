"""Counts that learn a text while it is read: what followed the same tokens in it before.

Each context of FIRST_ORDER to LONGEST tokens holds what followed it. A token that is new there
weakens the others, so that recent tokens count more. A longer context is counted from the second
time on that the shorter one occurs. A match of MATCH_ORDER tokens points to where they stood
last, and predicts what followed there, for as long as that comes true (the match model of PAQ,
Mahoney 2005, https://cs.fit.edu/~mmahoney/compression/cs200516.pdf).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlm.ngram.table import Integers

FIRST_ORDER, LONGEST = 3, 6  # tokens of a context
DISCOUNT = 0.6  # of each count
FADING = 0.25  # of the other counts, at a token that is new after a context
LARGEST_SHARE = 0.98  # that a context leaves to shorter ones
MATCH_ORDER = 8  # tokens
LONGEST_MATCH = 32  # tokens; longer ones are as sure
SUREST_MATCH = 0.9999
MATCH_FADING = 0.99  # of how often matches of a length came true
MOST_CONTEXTS = 4_000_000  # then counting begins anew


class Increments(NamedTuple):
    """What counts add to the distribution of shorter contexts, for P positions.

    A token has p(w) / Λ = p_shorter(w) + the sum of its shares, where Λ is what all contexts leave.
    """

    owners: NDArray[np.int64]  # the position of each entry, in [0, P)
    tokens: NDArray[np.int64]
    shares: NDArray[np.float64]  # divided by Λ
    orders: NDArray[np.int64]  # how many contexts of each position are known, shape (P,)


class AdaptiveCounts:
    """The counts of the ids that have been read."""

    def __init__(self, ids: Integers) -> None:
        """Prepare to read `ids` in order, shape (ids,)."""
        self._ids: list[int] = ids.tolist()
        self._data = ids.astype(np.uint32).tobytes()
        self._following: dict[bytes, dict[int, float]] = {}
        self._last: dict[bytes, int] = {}  # where a match may go on
        self._pointer = -1  # where the present match goes on; −1 without one
        self._length = 0
        # How often a match of each length came true, and how often there was one.
        self._matches = [[0.5, 1.0] for _ in range(LONGEST_MATCH)]

    def read(self, start: int, stop: int, begin: int) -> Increments:
        """Read ids [start, stop), each after its prediction; return what was predicted.

        `begin` is where contexts begin at the earliest.
        """
        owners: list[int] = []
        tokens: list[int] = []
        shares: list[float] = []
        orders: list[int] = []
        for position in range(start, stop):
            contexts = self._contexts(position, begin)
            listed, left = _shares(contexts)
            owners += [position - start] * len(listed)
            tokens += [token for token, _ in listed]
            shares += [share for _, share in listed]
            orders.append(len(contexts) - (bool(contexts) and not contexts[-1]))
            if self._pointer >= 0:
                true, all_matches = self._matches[min(self._length, LONGEST_MATCH - 1)]
                share = min(true / all_matches, SUREST_MATCH)
                owners.append(position - start)
                tokens.append(self._ids[self._pointer])
                shares.append(share / (1 - share) / left)
            self._count(contexts, self._ids[position])
            self._follow_match(position, begin)
        if len(self._following) > MOST_CONTEXTS:
            self._following.clear()
            self._last.clear()
            self._pointer = -1
        return Increments(
            np.array(owners, np.int64),
            np.array(tokens, np.int64),
            np.array(shares),
            np.array(orders, np.int64),
        )

    def after(self, context: Sequence[int]) -> list[tuple[int, float]]:
        """Return the tokens that followed the last ids of a context, with what counts add to each.

        A token may come several times: what is added is the sum.
        """
        data = np.array(context, np.uint32).tobytes()
        contexts = []
        for order in range(FIRST_ORDER, min(LONGEST, len(context)) + 1):
            following = self._following.get(data[-4 * order :])
            if following is None:
                break
            contexts.append(following)
        return _shares(contexts)[0]

    def _contexts(self, position: int, begin: int) -> list[dict[int, float]]:
        """Return what followed the contexts before a position, the shortest first.

        The last one may be new, and empty.
        """
        contexts = []
        for order in range(FIRST_ORDER, min(LONGEST, position - begin) + 1):
            key = self._data[4 * (position - order) : 4 * position]
            following = self._following.get(key)
            if following is None:
                following = self._following[key] = {}
                contexts.append(following)
                break
            contexts.append(following)
        return contexts

    def _count(self, contexts: list[dict[int, float]], token: int) -> None:
        for following in contexts:
            if token in following:
                following[token] += 1
            else:
                for other in following:
                    following[other] *= FADING
                following[token] = 1

    def _follow_match(self, position: int, begin: int) -> None:
        """Learn whether the match came true, and look for another one if not."""
        if self._pointer >= 0:
            is_true = self._ids[self._pointer] == self._ids[position]
            numbers = self._matches[min(self._length, LONGEST_MATCH - 1)]
            numbers[:] = numbers[0] * MATCH_FADING + is_true, numbers[1] * MATCH_FADING + 1
            self._pointer = self._pointer + 1 if is_true else -1
            self._length += 1
        if position + 1 - MATCH_ORDER < begin:
            return
        key = self._data[4 * (position + 1 - MATCH_ORDER) : 4 * (position + 1)]
        if self._pointer < 0:
            self._pointer, self._length = self._last.get(key, -1), 0
        self._last[key] = position + 1


def _shares(contexts: Iterable[dict[int, float]]) -> tuple[list[tuple[int, float]], float]:
    """Return each token after contexts, the shortest first, with its share / Λ; and Λ."""
    listed: list[tuple[int, float]] = []
    left = 1.0  # Λ so far
    for following in contexts:
        kept = [(token, count - DISCOUNT) for token, count in following.items()]
        total = sum(following.values())
        if not total:
            continue
        known = sum(count for _, count in kept if count > 0)
        share = min(1 - known / total, LARGEST_SHARE)
        left *= share
        listed += [
            (token, (1 - share) * count / known / left) for token, count in kept if count > 0
        ]
    return listed, left
