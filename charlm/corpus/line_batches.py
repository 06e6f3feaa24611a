"""Lines of files, pipes and growing logs, in batches as they arrive."""

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.corpus.folders import STDIN
from charlm.corpus.reading import refuse_device, refuse_other_formats, standard_input
from charlm.errors import CorpusError
from charlm.files.file_types import HEAD_SIZE

# Bytes of one read: few at first, so that the first lines need not wait for many others.
SMALLEST_READ, LARGEST_READ = 1 << 10, 1 << 18

_UP_TO_LAST_LINE_END = re.compile(rb"(?s).*\n")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")  # only \n ends a line; U+2028 and others belong to it


@dataclass(frozen=True)
class LineBatch:
    """Consecutive lines of a file."""

    name: str  # of the file, or "stdin"
    number: int  # of the first line, counted from 1
    lines: list[str]  # with their ends; the last line of a file may have none
    # The number of the first line that is not UTF-8; its wrong bytes became U+FFFD.
    wrong: int | None = None


def read_line_batches(name: str, *, is_strict: bool = True) -> Iterator[LineBatch]:
    """Yield the lines of a file, or of stdin for -, as soon as they can be read.

    Raises:
        ConfigError: If stdin is a terminal or closed.
        CorpusError: If the file cannot be read, is not a text, or has a line that is not UTF-8 and
            `is_strict`. The lines before it are yielded first.
    """
    if name == STDIN:
        yield from _read_lines("stdin", standard_input().fileno(), is_strict=is_strict)
        return
    try:
        refuse_device(Path(name))
        file = Path(name).open("rb")
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None
    with file:
        yield from _read_lines(name, file.fileno(), is_strict=is_strict)


def _read_lines(name: str, file: int, *, is_strict: bool) -> Iterator[LineBatch]:
    number = 1
    unfinished: list[bytes] = []  # the beginning of a line
    for block in _read_blocks(name, file):
        whole_lines = _UP_TO_LAST_LINE_END.match(block)
        if whole_lines is None:
            unfinished.append(block)
            continue
        data = b"".join([*unfinished, whole_lines[0]])
        unfinished = [block[whole_lines.end() :]]
        yield from _decode_lines(name, number, data, is_strict=is_strict)
        number += data.count(b"\n")
    if any(unfinished):
        yield from _decode_lines(name, number, b"".join(unfinished), is_strict=is_strict)


def _read_blocks(name: str, file: int) -> Iterator[bytes]:
    """Yield the bytes of a file as they arrive.

    A slow pipe may deliver one byte at a time. So all of the first bytes are checked for other
    formats, and one or two bytes are held back while they may begin a byte order mark.
    """
    size, head = SMALLEST_READ, b""
    held: bytes | None = b""  # None after the first bytes
    while block := _read_some(name, file, size):
        size = min(2 * size, LARGEST_READ)
        if len(head) < HEAD_SIZE:
            head += block
            refuse_other_formats(name, head)
        if held is not None:
            block = held + block
            if block in (codecs.BOM_UTF8[:1], codecs.BOM_UTF8[:2]):
                held = block
                continue
            block, held = block.removeprefix(codecs.BOM_UTF8), None
        yield block
    if held:
        yield held


def _read_some(name: str, file: int, size: int) -> bytes:
    """Return the bytes that are there, at most `size`; nothing at the end."""
    try:
        return os.read(file, size)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None


def _decode_lines(name: str, number: int, data: bytes, *, is_strict: bool) -> Iterator[LineBatch]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line_start = data.rfind(b"\n", 0, error.start) + 1
        wrong = number + data.count(b"\n", 0, line_start)
        if not is_strict:
            yield LineBatch(name, number, _LINE.findall(data.decode(errors="replace")), wrong)
            return
        yield LineBatch(name, number, _LINE.findall(data[:line_start].decode()))
        raise CorpusError(
            f"{name}, line {wrong:,}, is not UTF-8: "
            f"byte 0x{data[error.start]:02x} at offset {error.start - line_start:,}",
            hint="convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
        ) from None
    yield LineBatch(name, number, _LINE.findall(text))
