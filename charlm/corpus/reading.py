"""Text on disk → chunks of str, strictly UTF-8 and byte for byte."""

import codecs
import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charlm.errors import ConfigError, CorpusError
from charlm.files.file_types import GIT_LFS_POINTER, HEAD_SIZE, is_text, recognise
from charlm.process_group import SINGLE_PROCESS, ProcessGroup

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


HINT = "name a directory with more room in $TMPDIR"


def open_temporary() -> IO[bytes]:
    """Return a new file.

    Raises:
        CorpusError: If there is no directory to have it in.
    """
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise CorpusError(f"there is no temporary file: {error.strerror}", hint=HINT) from None


def write_temporary(file: IO[bytes], data: bytes, *, what: str) -> None:
    """Write `data` to a temporary file, at once.

    Args:
        file: To write to.
        data: To write.
        what: What messages call it.

    Raises:
        CorpusError: If the temporary directory is full.
    """
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise CorpusError(
            f"{what} cannot be written to {tempfile.gettempdir()}: {error.strerror}", hint=HINT
        ) from None


CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Document:
    """A text that can be read any number of times, and is the same each time.

    Stdin and pipes are copied to a temporary file without a name, which is gone when
    `open_documents` ends. A file that grows is read as far as it went when it was opened.

    Attributes:
        name: What messages call it.
        path: Of its file.
        spooled: Its copy, if it has one.
        opened: What its file was when it was opened; None takes it as it is.
    """

    name: str
    path: Path
    spooled: IO[bytes] | None = None
    opened: os.stat_result | None = None

    def read_bytes(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield bytes [start, stop) of the document, a few megabytes at a time.

        Raises:
            CorpusError: If the file cannot be read, or is no longer what it was.
        """
        try:
            if self.spooled is not None:
                yield from _chunks(self.spooled, start, stop)
                return
            if self.opened is not None:
                stop = min(self.opened.st_size, self.opened.st_size if stop is None else stop)
            with self.path.open("rb") as file:
                self._refuse_change(file)
                for chunk in _chunks(file, start, stop):
                    self._refuse_change(file)
                    yield chunk
                self._refuse_change(file)
        except OSError as error:
            raise CorpusError(f"{self.name} cannot be read: {error.strerror}") from None

    def _refuse_change(self, file: IO[bytes]) -> None:
        """Raise CorpusError if the file changed in another way than by growing."""
        if self.opened is None:
            return
        then, now = self.opened, os.fstat(file.fileno())
        has_grown = now.st_size > then.st_size
        if now.st_ino != then.st_ino or not (
            has_grown or (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)
        ):
            raise CorpusError(f"{self.name} changed while it was read", hint="read a copy of it")

    def read_text(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Yield the text in bytes [start, stop) in chunks, without a byte order mark.

        Line ends stay as they are.

        Raises:
            CorpusError: If the bytes are not UTF-8; the message says what they seem to be, or
                where the first wrong byte stands.
        """
        return self.decoded(self.read_bytes(start, stop), start)

    def decoded(self, chunks: Iterable[bytes], start: int = 0) -> Iterator[str]:
        """Yield the text of bytes that were read from `start` on; see `read_text`."""
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        offset = start
        for chunk in chunks:
            if offset == 0:
                refuse_other_formats(self.name, chunk)
            text = self._decode(decoder, chunk, offset + len(chunk), final=False)
            yield text.removeprefix("\ufeff") if offset == 0 else text
            offset += len(chunk)
        yield self._decode(decoder, b"", offset, final=True)

    def _decode(
        self, decoder: codecs.IncrementalDecoder, chunk: bytes, end: int, *, final: bool
    ) -> str:
        try:
            return decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            # `error.object` is what was held back from earlier chunks, then this one.
            offset = end - len(error.object) + error.start
            raise CorpusError(
                f"{self.name} is not UTF-8: byte 0x{error.object[error.start]:02x} "
                f"at offset {offset:,}",
                hint="convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
            ) from None


@dataclass(frozen=True, kw_only=True)
class DocumentInfo:
    """What one pass over a document tells."""

    name: str
    characters: int  # without the byte order mark
    bytes: int  # of the text, without the byte order mark
    sha256: str  # of the file as it is
    has_byte_order_mark: bool


@contextlib.contextmanager
def open_documents(
    paths: Sequence[str], group: ProcessGroup = SINGLE_PROCESS
) -> Iterator[list[Document]]:
    """Open the documents that `paths` name: files, directories of .txt files, `-` for stdin.

    What can be read but once, stdin and pipes, the first process reads for all.

    Raises:
        ConfigError: If stdin is a terminal, on which nobody would know that text is awaited.
        CorpusError: If a path is missing or a directory holds no .txt file.
        TrainingError: If another process finds other files.
    """
    found = [path for name in paths for path in ([None] if name == STDIN else named_files(name))]
    are_files = [path is not None and path.is_file() for path in found]
    group.require_same(
        bytes(are_files), "list of files", hint="give each the same files; name standard input -"
    )
    with contextlib.ExitStack() as spools:
        yield [
            _spool("stdin", _from_stdin(), spools, group)
            if path is None
            else _open(path, spools, group)
            for path in found
        ]


def examine(document: Document) -> DocumentInfo:
    """Read the whole document once: check its encoding, count and hash it."""
    digest, size, mark = hashlib.sha256(), 0, False

    def measured() -> Iterator[bytes]:
        nonlocal size, mark
        for chunk in document.read_bytes():
            mark = mark or (size == 0 and chunk.startswith(codecs.BOM_UTF8))
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    characters = sum(map(len, document.decoded(measured())))
    return DocumentInfo(
        name=Path(document.name).name,
        characters=characters,
        bytes=size - len(codecs.BOM_UTF8) * mark,
        sha256=digest.hexdigest(),
        has_byte_order_mark=mark,
    )


def _chunks(file: IO[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    """Yield bytes [start, stop); others may read from the same file in between."""
    while stop is None or start < stop:
        file.seek(start)
        chunk = file.read(CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - start))
        if not chunk:
            return
        start += len(chunk)
        yield chunk


def _open(path: Path, spools: contextlib.ExitStack, group: ProcessGroup) -> Document:
    name = str(path)
    try:
        refuse_device(path)
        if path.is_file():
            opened = path.stat()
            # A file without a size may have a text all the same: those of /proc have.
            return Document(name, path, opened=opened if opened.st_size else None)
        return _spool(name, _from_pipe(path), spools, group)  # such as <(zcat text.gz)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None


def _spool(
    name: str, chunks: Iterator[bytes], spools: contextlib.ExitStack, group: ProcessGroup
) -> Document:
    spooled = spools.enter_context(open_temporary())
    try:
        for chunk in group.read_once(chunks):
            write_temporary(spooled, chunk, what=f"the text of {name}")
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None
    return Document(name, Path(name), spooled)


def _from_stdin() -> Iterator[bytes]:
    source = standard_input()
    yield from iter(lambda: source.read(CHUNK_BYTES), b"")


def _from_pipe(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")
