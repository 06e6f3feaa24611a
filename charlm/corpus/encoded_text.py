"""Ids of a text, in files that are memory-mapped.

Of several processes on a machine the first writes them, and the others map its files.
"""

import json
import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import Task
from charlm.corpus.reading import open_temporary, write_temporary
from charlm.process_group import ProcessGroup
from charlm.tokenizers import Ids, Tokenizer

MIRRORED_AT_ONCE = 1 << 20  # boundaries


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """Ids of documents, lines or pairs: a boundary before the first, and one after each.

    Attributes:
        ids: Shape (ids,), memory-mapped; boundaries included.
        boundaries: Where in `ids` they stand, shape (boundaries,), memory-mapped.
        characters: Of the raw text that is scored; the end of a line is one.
        predictions: Ids that are scored: all, less the sources of pairs and what is not
            predicted.
        token_counts: How often each id occurs, the boundary last, shape (V + 1,).
    """

    ids: Ids
    boundaries: NDArray[np.int64]
    characters: int
    predictions: int
    token_counts: NDArray[np.int64]

    @property
    def tokens(self) -> int:
        """Number of ids, boundaries included but for the first."""
        return len(self.ids) - 1

    def mirrored(self) -> "EncodedText":
        """Return the same text from its end to its beginning; the ids are a view."""
        boundaries = ArrayFile(self.boundaries.dtype)
        for stop in range(len(self.boundaries), 0, -MIRRORED_AT_ONCE):
            some = self.boundaries[max(0, stop - MIRRORED_AT_ONCE) : stop]
            boundaries.append(len(self.ids) - 1 - some[::-1])
        return replace(self, ids=self.ids[::-1], boundaries=boundaries.array)


class ArrayFile:
    """An array that grows in a file without a name."""

    def __init__(
        self, dtype: np.dtype[Any], file: IO[bytes] | None = None, length: int = 0
    ) -> None:
        """Begin a new file; or read on in one that holds so many numbers already."""
        self._dtype = dtype
        self._file = file or open_temporary()
        weakref.finalize(self, self._file.close)
        self._length = length
        self._array: NDArray[Any] = np.zeros(0, dtype)

    @classmethod
    def mapped(cls, dtype: np.dtype[Any], address: tuple[str, list[int], int]) -> "ArrayFile":
        """Return the array that has this address in another process, read-only.

        Raises:
            OSError: If the system does not show one process what another has open.
        """
        path, facts, length = address
        file = Path(path).open("rb")
        result = cls(dtype, file, length)
        if _facts_of(file) != facts:
            raise FileNotFoundError(f"{path} is another file here")
        return result

    @property
    def address(self) -> tuple[str, list[int], int]:
        """Where other processes of the machine find the file, what it is, and its length."""
        path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        return path, _facts_of(self._file), self._length

    def append(self, array: NDArray[Any]) -> None:
        """Write more at the end.

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
        """All that was written, read-only."""
        if len(self._array) < self._length:
            self._array = np.memmap(self._file, self._dtype, "r", shape=(self._length,))
        return self._array


def _facts_of(file: IO[bytes]) -> list[int]:
    """Return what tells a file from all others of its machine: in a container, PIDs do not."""
    found = os.fstat(file.fileno())
    return [found.st_dev, found.st_ino, found.st_size]


class IdFile:
    """Ids that grow in a file, with what is counted on the way.

    Attributes:
        characters: Of the raw text that is scored.
        ends: Where each part of a text ends.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._boundary_id = tokenizer.boundary_id
        self._ids = ArrayFile(tokenizer.id_dtype)
        self._boundaries = ArrayFile(np.dtype(np.int64))
        self._counts = np.zeros(tokenizer.boundary_id + 1, dtype=np.int64)
        self.characters = 0
        self.ends: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        """All ids so far, shape (ids,)."""
        return self._ids.array

    @property
    def token_counts(self) -> NDArray[np.int64]:
        """How often each id occurs so far, the boundary last, shape (V + 1,)."""
        return self._counts.copy()

    def append(self, ids: Ids, *, characters: int = 0) -> None:
        """Write more ids, of so many characters of raw text."""
        self._boundaries.append(np.flatnonzero(ids == self._boundary_id) + len(self))
        self._ids.append(ids)
        found = np.bincount(ids, minlength=len(self._counts))
        self._counts += found
        self.characters += characters

    def append_boundary(self) -> None:
        """Write a boundary."""
        self.append(np.array([self._boundary_id], dtype=np.int64))

    def append_documents(self, texts: Iterable[tuple[str, bool]], tokenizer: Tokenizer) -> None:
        """Write the ids of a shard, a boundary after each document that ends in it."""
        boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
        arrays: list[Ids] = []
        characters = 0
        for text, is_end in texts:
            characters += len(text)
            arrays.append(tokenizer.encode(text))
            if is_end:
                arrays.append(boundary)
        self.append(np.concatenate(arrays), characters=characters)
        self.ends.append(len(self))

    def encoded(self, task: Task) -> EncodedText:
        """Return what was written, a boundary first."""
        boundaries = self._boundaries.array
        return EncodedText(
            ids=self.ids,
            boundaries=boundaries,
            characters=self.characters,
            predictions=count_predictions(task, len(self), boundaries),
            token_counts=self.token_counts,
        )

    def to_json(self) -> bytes:
        """Return what `mapped` needs, in another process of the machine."""
        facts = self._ids.address, self._boundaries.address, self._counts.tolist()
        return json.dumps([*facts, self.characters, self.ends]).encode()

    @classmethod
    def mapped(cls, tokenizer: Tokenizer, facts: bytes) -> "IdFile":
        """Return the ids of another process, to be read only.

        Raises:
            OSError: If the system does not show one process what another has open.
        """
        ids, boundaries, counts, characters, ends = json.loads(facts)
        result = cls(tokenizer)
        result._ids = ArrayFile.mapped(tokenizer.id_dtype, ids)
        result._boundaries = ArrayFile.mapped(np.dtype(np.int64), boundaries)
        result._counts = np.array(counts, np.int64)
        result.characters, result.ends = characters, ends
        return result


def write_once(
    group: ProcessGroup, tokenizer: Tokenizer, write: Callable[[IdFile], None]
) -> IdFile:
    """Return the ids that the first process of each machine writes, and its others map."""
    file = IdFile(tokenizer)
    is_writer = group.process.local_rank == 0
    if is_writer:
        write(file)
    written = group.all_gather(file.to_json() if is_writer and group.world_size > 1 else b"")
    if not is_writer:
        try:
            file = IdFile.mapped(tokenizer, written[group.rank - group.process.local_rank])
        except OSError:  # a system without /proc
            write(file)
    group.sync_clock()  # until all have mapped them
    return file


def count_predictions(task: Task, ids: int, boundaries: NDArray[np.int64]) -> int:
    """Return how many of the ids are scored.

    Args:
        task: Of documents all but boundaries, of lines those after them, too, of pairs the targets
            and the boundaries after them.
        ids: How many there are.
        boundaries: Where the boundaries stand; there is one before the first text.
    """
    match task:
        case "text":
            return ids - len(boundaries)
        case "lines":
            return ids - 1
        case "pairs":
            return int(boundaries[2::2].sum() - boundaries[1::2].sum())
