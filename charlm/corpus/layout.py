"""How ids are laid out in time: batches of items to learn from, passages to score.

All are arithmetic on positions; no id is copied before it is needed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charlm.config import Form
from charlm.corpus.ids import EncodedText
from charlm.corpus.items import BOUNDARIES
from charlm.tokenizers import Ids

SEGMENT_LENGTH = 2048  # tokens that one segment of a long text scores, at least
MOST_ROWS = 256  # scored side by side; more would cost memory and gain no speed
# Tokens that a segment reads before it scores. From 256 on, the score of 2,048-token segments
# differs from that of one stream by less than 1e-6 nats a token in trained models.
BURN_IN = 256
# Logits that are held at once, in numbers: a large vocabulary must not cost gigabytes.
MOST_LOGITS = 1 << 22

BATCHES_PER_POOL = 50
# Strides of a walk over all items, as shares of their number. Any few steps with one of these
# irrational shares, hard to approximate by fractions, are spread evenly.
STRIDES = (0.6180340, 0.4142136, 0.3027756, 0.7320508, 0.2360680)


@dataclass(frozen=True)
class Window:
    """What is read and predicted at a few positions, side by side.

    Attributes:
        inputs: Token ids in [0, V], V being the boundary, shape (B, T), int64.
        targets: The ids that follow, shape (B, T), int64.
        counts: Which targets are to be scored, shape (B, T).
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    counts: NDArray[np.bool_]


