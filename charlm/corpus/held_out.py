"""Which part of a running text is held out: its end, from the end of a document on."""

import re
from collections.abc import Sequence

from charlm.config import CorpusConfig
from charlm.corpus.examples import separator_pattern
from charlm.corpus.reading import Document, DocumentInfo
from charlm.corpus.shards import ByteRange, split_documents
from charlm.errors import CorpusError

SMALLEST_CORPUS = 20  # characters; fewer cannot be split into a training and a validation part
LONGEST_SHIFT = 1 << 14  # bytes; held-out text begins at the end of a document that is so near


def held_out_fraction(config: CorpusConfig, characters: int) -> float:
    """Return the share of a text of so many characters that is held out."""
    if config.max_validation_characters is None:
        return config.validation_fraction
    return min(config.validation_fraction, config.max_validation_characters / characters)


def text_range(document: Document, info: DocumentInfo) -> ByteRange:
    """Return all of a document but its byte order mark."""
    start = 3 * info.has_byte_order_mark
    return ByteRange(document, start, start + info.bytes)


def hold_out_end(
    whole: Sequence[ByteRange], infos: Sequence[DocumentInfo], config: CorpusConfig
) -> tuple[list[ByteRange], list[ByteRange]]:
    """Return the training part of the documents and the rest, which is held out."""
    characters = sum(info.characters for info in infos)
    kept = characters - max(1, round(characters * held_out_fraction(config, characters)))
    if kept < SMALLEST_CORPUS // 2:
        raise CorpusError(
            f"a validation fraction of {config.validation_fraction:g} leaves "
            f"{kept} of {characters} characters to learn from",
            hint="lower --validation-fraction",
        )
    train: list[ByteRange] = []
    held_out: list[ByteRange] = []
    for text, info in zip(whole, infos, strict=True):
        inside = min(kept, info.characters)
        kept -= inside
        cut = _byte_of_character(text, inside) if inside < info.characters else text.stop
        if text.start < cut < text.stop:
            cut = _end_of_document(text, cut, config.document_separator, is_last=info is infos[-1])
        train.append(ByteRange(text.file, text.start, cut))
        held_out.append(ByteRange(text.file, cut, text.stop))
    return [text for text in train if text.bytes], [text for text in held_out if text.bytes]


def _end_of_document(text: ByteRange, cut: int, separator: str | None, *, is_last: bool) -> int:
    """Return the end of the document that would be cut, if it is near, else the cut."""
    before = b"".join(text.file.read_bytes(max(0, cut - LONGEST_SHIFT), cut))
    if separator and re.search(f"({separator_pattern(separator)})$".encode(), before):
        return cut
    stop = min(text.stop, cut + LONGEST_SHIFT)
    if separator is None:
        return stop if stop == text.stop and not is_last else cut
    stop = min(stop, (cut + text.stop) // 2)  # something must be held out
    [document, *others] = split_documents(ByteRange(text.file, cut, stop), separator)
    return document.stop if others else cut


def _byte_of_character(text: ByteRange, number: int) -> int:
    """Return the position in the file of the text's character `number`."""
    position = text.start
    for chunk in text.file.read_text(text.start, text.stop):
        before = chunk[:number]
        position += len(before.encode())
        number -= len(before)
        if number == 0:
            break
    return position
