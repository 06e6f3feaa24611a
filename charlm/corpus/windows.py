"""Windows: pieces of ids that are scored, each read from a zero state.

A window is three positions in the ids. No id is copied before it is read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig, Task
from charlm.corpus.examples import BOUNDARIES
from charlm.tokenizers import Ids, Tokenizer

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
    # Which rows start from the zero state, shape (B,); None for all.
    is_start: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Windows:
    """Pieces of ids, each read from a zero state and scored from one of its tokens on.

        tokens      0 1 2 3 4 5 6 7 8 9
        window 0    0 1 2 3 4               scored: 0–4
        window 1          3 4 5 6 7 8 9     scored: 5–9; read before: 3 and 4

    A long text is cut into windows of equal size. The tokens that a window reads before it scores
    make its score that of one uninterrupted text. In a pair they are the source.

    Before its own ids, the first window of a text reads a boundary and the `prefix`; a later window
    reads the id before. With a prefix of None a text may begin anywhere, and each window reads a
    boundary.
    """

    ids: Ids  # shape (ids,)
    boundary_id: int  # BOS/EOS; the vocabulary's size
    begin: NDArray[np.int64]  # the first id that each window reads, shape (windows,)
    first: NDArray[np.int64]  # the first id that each window scores, shape (windows,)
    stop: NDArray[np.int64]  # the end of each window, exclusive, shape (windows,)
    prefix: Ids | None = None  # shape (prefix,)
    # Of labels and tags: only ids from here on are scored, the boundary excepted, and their targets
    # are counted from here.
    first_class: int | None = None

    @classmethod
    def for_scoring(
        cls,
        task: Task,
        ids: Ids,
        boundaries: NDArray[np.int64],
        boundary_id: int,
        prefix: Ids | None = None,
        *,
        predicts_end: bool = False,
        first_class: int | None = None,
    ) -> "Windows":
        """Return the windows that score all documents, lines, pairs or sentences.

        A boundary is the first id, and after each document, line, source and target.
        """
        if task != "text":
            numbers = np.arange((len(boundaries) - 1) // BOUNDARIES[task])
            return cls.of_examples(task, ids, boundaries, boundary_id, numbers, first_class)
        return cls.of_documents(
            ids, boundaries, boundary_id, prefix, predicts_end=predicts_end
        ).cut()[0]

    @classmethod
    def of_documents(
        cls,
        ids: Ids,
        boundaries: NDArray[np.int64],
        boundary_id: int,
        prefix: Ids | None,
        *,
        predicts_end: bool,
    ) -> "Windows":
        """Return a window for each document that is not empty."""
        begin, stop = boundaries[:-1] + 1, boundaries[1:]
        begin, stop = begin[begin < stop], stop[begin < stop] + predicts_end
        return cls(ids, boundary_id, begin, begin, stop, prefix)

    @classmethod
    def of_examples(
        cls,
        task: Task,
        ids: Ids,
        boundaries: NDArray[np.int64],
        boundary_id: int,
        numbers: NDArray[np.int64],
        first_class: int | None = None,
    ) -> "Windows":
        """Return a window for each example with one of the `numbers`, in their order."""
        width = BOUNDARIES[task]
        begin, first, stop = (
            boundaries[width * numbers + offset] + 1 for offset in (0, width - 1, width)
        )
        return cls(ids, boundary_id, begin, first, stop, first_class=first_class)

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
        begin, first, stop = np.concatenate(pieces, axis=1)
        return replace(self, begin=begin, first=first, stop=stop), origins

    def select(self, numbers: NDArray[np.int64]) -> "Windows":
        """Return the windows with these numbers, in their order."""
        return replace(
            self, begin=self.begin[numbers], first=self.first[numbers], stop=self.stop[numbers]
        )

    def shard(self, rank: int, world_size: int) -> "Windows":
        """Return this rank's windows: every `world_size`-th, longest first.

        Rank 0 has the longest of all.
        """
        return self.select(self._longest_first()[rank::world_size])

    @property
    def prefix_lengths(self) -> NDArray[np.int64]:
        """Number of ids of the prefix that each window reads, shape (windows,)."""
        if self.prefix is None or not len(self.prefix):
            return np.zeros(len(self.begin), np.int64)
        return np.where(self._begins_text(), len(self.prefix), 0)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of positions of each window, its prefix included, shape (windows,)."""
        return self.stop - self.begin + self.prefix_lengths

    def _begins_text(self) -> NDArray[np.bool_]:
        """Return which windows follow a boundary, or have no id before them."""
        before = self.ids[np.maximum(self.begin - 1, 0)]
        is_first: NDArray[np.bool_] = (self.begin == 0) | (before == self.boundary_id)
        return is_first

    def _longest_first(self) -> NDArray[np.int64]:
        return np.argsort(-self.lengths, kind="stable")

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of all windows, longest first, at most MOST_ROWS at a time."""
        order = self._longest_first()
        for start in range(0, len(order), MOST_ROWS):
            yield order[start : start + MOST_ROWS]

    def batches(self, length: int) -> Iterator[Batch]:
        """Yield consecutive batches of at most `length` positions; the longest window comes first.

        A window that has ended is left out, so a batch has at most as many rows as the one before.
        """
        lengths = self.lengths
        for start in range(0, int(lengths[0]), length):
            rows = slice(0, int((lengths > start).sum()))
            yield self._batch(rows, start, min(start + length, int(lengths[0])))

    def as_batch(self, max_length: int) -> Batch:
        """Return the first `max_length` tokens of all windows as one batch."""
        length = int(self.lengths.max())
        return self._batch(slice(None), 0, min(length, max_length))

    def _batch(self, rows: slice, start: int, stop: int) -> Batch:
        begin, first, last = self.begin[rows, None], self.first[rows, None], self.stop[rows, None]
        prefix_lengths = self.prefix_lengths[rows, None]
        # Of the first input and all targets. Those before the window's own ids are below `begin`.
        position = begin - prefix_lengths + np.arange(start - 1, stop)
        ids = self.ids[np.clip(position, 0, last - 1)].astype(np.int64)
        if self.prefix is not None and len(self.prefix):
            number = position - begin + prefix_lengths  # in the prefix, from 0
            is_prefix = (number >= 0) & (position < begin)
            ids[is_prefix] = self.prefix[number[is_prefix]]
        if start == 0:
            reads_boundary = self._begins_text()[rows] if self.prefix is not None else slice(None)
            ids[reads_boundary, 0] = self.boundary_id
        is_scored = (first <= position[:, 1:]) & (position[:, 1:] < last)
        targets = ids[:, 1:]
        if self.first_class is not None:
            is_scored &= (targets >= self.first_class) & (targets != self.boundary_id)
            targets = targets - self.first_class
        return Batch(ids[:, :-1], targets, is_scored)


def prefix_of(tokenizer: Tokenizer, config: ModelConfig) -> Ids | None:
    """Return what is read between a boundary and a text, in reading order, shape (prefix,).

    None if a text may begin anywhere. The end of a text holds its last line end, so a backward
    network reads one line end less.
    """
    if config.begins_anywhere:
        return None
    if config.direction == "backward":
        return tokenizer.encode(re.sub(r"(\r\n|\r|\n)$", "", config.begins_after))[::-1]
    return tokenizer.encode(config.begins_after)


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