@dataclass(frozen=True)
class Passages:
    """Pieces of ids that are each read from nothing, and scored from a place on.

        tokens      0 1 2 3 4 5 6 7 8 9
        passage 0   0 1 2 3 4               scored: 0–4
        passage 1         3 4 5 6 7 8 9     scored: 5–9, read before: 3 and 4

    A long text is cut into equal passages; what each but the first reads before its own tokens
    makes its score that of one uninterrupted stream. Of a pair, that is the source.

    Attributes:
        ids: Token ids, shape (ids,).
        boundary_id: What is read first in every passage; the vocabulary's size.
        begin: Where each is read from, shape (passages,).
        first: Where each is scored from.
        stop: Where each ends, exclusive.
    """

    ids: Ids
    boundary_id: int
    begin: NDArray[np.int64]
    first: NDArray[np.int64]
    stop: NDArray[np.int64]

    @classmethod
    def of(
        cls, form: Form, ids: Ids, boundaries: NDArray[np.int64], boundary_id: int
    ) -> "Passages":
        """Return the passages in which documents, lines or pairs are scored.

        Args:
            form: What they are.
            ids: Shape (ids,).
            boundaries: Where in `ids` the boundaries stand: the first of all ids, and one after
                each document or line, or after each source and target.
            boundary_id: The vocabulary's size.
        """
        if form != "text":
            count = (len(boundaries) - 1) // BOUNDARIES[form]
            return cls.of_items(form, ids, boundaries, boundary_id, np.arange(count))
        begin, stop = boundaries[:-1] + 1, boundaries[1:]
        begin, stop = begin[begin < stop], stop[begin < stop]
        return cls(ids, boundary_id, begin, begin, stop).cut()[0]

    @classmethod
    def of_items(
        cls,
        form: Form,
        ids: Ids,
        boundaries: NDArray[np.int64],
        boundary_id: int,
        numbers: NDArray[np.int64],
    ) -> "Passages":
        """Return the lines or pairs with the given numbers, in their order."""
        each = BOUNDARIES[form]
        begin, first, stop = (
            boundaries[each * numbers + place] + 1 for place in (0, each - 1, each)
        )
        return cls(ids, boundary_id, begin, first, stop)

    def cut(self) -> tuple["Passages", NDArray[np.int64]]:
        """Return the passages, the long ones cut, and of each the number it had before the cut."""
        lengths = self.stop - self.first
        if len(lengths) == 0 or lengths.max() < 2 * SEGMENT_LENGTH:
            return self, np.arange(len(lengths))
        parts = [
            segments(first, stop, earliest=begin)
            for begin, first, stop in zip(
                self.begin.tolist(), self.first.tolist(), self.stop.tolist(), strict=True
            )
        ]
        owners = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
        cut = np.concatenate(parts, axis=1)
        return Passages(self.ids, self.boundary_id, *cut), owners

    def select(self, chosen: NDArray[np.int64]) -> "Passages":
        """Return some of the passages, in the order of their numbers in `chosen`."""
        return Passages(
            self.ids, self.boundary_id, self.begin[chosen], self.first[chosen], self.stop[chosen]
        )

    def dealt(self, rank: int, size: int) -> "Passages":
        """Return every so-manieth passage, the longest first: the share of one of some processes.

        The first process has the longest of all.
        """
        return self.select(self._longest_first()[rank::size])

    def _longest_first(self) -> NDArray[np.int64]:
        return np.argsort(self.begin - self.stop, kind="stable")

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of all passages, the longest first, MOST_ROWS at a time."""
        order = self._longest_first()
        for place in range(0, len(order), MOST_ROWS):
            yield order[place : place + MOST_ROWS]

    def windows(self, length: int) -> Iterator[Window]:
        """Yield consecutive windows of T ≤ `length` positions; the longest passage comes first.

        A passage that has ended is left out, so the number of rows falls from window to window.
        """
        lengths = self.stop - self.begin
        for time in range(0, int(lengths[0]), length):
            rows = slice(0, int((lengths > time).sum()))
            yield self._window(rows, time, min(time + length, int(lengths[0])))

    def whole(self, most: int) -> Window:
        """Return all passages as one window, as far as their first `most` tokens."""
        return self._window(slice(None), 0, min(int((self.stop - self.begin).max()), most))

    def _window(self, rows: slice, start: int, stop: int) -> Window:
        begin, first, last = self.begin[rows, None], self.first[rows, None], self.stop[rows, None]
        position = begin + np.arange(start - 1, stop)  # one before the window, then the window
        ids = self.ids[np.minimum(position, last - 1)].astype(np.int64)
        if start == 0:  # whatever precedes a passage
            ids[:, 0] = self.boundary_id
        counts = (first <= position[:, 1:]) & (position[:, 1:] < last)
        return Window(ids[:, :-1], ids[:, 1:], counts)


def segments(
    start: int,
    stop: int,
    count: int | None = None,
    burn_in: int = BURN_IN,
    *,
    earliest: int | None = None,
) -> NDArray[np.int64]:
    """Cut ids [start, stop) into passages; return (begin, first, stop), shape (3, passages).

    Args:
        start: The first id.
        stop: Behind the last.
        count: Number of passages; None takes one for every SEGMENT_LENGTH ids, up to MOST_ROWS.
        burn_in: Ids that are read before those that are scored.
        earliest: The first id that may be read, and that the first passage reads from; None is
            the first that is scored.
    """
    earliest = start if earliest is None else earliest
    number = count or min(max(1, (stop - start) // SEGMENT_LENGTH), MOST_ROWS)
    bounds = start + np.arange(number + 1) * (stop - start) // number
    begin = np.maximum(bounds[:-1] - burn_in, earliest)
    begin[0] = earliest
    return np.stack([begin, bounds[:-1], bounds[1:]])


class Batches:
    """Lines or pairs to learn from: those of like length side by side, in an order of chance.

    An epoch reads every item once. Its order is a walk in strides over all items, so that nothing
    as long as their number is held in memory; BATCHES_PER_POOL batches are drawn together, sorted
    by length, and cut so that each reads about as many positions, padding included.
    """

    carries_state = False

    def __init__(
        self,
        items: EncodedText,
        form: Form,
        boundary_id: int,
        *,
        positions: int,
        rng_seed: int,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        """Take the items, how many positions a batch may have, and its longest item.

        Of several processes each is dealt every so-manieth item of a batch.
        """
        self._rank, self._size = rank, size
        self._items, self._form, self._boundary_id = items, form, boundary_id
        self._count = (len(items.boundaries) - 1) // BOUNDARIES[form]
        self._longest = positions
        self._rng_seed = rng_seed
        wanted = BATCHES_PER_POOL * self._longest * self._count // items.tokens
        self._pool_size = max(1, min(wanted, self._count))
        tokens = items.tokens * self._pool_size // self._count
        self._batches_per_pool = max(1, round(tokens / self._longest))
        self._pool: tuple[int, list[Passages]] = -1, []
        self.tokens_per_step = tokens / self._batches_per_pool

    def window(self, step: int) -> Window:
        """Return batch `step`, shape (B, T): T is the length of the longest item in it.

        A process that is dealt no item reads one of another's, and nothing counts.
        """
        pool, place = divmod(step, self._batches_per_pool)
        if self._pool[0] != pool:
            self._pool = pool, self._batches_of(pool)
        batch = self._pool[1][place]
        own = np.arange(self._rank, len(batch.begin), self._size)
        window = batch.select(own if len(own) else np.arange(1)).whole(self._longest)
        return window if len(own) else replace(window, counts=np.zeros_like(window.counts))

    def _batches_of(self, pool: int) -> list[Passages]:
        """Return the batches of a pool, in the order in which they are read."""
        items = Passages.of_items(
            self._form,
            self._items.ids,
            self._items.boundaries,
            self._boundary_id,
            self._items_of(pool),
        )
        lengths = np.minimum(items.stop - items.begin, self._longest)
        by_length = np.argsort(lengths, kind="stable")
        positions = lengths[by_length].cumsum()
        share = positions * self._batches_per_pool // (positions[-1] + 1)  # which batch each is in
        order = np.random.default_rng([self._rng_seed, pool]).permutation(self._batches_per_pool)
        # A batch is empty where one item is as long as several batches.
        chosen = [by_length[share == number] for number in order]
        return [items.select(each if len(each) else by_length[-1:]) for each in chosen]

    def _items_of(self, pool: int) -> NDArray[np.int64]:
        """Return the numbers of the items in a pool, shape (pool size,)."""
        places = pool * self._pool_size + np.arange(self._pool_size)
        epochs, places = np.divmod(places, self._count)
        numbers = np.empty_like(places)
        for epoch in np.unique(epochs):
            start, stride = self._walk(int(epoch))
            inside = epochs == epoch
            numbers[inside] = (start + places[inside] * stride) % self._count
        return numbers

    def _walk(self, epoch: int) -> tuple[int, int]:
        """Return where an epoch starts, and a stride that meets every item once."""
        start = int(np.random.default_rng([self._rng_seed, epoch, 1]).integers(self._count))
        stride = int(self._count * STRIDES[epoch % len(STRIDES)]) or 1
        while math.gcd(stride, self._count) > 1:
            stride += 1
        return start, stride
