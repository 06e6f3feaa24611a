"""Files → documents → shards: a running text in pieces that are encoded when they are first read.

A corpus may be larger than memory and take longer to encode than to train on: a minute of training
reads a few megabytes. So it is cut into shards of about a megabyte.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.encoded_text import EncodedText, IdFile
from charlm.corpus.examples import separator_pattern
from charlm.corpus.reading import Document
from charlm.tokenizers import Ids, Tokenizer

SHARD_BYTES = 1 << 20
LONGEST_BLANK = 64  # bytes of white space that are no document
SEARCHED_BYTES = 1 << 16  # that are searched for a line end where a document is cut


@dataclass(frozen=True)
class ByteRange:
    """Bytes [start, stop) of a file."""

    file: Document
    start: int
    stop: int

    @property
    def bytes(self) -> int:
        """Size of the text in it."""
        return self.stop - self.start


@dataclass(frozen=True)
class Shard:
    """Several documents, or a piece of one, that are encoded together."""

    files: Sequence[Document]  # of the whole corpus
    # For each document or piece the number of its file and bytes [start, stop), shape (spans, 3).
    spans: NDArray[np.int64]
    is_end: bool = True  # whether a document ends with the last span, as with all others

    @property
    def bytes(self) -> int:
        """Size of the text in it."""
        return int((self.spans[:, 2] - self.spans[:, 1]).sum())

    def texts(self) -> Iterator[tuple[str, bool]]:
        """Yield the text of each span, and whether a document ends with it."""
        for count, (number, start, stop) in enumerate(self.spans.tolist(), start=1):
            text = "".join(self.files[number].read_text(start, stop))
            yield text, self.is_end or count < len(self.spans)


def split_documents(byte_range: ByteRange, separator: str | None) -> Iterator[ByteRange]:
    """Yield what stands between separators, empty documents too."""
    start = byte_range.start
    if separator is not None:
        for position, end in _find(byte_range, separator):
            yield ByteRange(byte_range.file, start, position)
            start = end
    yield ByteRange(byte_range.file, start, byte_range.stop)


def is_blank(document: ByteRange) -> bool:
    """Return whether a document is empty or some white space, and so is left out."""
    if document.bytes > LONGEST_BLANK:
        return False
    return not "".join(document.file.read_text(document.start, document.stop)).strip()


def cut_into_shards(byte_ranges: Sequence[ByteRange], separator: str | None) -> list[Shard]:
    """Return the shards of a corpus, in order.

    A document ends with each byte range, and at each separator, which is in no shard.
    """
    files = [byte_range.file for byte_range in byte_ranges]
    shards: list[Shard] = []
    spans: list[tuple[int, int, int]] = []  # short documents that share the next shard
    size = 0

    def finish() -> None:
        nonlocal size
        if spans:
            shards.append(Shard(files, np.array(spans, dtype=np.int64)))
        spans.clear()
        size = 0

    for number, byte_range in enumerate(byte_ranges):
        for document in split_documents(byte_range, separator):
            if size + document.bytes > SHARD_BYTES:
                finish()
            if document.bytes > SHARD_BYTES:
                shards += _cut_document(files, number, document)
            elif not is_blank(document):
                spans.append((number, document.start, document.stop))
                size += document.bytes
    finish()
    return shards


def _cut_document(files: Sequence[Document], file: int, document: ByteRange) -> Iterator[Shard]:
    """Yield a long document in pieces that end after line ends, if it has any."""
    count = -(-document.bytes // SHARD_BYTES)
    start = document.start
    for number in range(1, count + 1):
        stop = document.stop
        if number < count:
            target = document.start + number * document.bytes // count
            stop = min(_next_line(document, target), document.stop)
        if stop > start:
            yield Shard(files, np.array([[file, start, stop]]), is_end=stop == document.stop)
        start = stop


def _next_line(document: ByteRange, position: int) -> int:
    """Return the next position where a line begins, or a character if no line end is near."""
    stop = min(position + SEARCHED_BYTES, document.stop)
    searched = b"".join(document.file.read_bytes(position, stop))
    line_end = searched.find(b"\n")
    if line_end >= 0:
        return position + line_end + 1
    # In UTF-8 every byte of a character but the first is 10xxxxxx.
    begins = (byte >> 6 != 0b10 for byte in searched)
    return position + next((offset for offset, begin in enumerate(begins) if begin), 0)


def _find(byte_range: ByteRange, separator: str) -> Iterator[tuple[int, int]]:
    """Yield where each separator begins and ends, from the left, without overlaps."""
    pattern = re.compile(separator_pattern(separator).encode())
    longest = len(separator.replace("\n", "\r\n").encode())
    held, offset = b"", byte_range.start  # `held` begins at `offset`
    for chunk in byte_range.file.read_bytes(byte_range.start, byte_range.stop):
        data = held + chunk
        searched_to = 0
        for match in pattern.finditer(data):
            yield offset + match.start(), offset + match.end()
            searched_to = match.end()
        searched_to = max(searched_to, len(data) - longest + 1)
        held, offset = data[searched_to:], offset + searched_to


@dataclass(frozen=True)
class ShardGroup:
    """Shards that are spread evenly over a text."""

    shards: range  # their numbers, in the order in which they are read
    # Where each shard begins in the group, in bytes, and the group's end, shape (shards + 1,).
    starts: NDArray[np.int64]

    @property
    def bytes(self) -> int:
        """Size of the text in all of them."""
        return int(self.starts[-1])


class RunningText:
    """The ids of a running text; each shard is encoded when it is first read.

    The shards are dealt out to `group_count` groups, and the first group is a sample. The
    attributes are estimated from the sample, and are exact if it is the whole text.

    Attributes:
        tokens: Number of ids, boundaries included.
        characters: Characters of the raw text.
        predictions: Number of ids that are predicted: boundaries only if `predicts_end`.
        token_counts: How often each id occurs in the sample, the boundary last, shape (V + 1,).
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        tokenizer: Tokenizer,
        group_count: int,
        *,
        predicts_end: bool = False,
    ) -> None:
        """Encode the first group of the shards."""
        self._shards, self._tokenizer = shards, tokenizer
        self._step = 1  # −1 in the mirror
        self.group_count = group_count
        self._file = IdFile(tokenizer)
        self._id_ranges: dict[int, tuple[int, int]] = {}  # by shard
        sample = range(0, len(shards), group_count)
        for number in sample:
            self._encode(number)
        scale = sum(shard.bytes for shard in shards) / sum(shards[n].bytes for n in sample)
        self.token_counts = self._file.token_counts.copy()
        self.tokens = round(len(self._file) * scale)
        self.characters = round(self._file.characters * scale)
        unpredicted = 0 if predicts_end else int(self.token_counts[-1])
        self.predictions = round((len(self._file) - unpredicted) * scale)

    @property
    def is_mirrored(self) -> bool:
        """Whether it is read from its end to its beginning."""
        return self._step < 0

    def mirrored(self) -> "RunningText":
        """Return the same text from its end to its beginning; both share the encoded shards."""
        mirror = copy.copy(self)
        mirror._step = -self._step
        return mirror

    def shard_group(self, number: int) -> ShardGroup:
        """Return every `group_count`-th shard, from `number` on."""
        shards = range(number, len(self._shards), self.group_count)[:: self._step]
        return ShardGroup(shards, np.cumsum([0, *(self._shards[n].bytes for n in shards)]))

    def segment_start(self, group: ShardGroup, number: int, count: int) -> tuple[int, int]:
        """Return the shard, and the position in it, where segment `number` of `count` begins."""
        position = number * group.bytes // count
        index = int(group.starts.searchsorted(position, side="right")) - 1
        inside = position - int(group.starts[index])
        size = int(group.starts[index + 1] - group.starts[index])
        shard = group.shards[index]
        return shard, inside * len(self._ids_of(shard)) // size

    def read(self, shard: int, position: int, count: int) -> Ids:
        """Return `count` ids from a position in a shard, or beyond it.

        The first shard follows the last; in the mirror the last follows the first.
        """
        if position >= len(self._ids_of(shard)) and len(self._id_ranges) == len(self._shards):
            # All shards are encoded: leave out whole rounds.
            position %= sum(stop - start for start, stop in self._id_ranges.values())
        while position >= len(self._ids_of(shard)):
            position -= len(self._ids_of(shard))
            shard = (shard + self._step) % len(self._shards)
        arrays: list[Ids] = []
        while count > 0:
            arrays.append(self._ids_of(shard)[position : position + count])
            count -= len(arrays[-1])
            position, shard = 0, (shard + self._step) % len(self._shards)
        return np.concatenate(arrays)

    def sample(self, most: int) -> Ids:
        """Return the ids of evenly spread shards in reading order, about `most` at most."""
        step = max(1, self.tokens // max(1, most))
        shards = range(0, len(self._shards), step)[:: self._step]
        return np.concatenate([self._ids_of(shard) for shard in shards])[:most]

    def _ids_of(self, shard: int) -> Ids:
        if shard not in self._id_ranges:
            self._encode(shard)
        start, stop = self._id_ranges[shard]
        return self._file.ids[start:stop][:: self._step]

    def _encode(self, shard: int) -> None:
        start = len(self._file)
        self._file.append_documents(self._shards[shard].texts(), self._tokenizer)
        self._id_ranges[shard] = start, len(self._file)


def encode_shards(
    shards: Iterable[Shard], tokenizer: Tokenizer, *, predicts_end: bool
) -> EncodedText:
    """Return the ids of all shards; boundaries are predicted only if `predicts_end`."""
    file = IdFile(tokenizer)
    file.append_boundary()
    for shard in shards:
        file.append_documents(shard.texts(), tokenizer)
    return file.as_encoded_text("text", predicts_end=predicts_end)
