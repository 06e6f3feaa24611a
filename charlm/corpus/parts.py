"""Files → documents → parts: which bytes are one text, and which are encoded at once.

A corpus may be larger than memory and longer than anybody waits for, so it is cut into parts of
some megabyte, each of which is encoded when it is first read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.reading import Document

PART_BYTES = 1 << 20
SEARCHED_BYTES = 1 << 16  # beyond the place of a cut, for the end of a line


@dataclass(frozen=True)
class Extent:
    """Bytes [start, stop) of a document."""

    document: Document
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
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


def cut_into_parts(extents: Sequence[Extent], separator: str | None) -> list[Part]:
    """Return the parts of a corpus, in order.

    Args:
        extents: What belongs to it; the end of each ends a document.
        separator: What stands between documents inside a file; it is in no part.
    """
    files = [extent.document for extent in extents]
    parts: list[Part] = []
    spans: list[tuple[int, int, int]] = []  # of short documents that share a part
    size = 0

    def finish() -> None:
        nonlocal size
        if spans:
            parts.append(Part(files, np.array(spans, dtype=np.int64)))
        spans.clear()
        size = 0

    for number, extent in enumerate(extents):
        for span in _documents(extent, separator):
            length = span.stop - span.start
            if size + length > PART_BYTES:
                finish()
            if length > PART_BYTES:
                parts += _pieces(files, number, span)
            else:
                spans.append((number, span.start, span.stop))
                size += length
    finish()
    return parts


def _pieces(files: Sequence[Document], file: int, span: Extent) -> Iterator[Part]:
    """Yield a long document in pieces, cut after line ends where there are any."""
    length = span.stop - span.start
    count = -(-length // PART_BYTES)
    start = span.start
    for number in range(1, count + 1):
        stop = span.stop
        if number < count:
            stop = min(_cut(span, span.start + number * length // count), span.stop)
        if stop > start:
            yield Part(files, np.array([[file, start, stop]]), is_end=stop == span.stop)
        start = stop


def _cut(span: Extent, position: int) -> int:
    """Return the next place after `position` where a line begins, or else a character."""
    stop = min(position + SEARCHED_BYTES, span.stop)
    searched = b"".join(span.document.read_bytes(position, stop))
    line_end = searched.find(b"\n")
    if line_end >= 0:
        return position + line_end + 1
    # In UTF-8 every byte of a character but the first is 10xxxxxx.
    begins = (byte >> 6 != 0b10 for byte in searched)
    return position + next((offset for offset, begin in enumerate(begins) if begin), 0)


def _documents(extent: Extent, separator: str | None) -> Iterator[Extent]:
    """Yield the documents between separators, but for empty ones."""
    start = extent.start
    if separator is not None:
        mark = separator.encode()
        for position in _find(extent, mark):
            if position > start:
                yield Extent(extent.document, start, position)
            start = position + len(mark)
    if start < extent.stop:
        yield Extent(extent.document, start, extent.stop)


def _find(extent: Extent, mark: bytes) -> Iterator[int]:
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
