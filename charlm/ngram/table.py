"""The table of n-grams, and what it predicts after a context.

A context is the 1, 2 … K tokens before a position, at most back to a boundary (BOS/EOS). Contexts
form a tree: that of length k is a token put before a context of length k − 1.

The probability of a token w after a context c is smoothed by interpolated absolute discounting,
with three discounts for each order (Chen & Goodman 1999, https://doi.org/10.1006/csla.1999.0128):

    p_k(w) = (count(c w) − D_k(count)) / count(c) + λ_k(c) · p_{k−1}(w)

p_0 is the distribution of single tokens, mixed with the uniform one. λ_k(c) is the mass that the
tokens listed after c leave. A token that is listed nowhere has the probability p_0(w) · Λ, where Λ
is the product of all λ. So log p(w) − log Λ is log p_0(w), corrected for listed tokens alone.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float32]

PARTS = ("keys", "ends", "totals", "tokens", "counts")  # of the arrays of one order
NO_TOKEN = -1  # before a boundary
SMALLEST_MASS = 1e-6  # that listed tokens leave
FEW_ROWS = 4  # contexts that are looked up one by one
MOST_NODES = 1 << 16  # contexts that are kept for that
MOST_ROWS = 1 << 20  # numbers in the dense rows of short contexts


@dataclass(frozen=True, eq=False)
class Contexts:
    """All contexts of one length, N of them, and the M entries after them.

    Attributes:
        keys: parent · (V + 1) + token, ascending, shape (N,). The parent is the number of the
            context that is one token shorter, and the token stands before it; V is the boundary.
        ends: Where the entries of each context end, shape (N,).
        totals: How often each context occurs, shape (N,).
        tokens: The token of each entry, ascending within a context, shape (M,).
        counts: How often it follows the context, shape (M,).
    """

    keys: Integers
    ends: Integers
    totals: Integers
    tokens: Integers
    counts: Integers

    @property
    def bytes(self) -> int:
        """Size of the arrays."""
        return sum(getattr(self, part).nbytes for part in PARTS)


@dataclass(frozen=True, eq=False)
class NGramTable:
    """Counts of tokens after contexts of 0 to K tokens.

    Attributes:
        unigrams: How often each of the outputs occurs, shape (outputs,).
        contexts: Those of 1, 2 … K tokens.
        discounts: Of counts 1, 2 and more, for each order, shape (K + 1, 3).
        weights: (a, b) for each order, as in `inference.combination`, shape (K + 1, 2).
        boundary_id: V.
    """

    unigrams: Integers
    contexts: Sequence[Contexts]
    discounts: NDArray[np.float32]
    weights: NDArray[np.float32]
    boundary_id: int

    @classmethod
    def empty(cls, outputs: int, boundary_id: int) -> "NGramTable":
        """Return a table without counts: all tokens are equally likely."""
        discounts, weights = np.zeros((1, 3), np.float32), np.array([[1, 0]], np.float32)
        return cls(np.zeros(outputs, np.uint32), [], discounts, weights, boundary_id)

    @property
    def order(self) -> int:
        """The length of the longest contexts, K."""
        return len(self.contexts)

    @property
    def outputs(self) -> int:
        """Number of tokens that are predicted."""
        return len(self.unigrams)

    @property
    def entry_count(self) -> int:
        """Number of tokens that are listed after contexts."""
        return sum(len(known.tokens) for known in self.contexts)

    def log_ratios(self, contexts: Integers) -> tuple[NDArray[np.int64], Floats]:
        """Return the order that matched, and log p − log Λ of all tokens.

        Args:
            contexts: The last K ids before each position, the latest last, shape (N, K); NO_TOKEN
                before a boundary.

        Returns:
            The length of the longest context that the table knows, shape (N,), and the logarithms,
            shape (N, outputs).
        """
        if len(contexts) <= FEW_ROWS:
            orders, few = zip(*map(self._log_ratios_of_row, contexts.tolist()), strict=True)
            return np.array(orders), few[0][None] if len(few) == 1 else np.array(few)
        rows, log_rows, masses, numbers, depth = self._dense
        matched = np.zeros(len(contexts), np.int64)
        dense = np.zeros(len(contexts), np.int64)
        left = np.ones(len(contexts))  # Λ
        sums: NDArray[np.float64] | None = None
        touched = []
        for order, (at, places) in enumerate(self._walk(contexts), start=1):
            matched[at] = order
            if order <= depth:
                dense[at] = numbers[order] + places
                continue
            if sums is None:
                left = masses[dense]
                sums = np.zeros(len(contexts) * self.outputs)
            owners, tokens, shares, lambdas = self.entries(order, places)
            left[at] *= lambdas
            flat = at[owners] * self.outputs + tokens
            sums[flat] += shares / left[at][owners]
            touched.append(flat)
        result: Floats = log_rows[dense]
        if sums is not None:
            flat = np.concatenate(touched)
            base = rows.reshape(-1)[
                dense[flat // self.outputs] * self.outputs + flat % self.outputs
            ]
            result.reshape(-1)[flat] = np.log(base + sums[flat])
        return matched, result

    def fragments(self, length: int) -> Iterator[tuple[list[int], int]]:
        """Yield each context of a length with a token after it, in reading order, and the count.

        The counts of the longest contexts are how often the fragment occurs; shorter ones have the
        number of different tokens before it.
        """
        tokens_before: list[list[int]] = [[]]
        for known in self.contexts[:length]:
            pairs = [divmod(key, self.boundary_id + 1) for key in known.keys.tolist()]
            tokens_before = [[token, *tokens_before[parent]] for parent, token in pairs]
        if not 0 < length <= self.order:
            return
        known = self.contexts[length - 1]
        sizes = np.diff(known.ends.astype(np.int64), prepend=0).tolist()
        owners = (place for place, size in enumerate(sizes) for _ in range(size))
        rows = zip(owners, known.tokens.tolist(), known.counts.tolist(), strict=True)
        for place, token, count in rows:
            yield [*tokens_before[place], token], count

    def _log_ratios_of_row(self, context: list[int]) -> tuple[int, Floats]:
        """Return what `log_ratios` returns for one context, without arrays, which is faster."""
        rows, log_rows, masses, numbers, depth = self._dense
        matched = place = dense = 0
        left, sums = 1.0, dict[int, float]()
        for order, keys in enumerate(self._key_views, start=1):
            token = context[-order]
            if token == NO_TOKEN:
                break
            key = place * (self.boundary_id + 1) + token
            place = bisect_left(keys, key)
            if place == len(keys) or keys[place] != key:
                break
            matched = order
            if order <= depth:
                dense = numbers[order] + place
                left = float(masses[dense])
                continue
            tokens, shares, mass = self._nodes.get((order, place)) or self._node(order, place)
            left *= mass
            for token, share in zip(tokens, shares, strict=True):
                sums[token] = sums.get(token, 0.0) + share / left
        row: Floats = log_rows[dense].copy()
        if sums:
            listed = list(sums)
            row[listed] = np.log(rows[dense][listed] + list(sums.values()))
        return matched, row

    def _node(self, order: int, place: int) -> tuple[list[int], list[float], float]:
        """Return what `entries` returns for one context, and keep it."""
        if len(self._nodes) >= MOST_NODES:
            self._nodes.clear()
        known, discounts = self.contexts[order - 1], self._discount_lists[order]
        entries = slice(int(known.ends[place - 1]) if place else 0, int(known.ends[place]))
        total = int(known.totals[place])
        counts: list[int] = known.counts[entries].tolist()
        shares = [(count - discounts[min(count, 3) - 1]) / total for count in counts]
        node = known.tokens[entries].tolist(), shares, max(1 - sum(shares), SMALLEST_MASS)
        self._nodes[order, place] = node
        return node

    @cached_property
    def _discount_lists(self) -> list[list[float]]:
        lists: list[list[float]] = self.discounts.tolist()
        return lists

    @cached_property
    def _key_views(self) -> list[Any]:
        """The keys of each order, which bisect can search without a copy."""
        return [known.keys.data for known in self.contexts]

    @cached_property
    def _nodes(self) -> dict[tuple[int, int], tuple[list[int], list[float], float]]:
        """Tokens, shares and λ of contexts that `_log_ratios_of_row` met, by order and number."""
        return {}

    def _walk(self, contexts: Integers) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield the positions that know a context of 1, 2 … tokens, and its number."""
        at = np.arange(len(contexts))
        places = np.zeros(len(contexts), np.int64)
        for order, known in enumerate(self.contexts, start=1):
            tokens = contexts[at, -order].astype(np.int64)
            # In the type of the table, or NumPy would copy the table. −1 is left out below.
            keys = (places * (self.boundary_id + 1) + tokens).astype(known.keys.dtype)
            places = np.searchsorted(known.keys, keys)
            is_known = known.keys.take(places, mode="clip") == keys
            is_known &= tokens != NO_TOKEN
            at, places = at[is_known], places[is_known]
            if not len(at):
                return
            yield at, places

    def entries(
        self, order: int, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Integers, NDArray[np.float64], NDArray[np.float64]]:
        """Return the entries after some contexts of one length.

        Returns:
            Of each entry the number of its context among `places`, its token, and its discounted
            share; of each context its λ.
        """
        known, discounts = self.contexts[order - 1], self.discounts[order]
        stops = known.ends[places].astype(np.int64)
        starts = np.where(places > 0, known.ends[places - 1], 0).astype(np.int64)
        sizes = stops - starts
        owners = np.repeat(np.arange(len(places)), sizes)
        entries = np.arange(len(owners)) + np.repeat(starts - (sizes.cumsum() - sizes), sizes)
        counts = known.counts[entries]
        kept = counts - discounts[np.minimum(counts, 3) - 1]
        shares = kept / known.totals[places][owners]
        lambdas = 1 - np.bincount(owners, shares, minlength=len(places))
        return owners, known.tokens[entries], shares, np.maximum(lambdas, SMALLEST_MASS)

    @cached_property
    def unigram_probabilities(self) -> NDArray[np.float64]:
        """p_0 of each token, shape (outputs,)."""
        counts = self.unigrams.astype(np.float64)
        total = max(1.0, counts.sum())
        kept = np.where(counts > 0, counts - self.discounts[0][np.clip(self.unigrams, 1, 3) - 1], 0)
        shares = kept / total
        result: NDArray[np.float64] = shares + (1 - shares.sum()) / self.outputs
        return result

    @cached_property
    def _dense(self) -> tuple[NDArray[np.float64], Floats, NDArray[np.float64], list[int], int]:
        """Rows of p / Λ for all contexts of few tokens, where these are few.

        Returns:
            The rows, shape (R, outputs); their logarithms; Λ of each, shape (R,); at which row the
            contexts of each length begin; and the length of the longest.
        """
        rows = [self.unigram_probabilities[None]]
        masses = [np.ones(1)]
        numbers, depth = [0], 0
        for order, known in enumerate(self.contexts, start=1):
            size = sum(map(len, masses))
            if (size + len(known.keys)) * self.outputs > MOST_ROWS:
                break
            parents = known.keys.astype(np.int64) // (self.boundary_id + 1)
            owners, tokens, shares, lambdas = self.entries(order, np.arange(len(parents)))
            mass = masses[-1][parents] * lambdas
            of_order = rows[-1][parents]
            of_order[owners, tokens] += shares / mass[owners]
            rows.append(of_order)
            masses.append(mass)
            numbers.append(size)
            depth = order
        joined = np.concatenate(rows)
        return joined, np.log(joined).astype(np.float32), np.concatenate(masses), numbers, depth


