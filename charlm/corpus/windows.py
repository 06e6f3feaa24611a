"""Windows: pieces of ids that are scored, each read from a zero state.

A window is three positions in the ids. No id is copied before it is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.config import Task
from charlm.corpus.examples import BOUNDARIES
from charlm.tokenizers import Ids

SEGMENT_LENGTH = 2048  # tokens that one window of a long text scores, at least
MOST_ROWS = 256  # windows side by side; more would cost memory and gain no speed
# Tokens that a window reads before it scores. From 256 on, the score of windows of 2,048 tokens
# differs from that of one uninterrupted text by less than 1e-6 nats a token in trained models.
CONTEXT_LENGTH = 256
# Logits that are held at once, in numbers: a large vocabulary must not cost gigabytes.
MOST_LOGITS = 1 << 22


@dataclass(frozen=True)
class Batch:
    """Inputs and targets of B rows at T positions, each of shape (B, T)."""

    inputs: NDArray[np.int64]  # ids in [0, V], where V is the boundary (BOS/EOS)
    targets: NDArray[np.int64]  # the ids that follow the inputs
    is_scored: NDArray[np.bool_]  # which targets count


@dataclass(frozen=True)
class Windows:
    """Pieces of ids, each read from a zero state and scored from one of its tokens on.

        tokens      0 1 2 3 4 5 6 7 8 9
        window 0    0 1 2 3 4               scored: 0–4
        window 1          3 4 5 6 7 8 9     scored: 5–9; read before: 3 and 4

    A long text is cut into windows of equal size. The tokens that a window reads before it scores
    make its score that of one uninterrupted text. In a pair they are the source.
    """

    ids: Ids  # shape (ids,)
    boundary_id: int  # BOS/EOS, which every window reads first; the vocabulary's size
    begin: NDArray[np.int64]  # the first id that each window reads, shape (windows,)
    first: NDArray[np.int64]  # the first id that each window scores, shape (windows,)
    stop: NDArray[np.int64]  # the end of each window, exclusive, shape (windows,)

    @classmethod
    def for_scoring(
        cls, task: Task, ids: Ids, boundaries: NDArray[np.int64], boundary_id: int
    ) -> "Windows":
        """Return the windows that score all documents, lines or pairs.

        A boundary is the first id, and after each document, line, source and target.
        """
        if task != "text":
            numbers = np.arange((len(boundaries) - 1) // BOUNDARIES[task])
            return cls.of_examples(task, ids, boundaries, boundary_id, numbers)
        begin, stop = boundaries[:-1] + 1, boundaries[1:]
        begin, stop = begin[begin < stop], stop[begin < stop]
        return cls(ids, boundary_id, begin, begin, stop).cut()[0]

    @classmethod
    def of_examples(
        cls,
        task: Task,
        ids: Ids,
        boundaries: NDArray[np.int64],
        boundary_id: int,
        numbers: NDArray[np.int64],
    ) -> "Windows":
        """Return a window for each line or pair with one of the `numbers`, in their order."""
        width = BOUNDARIES[task]
        begin, first, stop = (
            boundaries[width * numbers + offset] + 1 for offset in (0, width - 1, width)
        )
        return cls(ids, boundary_id, begin, first, stop)

    def cut(self) -> tuple["Windows", NDArray[np.int64]]:
        """Cut long windows into shorter ones, so that they take no longer than many short texts.

        The numbers of the windows that they were cut from are returned, too.
        """
        lengths = self.stop - self.first
        if len(lengths) == 0 or lengths.max() < 2 * SEGMENT_LENGTH:
            return self, np.arange(len(lengths))
        pieces = [
            cut_evenly(first, stop, earliest=begin)
            for begin, first, stop in zip(
                self.begin.tolist(), self.first.tolist(), self.stop.tolist(), strict=True
            )
        ]
        origins = np.repeat(np.arange(len(pieces)), [piece.shape[1] for piece in pieces])
        return Windows(self.ids, self.boundary_id, *np.concatenate(pieces, axis=1)), origins

    def select(self, numbers: NDArray[np.int64]) -> "Windows":
        """Return the windows with these numbers, in their order."""
        return Windows(
            self.ids, self.boundary_id, self.begin[numbers], self.first[numbers], self.stop[numbers]
        )

    def shard(self, rank: int, world_size: int) -> "Windows":
        """Return this rank's windows: every `world_size`-th, longest first.

        Rank 0 has the longest of all.
        """
        return self.select(self._longest_first()[rank::world_size])

    def _longest_first(self) -> NDArray[np.int64]:
        return np.argsort(self.begin - self.stop, kind="stable")

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of all windows, longest first, at most MOST_ROWS at a time."""
        order = self._longest_first()
        for start in range(0, len(order), MOST_ROWS):
            yield order[start : start + MOST_ROWS]

    def batches(self, length: int) -> Iterator[Batch]:
        """Yield consecutive batches of at most `length` positions; the longest window comes first.

        A window that has ended is left out, so a batch has at most as many rows as the one before.
        """
        lengths = self.stop - self.begin
        for start in range(0, int(lengths[0]), length):
            rows = slice(0, int((lengths > start).sum()))
            yield self._batch(rows, start, min(start + length, int(lengths[0])))

    def as_batch(self, max_length: int) -> Batch:
        """Return the first `max_length` tokens of all windows as one batch."""
        length = int((self.stop - self.begin).max())
        return self._batch(slice(None), 0, min(length, max_length))

    def _batch(self, rows: slice, start: int, stop: int) -> Batch:
        begin, first, last = self.begin[rows, None], self.first[rows, None], self.stop[rows, None]
        position = begin + np.arange(start - 1, stop)  # of the first input and all targets
        ids = self.ids[np.minimum(position, last - 1)].astype(np.int64)
        if start == 0:
            ids[:, 0] = self.boundary_id  # instead of the id before the window
        is_scored = (first <= position[:, 1:]) & (position[:, 1:] < last)
        return Batch(ids[:, :-1], ids[:, 1:], is_scored)


def cut_evenly(
    start: int,
    stop: int,
    count: int | None = None,
    context_length: int = CONTEXT_LENGTH,
    *,
    earliest: int | None = None,
) -> NDArray[np.int64]:
    """Cut ids [start, stop) into windows; return (begin, first, stop), shape (3, windows).

    By default there is one window for every SEGMENT_LENGTH ids, at most MOST_ROWS. A window reads
    up to `context_length` ids before it scores. The first one begins at `earliest`, by default
    `start`.
    """
    earliest = start if earliest is None else earliest
    number = count or min(max(1, (stop - start) // SEGMENT_LENGTH), MOST_ROWS)
    bounds = start + np.arange(number + 1) * (stop - start) // number
    begin = np.maximum(bounds[:-1] - context_length, earliest)
    begin[0] = earliest
    return np.stack([begin, bounds[:-1], bounds[1:]])
