"""Seed texts from the command line, from files and from pipes."""

import sys
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

import typer

from charlm.config import Task
from charlm.errors import CharlmError, ConfigError

if TYPE_CHECKING:
    from charlm.tokenizers import Tokenizer

MOST_SHOWN = 20  # characters
STDIN = "-"


def seed_text(given: str) -> str:
    """Return the seed text, which must be valid Unicode to be echoed as it is; - is stdin."""
    if given == STDIN:
        data = _standard_input("--seed -").read()
        return _without_line_end(_decoded(data, "the seed text on stdin"))
    check_unicode(given, "the seed text")
    if given.isdecimal():
        typer.echo(
            "note: --seed is the text to continue; the random generator's is --rng-seed", err=True
        )
    return given


def seed_batches(name: str, task: Task) -> Iterator[list[str]]:
    """Yield the lines of a file, or of stdin for -, without their ends: as many as are there.

    Raises:
        CharlmError: If the file cannot be read, or a line is not UTF-8 or no seed text of a model
            of this form; the lines before it are yielded first.
    """
    from charlm.corpus.line_batches import read_line_batches  # NumPy, which --help does not need
    from charlm.inference.sequences import check_example

    if name == STDIN:
        _standard_input("--seed-file -")
    for batch in read_line_batches(name):
        texts: list[str] = []
        for number, line in enumerate(batch.lines, start=batch.number):
            text = _without_line_end(line)
            try:
                check_example(text, task, f"seed text in line {number:,} of {batch.name},")
            except CharlmError:
                yield texts
                raise
            texts.append(text)
        yield texts


def noting_unlisted(
    batches: Iterable[list[str]], tokenizer: "Tokenizer", ending: str
) -> Iterator[list[str]]:
    """Yield the lots, and say in one line, and once, which characters the vocabulary lacks."""
    is_said = False
    for batch in batches:
        unlisted = "" if is_said else tokenizer.out_of_vocabulary("".join([*batch, ending]))
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
        yield batch


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
