"""How ids are laid out in time: batches of items to learn from, passages to score.

All are arithmetic on positions; no id is copied before it is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.config import Task
from charlm.corpus.examples import BOUNDARIES
from charlm.tokenizers import Ids

SEGMENT_LENGTH = 2048  # tokens that one segment of a long text scores, at least
MOST_ROWS = 256  # scored side by side; more would cost memory and gain no speed
# Tokens that a segment reads before it scores. From 256 on, the score of 2,048-token segments
# differs from that of one stream by less than 1e-6 nats a token in trained models.
CONTEXT_LENGTH = 256
# Logits that are held at once, in numbers: a large vocabulary must not cost gigabytes.
MOST_LOGITS = 1 << 22


@dataclass(frozen=True)
class Batch:
    """What is read and predicted at a few positions, side by side.

    Attributes:
        inputs: Token ids in [0, V], V being the boundary, shape (B, T), int64.
        targets: The ids that follow, shape (B, T), int64.
        is_scored: Which targets are to be scored, shape (B, T).
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    is_scored: NDArray[np.bool_]


@dataclass(frozen=True)
class Windows:
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
    def of(cls, task: Task, ids: Ids, boundaries: NDArray[np.int64], boundary_id: int) -> "Windows":
        """Return the passages in which documents, lines or pairs are scored.

        Args:
            task: What they are.
            ids: Shape (ids,).
            boundaries: Where in `ids` the boundaries stand: the first of all ids, and one after
                each document or line, or after each source and target.
            boundary_id: The vocabulary's size.
        """
        if task != "text":
            count = (len(boundaries) - 1) // BOUNDARIES[task]
            return cls.of_items(task, ids, boundaries, boundary_id, np.arange(count))
        begin, stop = boundaries[:-1] + 1, boundaries[1:]
        begin, stop = begin[begin < stop], stop[begin < stop]
        return cls(ids, boundary_id, begin, begin, stop).cut()[0]

    @classmethod
    def of_items(
        cls,
        task: Task,
        ids: Ids,
        boundaries: NDArray[np.int64],
        boundary_id: int,
        numbers: NDArray[np.int64],
    ) -> "Windows":
        """Return the lines or pairs with the given numbers, in their order."""
        each = BOUNDARIES[task]
        begin, first, stop = (
            boundaries[each * numbers + place] + 1 for place in (0, each - 1, each)
        )
        return cls(ids, boundary_id, begin, first, stop)

    def cut(self) -> tuple["Windows", NDArray[np.int64]]:
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
        return Windows(self.ids, self.boundary_id, *cut), owners

    def select(self, chosen: NDArray[np.int64]) -> "Windows":
        """Return some of the passages, in the order of their numbers in `chosen`."""
        return Windows(
            self.ids, self.boundary_id, self.begin[chosen], self.first[chosen], self.stop[chosen]
        )

    def shard(self, rank: int, size: int) -> "Windows":
        """Return every so-manieth passage, the longest first: the share of one of some processes.

        The first process has the longest of all.
        """
        return self.select(self._longest_first()[rank::size])

    def _longest_first(self) -> NDArray[np.int64]:
        return np.argsort(self.begin - self.stop, kind="stable")

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of all passages, the longest first, MOST_ROWS at a time."""
        order = self._longest_first()
        for place in range(0, len(order), MOST_ROWS):
            yield order[place : place + MOST_ROWS]

    def batches(self, length: int) -> Iterator[Batch]:
        """Yield consecutive windows of T ≤ `length` positions; the longest passage comes first.

        A passage that has ended is left out, so the number of rows falls from window to window.
        """
        lengths = self.stop - self.begin
        for time in range(0, int(lengths[0]), length):
            rows = slice(0, int((lengths > time).sum()))
            yield self._window(rows, time, min(time + length, int(lengths[0])))

    def as_batch(self, most: int) -> Batch:
        """Return all passages as one window, as far as their first `most` tokens."""
        return self._window(slice(None), 0, min(int((self.stop - self.begin).max()), most))

    def _window(self, rows: slice, start: int, stop: int) -> Batch:
        begin, first, last = self.begin[rows, None], self.first[rows, None], self.stop[rows, None]
        position = begin + np.arange(start - 1, stop)  # one before the window, then the window
        ids = self.ids[np.minimum(position, last - 1)].astype(np.int64)
        if start == 0:  # whatever precedes a passage
            ids[:, 0] = self.boundary_id
        counts = (first <= position[:, 1:]) & (position[:, 1:] < last)
        return Batch(ids[:, :-1], ids[:, 1:], counts)


def segments(
    start: int,
    stop: int,
    count: int | None = None,
    burn_in: int = CONTEXT_LENGTH,
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
