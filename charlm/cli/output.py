"""Data on stdout: UTF-8 bytes, at once, and quiet when nobody listens any more."""

import math
import os
import sys
from typing import TextIO

import typer

from charlm.errors import CharlmError
from charlm.formatting import to_json, without_surrogates


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether stdin or stdout, which may be closed, is a terminal."""
    return stream is not None and stream.isatty()


def write(text: str) -> None:
    """Write `text` to stdout and flush it.

    Bytes are written, so neither the locale nor rich has a say in them. Lone surrogates, which
    UTF-8 cannot hold, become U+FFFD.

    Raises:
        typer.Exit: If the reader has gone: it has what it wanted.
        CharlmError: If stdout is closed or full.
    """
    if sys.stdout is None:
        raise CharlmError("standard output is closed")
    try:
        sys.stdout.buffer.write(without_surrogates(text).encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        point_stdout_at_nothing()
        raise typer.Exit from None
    except OSError as error:
        point_stdout_at_nothing()
        raise CharlmError(f"standard output cannot be written: {error.strerror}") from None


def finite(value: float) -> float | None:
    """Return what JSON can hold."""
    return value if math.isfinite(value) else None


def write_json(value: object) -> None:
    """Write one JSON object on a line of its own."""
    write(to_json(value) + "\n")


def point_stdout_at_nothing() -> None:
    """Keep Python from flushing into the broken stdout again when it exits."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
