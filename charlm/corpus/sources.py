"""What names stand for: files, directories of them, stdin; and what is refused as no text."""

import os
import stat
import sys
from pathlib import Path
from typing import IO

from charlm.errors import ConfigError, CorpusError
from charlm.filetypes import GIT_LFS_POINTER, HEAD_SIZE, is_text, recognise

STDIN = "-"


def named_files(name: str) -> list[Path]:
    """Return the file that a path names, or the .txt files in a directory.

    Raises:
        CorpusError: If there is none.
    """
    path = Path(name)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.txt") if file.is_file())
        if not files:
            raise CorpusError(f"{path} holds no .txt file", hint="name the files themselves")
        return files
    if not path.exists():
        is_pipe = path.parts[:3] == ("/", "dev", "fd")  # of a shell's <(…), which closes it
        hint = "pipe the text into stdin instead: … | charlm … -" if is_pipe else None
        raise CorpusError(f"{name} does not exist", hint=hint)
    return [path]


def standard_input() -> IO[bytes]:
    """Return stdin.

    Raises:
        ConfigError: If it is closed, or a terminal, on which nobody would know that text is
            awaited.
    """
    if sys.stdin is None:
        raise ConfigError("standard input is closed")
    if sys.stdin.isatty():
        raise ConfigError(
            "standard input is a terminal", hint="name a file, or pipe a text into charlm"
        )
    return sys.stdin.buffer


def refuse_device(path: Path) -> None:
    """Raise CorpusError for a device, which may have no end; but /dev/null has."""
    mode = path.stat().st_mode
    is_null = path.resolve() == Path(os.devnull)
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not is_null):
        raise CorpusError(f"{path} is a device, not a text", hint="name a file, or pipe a text in")


def refuse_other_formats(name: str, data: bytes) -> None:
    """Raise CorpusError if the first bytes of a file say that it is no UTF-8 text."""
    head = data[:HEAD_SIZE]
    found = recognise(head)
    if found is None or (is_text(head) and found != GIT_LFS_POINTER):
        return  # the source of a page may be learnt from, and a text may begin as it likes
    hint = "give plain text in UTF-8"
    if found.startswith("UTF"):
        hint = f"convert it: iconv -f {found.split()[0]} -t UTF-8 FILE > NEW"
    elif found.startswith(("a gzip", "a bzip2", "an xz", "a Zstandard")):
        hint = "unpack it first and pipe the text in: zcat FILE | charlm … -"
    raise CorpusError(f"{name} is {found}, not UTF-8 text", hint=hint)
