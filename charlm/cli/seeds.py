"""Seed texts from the command line, from files and from pipes."""

import codecs
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import typer

from charlm.config import Form
from charlm.errors import CharlmError, ConfigError

if TYPE_CHECKING:
    from charlm.tokenizers import Tokenizer

MOST_SHOWN = 20  # characters
LOT_SIZE = 1 << 16  # bytes


def seed_text(given: str) -> str:
    """Return the seed text, which must be valid Unicode to be echoed as it is; - is stdin."""
    if given == "-":
        data = _standard_input("--seed -").read()
        return _without_line_end(_decoded(data, "the seed text on stdin"))
    check_unicode(given, "the seed text")
    if given.isdecimal():
        typer.echo(
            "note: --seed is the text to continue; the random generator's is --rng-seed", err=True
        )
    return given


def seed_lots(name: str, form: Form) -> Iterator[list[str]]:
    """Yield the lines of a file, or of stdin for -, without their ends: as many as are there.

    Raises:
        CharlmError: If the file cannot be read, or a line is not UTF-8 or no seed text of a model
            of this form; the lines before it are yielded first.
    """
    try:
        with contextlib.ExitStack() as stack:
            if name == "-":
                file = _standard_input("--seed-file -")
            else:
                file = stack.enter_context(Path(name).open("rb"))
            number = 0
            begun: list[bytes] = []  # of a line
            is_first = True
            while data := os.read(file.fileno(), LOT_SIZE):  # as much as is there
                data = data.removeprefix(codecs.BOM_UTF8) if is_first else data
                is_first = False
                *lines, rest = data.split(b"\n")
                if lines:
                    lines[0] = b"".join([*begun, lines[0]])
                    begun = []
                    yield from _lot(lines, name, number, form)
                    number += len(lines)
                begun.append(rest)
            if any(begun):
                yield from _lot([b"".join(begun)], name, number, form)
    except OSError as error:
        raise CharlmError(f"{name} cannot be read: {error.strerror}") from None


def _lot(lines: list[bytes], name: str, before: int, form: Form) -> Iterator[list[str]]:
    """Yield the lines as texts; so many stand before them in the file."""
    from charlm.inference.rows import check_item  # NumPy, which --help does not need

    texts: list[str] = []
    for number, line in enumerate(lines, start=before + 1):
        try:
            text = _without_line_end(_decoded(line, f"{name}, line {number:,},"))
            check_item(text, form, f"seed text in line {number:,} of {name},")
            texts.append(text)
        except CharlmError:
            yield texts
            raise
    yield texts


def noting_unlisted(
    lots: Iterable[list[str]], tokenizer: "Tokenizer", ending: str
) -> Iterator[list[str]]:
    """Yield the lots, and say in one line, and once, which characters the vocabulary lacks."""
    is_said = False
    for lot in lots:
        unlisted = "" if is_said else tokenizer.unlisted("".join([*lot, ending]))
        if unlisted:
            is_said = True
            shown = " ".join(
                each if each.isprintable() else f"U+{ord(each):04X}"
                for each in unlisted[:MOST_SHOWN]
            )
            more = " and more" if len(unlisted) > MOST_SHOWN else ""
            typer.echo(
                f"note: not in the model's vocabulary, so spelled out in bytes: {shown}{more}",
                err=True,
            )
        yield lot


def check_unicode(given: str, name: str) -> None:
    """Raise CharlmError for a text that cannot be echoed as it is."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise CharlmError(f"{name} is not UTF-8") from None


def _standard_input(option: str) -> IO[bytes]:
    if sys.stdin is None:
        raise CharlmError(f"{option} reads stdin, which is closed")
    if sys.stdin.isatty():
        raise ConfigError(f"{option} reads stdin, which is a terminal")
    return sys.stdin.buffer


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CharlmError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start:,}"
        ) from None
