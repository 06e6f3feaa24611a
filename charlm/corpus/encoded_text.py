"""Ids of a text, in memory-mapped temporary files.

Of several processes each encodes for itself. The others would only wait for one that encodes.
"""

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import CLASS_TASKS, Task
from charlm.corpus.reading import open_temporary, write_temporary
from charlm.tokenizers import Ids, Tokenizer

MIRROR_CHUNK = 1 << 20  # boundaries that are mirrored at once


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """Ids of documents, lines or pairs: a boundary (BOS/EOS) before the first, one after each.

    The network reads a boundary before the first token, so the first character has a probability,
    too. A mirrored text has the same layout, because both ends are boundaries.
    """

    ids: Ids  # shape (ids,), memory-mapped; boundaries included
    boundaries: NDArray[np.int64]  # their positions in `ids`, shape (boundaries,), memory-mapped
    characters: int  # of the raw text that is scored; the end of a line is one
    predictions: int  # number of ids that are scored; see `count_predictions`
    token_counts: NDArray[np.int64]  # how often each id occurs, the boundary last, shape (V + 1,)

    @property
    def tokens(self) -> int:
        """Number of ids, boundaries included except for the first."""
        return len(self.ids) - 1

    def mirrored(self) -> "EncodedText":
        """Return the same text from its end to its beginning; the ids are a view."""
        boundaries = ArrayFile(self.boundaries.dtype)
        for stop in range(len(self.boundaries), 0, -MIRROR_CHUNK):
            chunk = self.boundaries[max(0, stop - MIRROR_CHUNK) : stop]
            boundaries.append(len(self.ids) - 1 - chunk[::-1])
        return replace(self, ids=self.ids[::-1], boundaries=boundaries.array)


class ArrayFile:
    """An array that grows in a temporary file without a name."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._file = open_temporary()
        weakref.finalize(self, self._file.close)
        self._length = 0
        self._array: NDArray[Any] = np.zeros(0, dtype)

    def append(self, array: NDArray[Any]) -> None:
        """Write numbers at the end.

        Raises:
            CorpusError: If the temporary directory is full.
        """
        data = array.astype(self._dtype, copy=False).tobytes()
        write_temporary(self._file, data, what="ids")
        self._length += len(array)

    def __len__(self) -> int:
        return self._length

    @property
    def array(self) -> NDArray[Any]:
        """All numbers so far, memory-mapped, read-only."""
        if len(self._array) < self._length:
            self._array = np.memmap(self._file, self._dtype, "r", shape=(self._length,))
        return self._array


class IdFile:
    """Ids that grow in a temporary file, and their counts so far, as in `EncodedText`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._boundary_id, self._first_symbol = tokenizer.boundary_id, tokenizer.first_symbol
        self._ids = ArrayFile(tokenizer.id_dtype)
        self._boundaries = ArrayFile(np.dtype(np.int64))
        self.token_counts = np.zeros(tokenizer.boundary_id + 1, dtype=np.int64)
        self.characters = 0

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        """All ids so far, shape (ids,)."""
        return self._ids.array

    def append(
        self, ids: Ids, *, characters: int = 0, boundaries: NDArray[np.int64] | None = None
    ) -> None:
        """Write ids that stand for `characters` characters of raw text.

        All their boundaries are listed, or those in `boundaries`.
        """
        if boundaries is None:
            boundaries = np.flatnonzero(ids == self._boundary_id)
        self._boundaries.append(boundaries + len(self))
        self._ids.append(ids)
        self.token_counts += np.bincount(ids, minlength=len(self.token_counts))
        self.characters += characters

    def append_boundary(self) -> None:
        """Write a boundary."""
        self.append(np.array([self._boundary_id], dtype=np.int64))

    def append_documents(self, texts: Iterable[tuple[str, bool]], tokenizer: Tokenizer) -> None:
        """Write the ids of a shard, with a boundary after each document that ends in it."""
        boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
        arrays: list[Ids] = []
        characters = 0
        for text, is_end in texts:
            characters += len(text)
            arrays.append(tokenizer.encode(text))
            if is_end:
                arrays.append(boundary)
        self.append(np.concatenate(arrays), characters=characters)

    def as_encoded_text(self, task: Task, *, predicts_end: bool = False) -> EncodedText:
        """Return all ids; the first must be a boundary."""
        boundaries = self._boundaries.array
        return EncodedText(
            ids=self.ids,
            boundaries=boundaries,
            characters=self.characters,
            predictions=int(self.token_counts[self._first_symbol : -1].sum())
            if task in CLASS_TASKS
            else count_predictions(task, len(self), boundaries, predicts_end=predicts_end),
            token_counts=self.token_counts,
        )


def count_predictions(
    task: Task, ids: int, boundaries: NDArray[np.int64], *, predicts_end: bool = False
) -> int:
    """Return how many of a number of ids are scored; the first id is a boundary.

    The boundary after a line or a target is predicted, and that after a document if `predicts_end`.
    The source of a pair is read and not scored.
    """
    match task:
        case "text" if not predicts_end:
            return ids - len(boundaries)
        case "text" | "lines":
            return ids - 1
        case _:
            return int(boundaries[2::2].sum() - boundaries[1::2].sum())