def contexts_before(
    ids: Integers, positions: NDArray[np.int64], order: int, begin: int, head: Sequence[int]
) -> NDArray[np.int64]:
    """Return the `order` ids before each position, the latest last, shape (N, order).

    Before `begin` stands the `head`, a boundary and the prefix of a text, and NO_TOKEN before that.
    """
    places = positions[:, None] + np.arange(-order, 0)
    before = np.array([*[NO_TOKEN] * (order + 1), *head])
    of_head = before[np.clip(places - begin + len(before), 0, len(before) - 1)]
    contexts: NDArray[np.int64] = np.where(
        places >= begin, ids[np.maximum(places, begin)].astype(np.int64), of_head
    )
    return contexts


def contexts_after(
    last: NDArray[np.int64], ids: NDArray[np.int64], boundary_id: int
) -> NDArray[np.int64]:
    """Return the last K ids after each of some ids, shape (B, T, K).

    `last` are those before the first, shape (B, K), and `ids` has shape (B, T).
    """
    order = last.shape[-1]
    joined = np.concatenate([last, ids], axis=-1)
    if not order:
        return np.empty((*ids.shape, 0), np.int64)
    contexts = sliding_window_view(joined, order, axis=-1)[:, 1:].copy()
    is_boundary = contexts == boundary_id
    later = is_boundary[..., ::-1].cumsum(axis=-1)[..., ::-1] - is_boundary
    contexts[later > 0] = NO_TOKEN
    return contexts


def smallest(values: Integers, bound: int = 0) -> Integers:
    """Return numbers of at least 0 in the smallest type of the model file.

    It holds all of them, and all numbers below `bound`.
    """
    largest = max(bound - 1, int(values.max(initial=0)))
    types = (np.uint8, np.uint16, np.uint32, np.uint64)
    return values.astype(next(type for type in types if largest <= np.iinfo(type).max))
