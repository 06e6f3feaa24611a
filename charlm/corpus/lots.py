"""Lines as they come, as many as are there: from files, pipes and logs that still grow."""

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.corpus.reading import STDIN, refuse_other_formats, standard_input
from charlm.errors import CorpusError

# Bytes that are asked for: few at first, so that the first lines need not wait for many others.
SMALLEST_READ, LARGEST_READ = 1 << 12, 1 << 18

_LINE = re.compile(r"[^\n]*\n|[^\n]+")  # other characters that end lines elsewhere are part of one


@dataclass(frozen=True)
class Lot:
    """Lines that stand one after another in a file.

    Attributes:
        name: Of the file; stdin has that name.
        number: Of the first line, counted from 1.
        lines: With their ends; the last one of a file may have none.
    """

    name: str
    number: int
    lines: list[str]


def line_lots(name: str) -> Iterator[Lot]:
    """Yield the lines of a file, or of stdin for -, none of which are held.

    Raises:
        ConfigError: If stdin is a terminal or closed.
        CorpusError: If the file cannot be read, or a line is not UTF-8; the lines before it are
            yielded first.
    """
    if name == STDIN:
        yield from _read("stdin", standard_input().fileno())
        return
    try:
        file = Path(name).open("rb")
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None
    with file:
        yield from _read(name, file.fileno())


def _read(name: str, file: int) -> Iterator[Lot]:
    number, size = 1, SMALLEST_READ
    begun: list[bytes] = []  # of a line
    while data := _bytes(name, file, size):
        if size == SMALLEST_READ:
            refuse_other_formats(name, data)
            data = data.removeprefix(codecs.BOM_UTF8)
        size = min(2 * size, LARGEST_READ)
        head, end, rest = data.rpartition(b"\n")
        if end:
            lines = b"".join([*begun, head, end])
            begun = []
            yield from _decoded(name, number, lines)
            number += lines.count(b"\n")
        begun.append(rest)
    if any(begun):
        yield from _decoded(name, number, b"".join(begun))


def _bytes(name: str, file: int, size: int) -> bytes:
    """Return what is there, at most `size` bytes; nothing at the end."""
    try:
        return os.read(file, size)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None


def _decoded(name: str, number: int, data: bytes) -> Iterator[Lot]:
    """Yield whole lines as text."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        begin = data.rfind(b"\n", 0, error.start) + 1  # of the line that cannot be read
        yield Lot(name, number, _LINE.findall(data[:begin].decode()))
        wrong = number + data.count(b"\n", 0, begin)
        raise CorpusError(
            f"{name}, line {wrong:,}, is not UTF-8: "
            f"byte 0x{data[error.start]:02x} at offset {error.start - begin:,}",
            hint="convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
        ) from None
    yield Lot(name, number, _LINE.findall(text))
