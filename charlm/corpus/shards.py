"""Files → documents → parts: which bytes are one text, and which are encoded at once.

A corpus may be larger than memory and longer than anybody waits for, so it is cut into parts of
some megabyte, each of which is encoded when it is first read.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.encoded_text import EncodedText, IdFile, write_once
from charlm.corpus.reading import Document
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.tokenizers import Ids, Tokenizer

SHARD_BYTES = 1 << 20
SEARCHED_BYTES = 1 << 16  # beyond the place of a cut, for the end of a line


@dataclass(frozen=True)
class ByteRange:
    """Bytes [start, stop) of a document."""

    document: Document
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """Some documents, or a piece of one, to be encoded together.

    Attributes:
        files: Those of the whole corpus.
        spans: A file's number and bytes [start, stop) in it, of each document or piece, shape
            (spans, 3).
        is_end: Whether a document ends with the last span; one does with each before it.
    """

    files: Sequence[Document]
    spans: NDArray[np.int64]
    is_end: bool = True

    @property
    def bytes(self) -> int:
        """Size of the text in it."""
        return int((self.spans[:, 2] - self.spans[:, 1]).sum())

    @property
    def ends(self) -> int:
        """Number of documents that end in it."""
        return len(self.spans) - (not self.is_end)

    def texts(self) -> Iterator[tuple[str, bool]]:
        """Yield the text of each span, and whether a document ends with it."""
        for place, (number, start, stop) in enumerate(self.spans.tolist(), start=1):
            text = "".join(self.files[number].read_text(start, stop))
            yield text, self.is_end or place < len(self.spans)


def cut_into_shards(extents: Sequence[ByteRange], separator: str | None) -> list[Shard]:
    """Return the parts of a corpus, in order.

    Args:
        extents: What belongs to it; the end of each ends a document.
        separator: What stands between documents inside a file; it is in no part.
    """
    files = [extent.document for extent in extents]
    parts: list[Shard] = []
    spans: list[tuple[int, int, int]] = []  # of short documents that share a part
    size = 0

    def finish() -> None:
        nonlocal size
        if spans:
            parts.append(Shard(files, np.array(spans, dtype=np.int64)))
        spans.clear()
        size = 0

    for number, extent in enumerate(extents):
        for span in _documents(extent, separator):
            length = span.stop - span.start
            if size + length > SHARD_BYTES:
                finish()
            if length > SHARD_BYTES:
                parts += _pieces(files, number, span)
            else:
                spans.append((number, span.start, span.stop))
                size += length
    finish()
    return parts


def _pieces(files: Sequence[Document], file: int, span: ByteRange) -> Iterator[Shard]:
    """Yield a long document in pieces, cut after line ends where there are any."""
    length = span.stop - span.start
    count = -(-length // SHARD_BYTES)
    start = span.start
    for number in range(1, count + 1):
        stop = span.stop
        if number < count:
            stop = min(_cut(span, span.start + number * length // count), span.stop)
        if stop > start:
            yield Shard(files, np.array([[file, start, stop]]), is_end=stop == span.stop)
        start = stop


def _cut(span: ByteRange, position: int) -> int:
    """Return the next place after `position` where a line begins, or else a character."""
    stop = min(position + SEARCHED_BYTES, span.stop)
    searched = b"".join(span.document.read_bytes(position, stop))
    line_end = searched.find(b"\n")
    if line_end >= 0:
        return position + line_end + 1
    # In UTF-8 every byte of a character but the first is 10xxxxxx.
    begins = (byte >> 6 != 0b10 for byte in searched)
    return position + next((offset for offset, begin in enumerate(begins) if begin), 0)


def _documents(extent: ByteRange, separator: str | None) -> Iterator[ByteRange]:
    """Yield the documents between separators, but for empty ones."""
    start = extent.start
    if separator is not None:
        mark = separator.encode()
        for position in _find(extent, mark):
            if position > start:
                yield ByteRange(extent.document, start, position)
            start = position + len(mark)
    if start < extent.stop:
        yield ByteRange(extent.document, start, extent.stop)


def _find(extent: ByteRange, mark: bytes) -> Iterator[int]:
    """Yield where `mark` stands, from the left, never overlapping."""
    held, offset = b"", extent.start  # `held` begins at `offset`
    for chunk in extent.document.read_bytes(extent.start, extent.stop):
        data = held + chunk
        place = 0
        while (found := data.find(mark, place)) >= 0:
            yield offset + found
            place = found + len(mark)
        place = max(place, len(data) - len(mark) + 1)
        held, offset = data[place:], offset + place


@dataclass(frozen=True)
class ShardGroup:
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
        self,
        parts: Sequence[Shard],
        tokenizer: Tokenizer,
        pools: int,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        """Take the parts, of which the first pool is the sample; see `pool`."""
        self._parts, self._tokenizer = parts, tokenizer
        self._step = 1  # −1 from the end to the beginning
        self.pools = pools
        sample = range(0, len(parts), pools)

        def write(file: IdFile) -> None:
            for number in sample:
                file.append_documents(parts[number].texts(), tokenizer)

        file = write_once(group, tokenizer, write)
        begins = [0, *file.ends[:-1]]
        # In which file each part is, and where.
        self._places = {
            number: (file, *place)
            for number, place in zip(sample, zip(begins, file.ends, strict=True), strict=True)
        }
        # What is read later each process writes for itself.
        self._file = file if group.world_size == 1 else IdFile(tokenizer)
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

    def pool(self, number: int) -> "ShardGroup":
        """Return every so-manieth part: where to read when few are to be encoded."""
        parts = range(number, len(self._parts), self.pools)[:: self._step]
        # Where each part begins in the pool, in bytes, and the pool's end.
        return ShardGroup(parts, np.cumsum([0, *(self._parts[part].bytes for part in parts)]))

    def start(self, pool: "ShardGroup", number: int, count: int) -> tuple[int, int]:
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
            self._file.append_documents(self._parts[part].texts(), self._tokenizer)
            self._places[part] = self._file, start, len(self._file)
        file, start, stop = self._places[part]
        return file.ids[start:stop][:: self._step]


def encode_shards(
    parts: Iterable[Shard], tokenizer: Tokenizer, group: ProcessGroup = SINGLE_PROCESS
) -> EncodedText:
    """Return the ids of all parts; boundaries are not predicted."""

    def write(file: IdFile) -> None:
        file.append_boundary()
        for part in parts:
            file.append_documents(part.texts(), tokenizer)

    return write_once(group, tokenizer, write).encoded("text")
