"""A running text, whose ids are made as far as they are read."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.ids import IdFile, write_once
from charlm.corpus.parts import Part
from charlm.distributed import ALONE, Group
from charlm.tokenizers import Ids, Tokenizer


@dataclass(frozen=True)
class Pool:
    """Some parts of a text, spread evenly over it.

    Attributes:
        parts: Their numbers, in the order in which they are read.
        starts: Where each begins in the pool, in bytes, and the pool's end, shape (parts + 1,).
    """

    parts: range
    starts: NDArray[np.int64]

    @property
    def bytes(self) -> int:
        """Size of the text in all of them."""
        return int(self.starts[-1])


class RunningText:
    """The ids of a running text, encoded part by part when they are first read.

    Figures come from a sample, and are exact if the sample is all of the text.

    Attributes:
        pools: Into how many pools the parts are dealt out; the first is the sample.
        tokens: Number of ids, boundaries included.
        characters: Of the raw text.
        predictions: Ids without boundaries, which are not predicted.
        token_counts: How often each id occurs in the sample, the boundary last, shape (V + 1,).
    """

    def __init__(
        self, parts: Sequence[Part], tokenizer: Tokenizer, pools: int, group: Group = ALONE
    ) -> None:
        """Take the parts, of which the first pool is the sample; see `pool`."""
        self._parts, self._tokenizer = parts, tokenizer
        self._step = 1  # −1 from the end to the beginning
        self.pools = pools
        sample = range(0, len(parts), pools)

        def write(file: IdFile) -> None:
            for number in sample:
                file.append_part(parts[number], tokenizer)

        file = write_once(group, tokenizer, write)
        begins = [0, *file.ends[:-1]]
        # In which file each part is, and where.
        self._places = {
            number: (file, *place)
            for number, place in zip(sample, zip(begins, file.ends, strict=True), strict=True)
        }
        # What is read later each process writes for itself.
        self._file = file if group.size == 1 else IdFile(tokenizer)
        sampled = sum(parts[number].bytes for number in sample)
        scale = sum(part.bytes for part in parts) / sampled
        self.token_counts = file.token_counts
        self.tokens = round(len(file) * scale)
        self.characters = round(file.characters * scale)
        self.predictions = round((len(file) - int(self.token_counts[-1])) * scale)

    def mirrored(self) -> "RunningText":
        """Return the same text from its end to its beginning; what one encodes, both have."""
        other = copy.copy(self)
        other._step = -self._step
        return other

    def pool(self, number: int) -> "Pool":
        """Return every so-manieth part: where to read when few are to be encoded."""
        parts = range(number, len(self._parts), self.pools)[:: self._step]
        # Where each part begins in the pool, in bytes, and the pool's end.
        return Pool(parts, np.cumsum([0, *(self._parts[part].bytes for part in parts)]))

    def start(self, pool: "Pool", number: int, count: int) -> tuple[int, int]:
        """Return the part and the place in it where segment `number` of `count` begins."""
        position = number * pool.bytes // count
        which = int(pool.starts.searchsorted(position, side="right")) - 1
        inside = position - int(pool.starts[which])
        size = int(pool.starts[which + 1] - pool.starts[which])
        part = pool.parts[which]
        return part, inside * len(self._ids_of(part)) // size

    def read(self, part: int, place: int, count: int) -> Ids:
        """Return `count` ids from a place on, which may lie beyond the part.

        After the last part comes the first; in the mirror it is the other way round.
        """
        if place >= len(self._ids_of(part)) and len(self._places) == len(self._parts):
            # Nothing is gained by going round more often.
            place %= sum(stop - start for _, start, stop in self._places.values())
        while place >= len(self._ids_of(part)):
            place -= len(self._ids_of(part))
            part = (part + self._step) % len(self._parts)
        found: list[Ids] = []
        while count > 0:
            found.append(self._ids_of(part)[place : place + count])
            count -= len(found[-1])
            place, part = 0, (part + self._step) % len(self._parts)
        return np.concatenate(found)

    def _ids_of(self, part: int) -> Ids:
        if part not in self._places:
            start = len(self._file)
            self._file.append_part(self._parts[part], self._tokenizer)
            self._places[part] = self._file, start, len(self._file)
        file, start, stop = self._places[part]
        return file.ids[start:stop][:: self._step]
