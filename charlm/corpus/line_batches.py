"""Lines as they come, as many as are there: from files, pipes and logs that still grow."""

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.corpus.reading import STDIN, refuse_device, refuse_other_formats, standard_input
from charlm.errors import CorpusError

# Bytes that are asked for: few at first, so that the first lines need not wait for many others.
SMALLEST_READ, LARGEST_READ = 1 << 10, 1 << 18

_LAST_END_OF_ALL = re.compile(rb"(?s).*\n")
_LAST_END_BEFORE_TEXT = re.compile(rb"(?s).*\n(?=[^\n])")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")  # other characters that end lines elsewhere are part of one


@dataclass(frozen=True)
class LineBatch:
    """Lines that stand one after another in a file.

    Attributes:
        name: Of the file; stdin has that name.
        number: Of the first line, counted from 1.
        lines: With their ends; the last one of a file may have none.
        wrong: The number of the first that is not UTF-8, whose wrong bytes became U+FFFD; or None.
    """

    name: str
    number: int
    lines: list[str]
    wrong: int | None = None


def read_line_batches(name: str, *, is_strict: bool = True) -> Iterator[LineBatch]:
    """Yield the lines of a file, or of stdin for -, none of which are held.

    Args:
        name: Of the file.
        is_strict: Whether lines that are not UTF-8 are errors; the lines before are yielded first.

    Raises:
        ConfigError: If stdin is a terminal or closed.
        CorpusError: If the file cannot be read, is no text, or has a line that is an error.
    """
    if name == STDIN:
        yield from _read("stdin", standard_input().fileno(), is_strict=is_strict)
        return
    try:
        refuse_device(Path(name))
        file = Path(name).open("rb")
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None
    with file:
        yield from _read(name, file.fileno(), is_strict=is_strict)


def _read(name: str, file: int, *, is_strict: bool) -> Iterator[LineBatch]:
    number, size = 1, SMALLEST_READ
    begun: list[bytes] = []  # of a line
    while data := _bytes(name, file, size):
        if size == SMALLEST_READ:
            refuse_other_formats(name, data)
            data = data.removeprefix(codecs.BOM_UTF8)
        # Where more is there, a lot does not end before an empty line: line ends may be one token.
        cut = (_LAST_END_OF_ALL if len(data) < size else _LAST_END_BEFORE_TEXT).match(data)
        size = min(2 * size, LARGEST_READ)
        if cut is None:
            begun.append(data)
            continue
        lines = b"".join([*begun, cut[0]])
        begun = [data[cut.end() :]]
        yield from _decoded(name, number, lines, is_strict=is_strict)
        number += lines.count(b"\n")
    if any(begun):
        yield from _decoded(name, number, b"".join(begun), is_strict=is_strict)


def _bytes(name: str, file: int, size: int) -> bytes:
    """Return what is there, at most `size` bytes; nothing at the end."""
    try:
        return os.read(file, size)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None


def _decoded(name: str, number: int, data: bytes, *, is_strict: bool) -> Iterator[LineBatch]:
    """Yield whole lines as text."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        begin = data.rfind(b"\n", 0, error.start) + 1  # of the line that cannot be read
        wrong = number + data.count(b"\n", 0, begin)
        if not is_strict:
            yield LineBatch(name, number, _LINE.findall(data.decode(errors="replace")), wrong)
            return
        yield LineBatch(name, number, _LINE.findall(data[:begin].decode()))
        raise CorpusError(
            f"{name}, line {wrong:,}, is not UTF-8: "
            f"byte 0x{data[error.start]:02x} at offset {error.start - begin:,}",
            hint="convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
        ) from None
    yield LineBatch(name, number, _LINE.findall(text))
