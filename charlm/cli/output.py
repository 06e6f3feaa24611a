"""Data on stdout: UTF-8 bytes, flushed soon; a closed pipe ends the command quietly."""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

import typer

from charlm.errors import CharlmError, ConfigError
from charlm.files.atomic import check_writable
from charlm.files.file_types import HEAD_SIZE, is_page, is_picture
from charlm.formatting import to_json, without_surrogates

Item = TypeVar("Item")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; None is a closed one."""
    return stream is not None and stream.isatty()


def write(text: str, *, is_flushed: bool = True) -> None:
    """Write `text` to stdout, and flush it unless more will come soon.

    The text is written as UTF-8 bytes, whatever the locale. Lone surrogates, which UTF-8 cannot
    hold, become U+FFFD.

    Raises:
        typer.Exit: If the reader has closed the pipe.
        CharlmError: If stdout is closed or full.
    """
    if sys.stdout is None:
        raise CharlmError("standard output is closed")
    try:
        sys.stdout.buffer.write(without_surrogates(text).encode())
        if is_flushed:
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard_stdout()
        raise typer.Exit from None
    except OSError as error:
        discard_stdout()
        raise CharlmError(f"standard output cannot be written: {error.strerror}") from None


def check_replaceable(
    path: Path, option: str, *, kind: str, is_kind: Callable[[bytes], bool]
) -> None:
    """Raise ConfigError if the output of an option would replace a file of another kind.

    Args:
        path: The file to write; an empty or missing one may be written.
        option: The option that names it.
        kind: What the file has to be, with its article.
        is_kind: Whether these first bytes of a file are of that kind.
    """
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
        if head and not is_kind(head):
            raise ConfigError(
                f"{path} is not {kind}, so it is not replaced",
                hint=f"remove it, or name another file with {option}",
            )


def check_page(path: Path, option: str, inputs: Iterable[Path]) -> None:
    """Raise an error, before any work, if an HTML page cannot be written.

    Args:
        path: The page.
        option: The option that names it.
        inputs: Files that are read, which the page must not replace.

    Raises:
        CharlmError: If the page is an input, would replace something else than a page of charlm, or
            its directory cannot be written.
    """
    if str(path) == "-":
        raise ConfigError(f"a page is a file, so {option} - is none", hint=f"{option} page.html")
    if path.exists() and any(source.exists() and path.samefile(source) for source in inputs):
        raise ConfigError(f"{path} is also an input", hint=f"name another file with {option}")
    check_writable(path)
    check_replaceable(path, option, kind="a page that charlm wrote", is_kind=is_page)


def check_picture(path: Path, option: str) -> None:
    """Raise ConfigError if a picture would replace a file that is not one."""
    check_replaceable(path, option, kind="a picture", is_kind=is_picture)


def finite(value: float) -> float | None:
    """Return `value`, or None, JSON's null, for an infinite one or NaN."""
    return value if math.isfinite(value) else None


def write_json(value: object) -> None:
    """Write one JSON object on a line of its own."""
    write(to_json(value) + "\n")


def print_note(text: str) -> None:
    """Print a note on stderr, if that can be written: a note never costs the result."""
    from charlm.display import show_note  # rich, which most commands do not need

    with contextlib.suppress(OSError):
        show_note(text)


def counted_on_terminal(
    items: Iterable[Item], name: str, size: Callable[[Item], int] = lambda item: 1
) -> Iterator[Item]:
    """Yield items; count them on stderr if that is a terminal and stdout is none.

    `name` is what is counted, in the plural, and `size` how many of these an item holds.
    """
    if is_terminal(sys.stdout) or not is_terminal(sys.stderr):
        yield from items
        return
    from charlm.display.counter import Counter  # rich, which most commands do not need

    with Counter(name) as counter:
        for item in items:
            counter.add(size(item))
            yield item


def discard_stdout() -> None:
    """Redirect stdout to nowhere: Python would flush into a broken pipe when it exits."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
