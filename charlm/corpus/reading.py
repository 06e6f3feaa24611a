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

from charlm.corpus.folders import paths_of
from charlm.corpus.text_kinds import TextKind
from charlm.errors import ConfigError, CorpusError
from charlm.files.file_types import GIT_LFS_POINTER, HEAD_SIZE, SAFETENSORS, is_text, recognise
from charlm.process_group import SINGLE_PROCESS, ProcessGroup


def standard_input() -> IO[bytes]:
    """Return stdin.

    Raises:
        ConfigError: If stdin is closed, or is a terminal: a command would seem to hang there.
    """
    if sys.stdin is None:
        raise ConfigError("standard input is closed")
    if sys.stdin.isatty():
        raise ConfigError(
            "standard input is a terminal", hint="name a file, or pipe a text into charlm"
        )
    return sys.stdin.buffer


def refuse_device(path: Path) -> None:
    """Raise CorpusError for a device, which may have no end; /dev/null is allowed."""
    mode = path.stat().st_mode
    is_null = path.resolve() == Path(os.devnull)
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not is_null):
        raise CorpusError(f"{path} is a device, not a text", hint="name a file, or pipe a text in")


def refuse_other_formats(name: str, data: bytes) -> None:
    """Raise CorpusError if the first bytes of a file show that it is not UTF-8 text."""
    head = data[:HEAD_SIZE]
    file_type = recognise(head)
    # A text may begin like an HTML page or with "BZh".
    if file_type is None or (is_text(head) and file_type != GIT_LFS_POINTER):
        return
    hint = "give plain text in UTF-8"
    if file_type == SAFETENSORS:
        hint = "if this is the model, name it with --model"
    elif file_type.startswith("UTF"):
        hint = f"convert it: iconv -f {file_type.split()[0]} -t UTF-8 FILE > NEW"
    elif file_type.startswith(("a gzip", "a bzip2", "an xz", "a Zstandard")):
        hint = "unpack it first and pipe the text in: zcat FILE | charlm … -"
    raise CorpusError(f"{name} is {file_type}, not UTF-8 text", hint=hint)


# Bytes beyond ASCII are few in a text of a Western language, and most in one of Asia.
WESTERN, EASTERN, WESTERN_SHARE = "WINDOWS-1252", "SHIFT-JIS (or GB18030, BIG5, EUC-KR)", 0.25
TEMPORARY_HINT = "name a directory with more room in $TMPDIR"


def open_temporary() -> IO[bytes]:
    """Return a new file without a name, or raise CorpusError if no directory can hold one."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise CorpusError(
            f"a temporary file cannot be opened: {error.strerror}", hint=TEMPORARY_HINT
        ) from None


def write_temporary(file: IO[bytes], data: bytes, *, what: str) -> None:
    """Write and flush `data`, or raise CorpusError, which calls it `what`, if the disk is full."""
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        with contextlib.suppress(OSError):  # closing writes again what the buffer still holds
            file.close()
        raise CorpusError(
            f"{what} cannot be written to {tempfile.gettempdir()}: {error.strerror}",
            hint=TEMPORARY_HINT,
        ) from None


CHUNK_BYTES = 1 << 22
SAMPLES, SAMPLE_BYTES = 16, 1 << 12  # of a file; they are compared after it has grown


@dataclass(frozen=True)
class Snapshot:
    """A file as it was when it was opened."""

    stat: os.stat_result  # inode, size and time of change
    sample: bytes  # SHA-256 of SAMPLES pieces, spread evenly from the first byte to the last

    @classmethod
    def of(cls, path: Path) -> "Snapshot":
        """Return what the file is now."""
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            return cls(status, _sample(file, status.st_size))

    def is_kept_by(self, file: IO[bytes]) -> bool:
        """Return whether an unbuffered file is the same, or has only grown at its end.

        A file may be read in ranges for hours, so each read compares. A log may grow meanwhile. In
        a file that was written anew and became larger, the sample differs.
        """
        then, now = self.stat, os.fstat(file.fileno())
        if (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino):
            return False
        if now.st_size > then.st_size:
            return _sample(file, then.st_size) == self.sample
        return (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)


def _sample(file: IO[bytes], size: int) -> bytes:
    """Return the hash of SAMPLES pieces of the first `size` bytes of a file."""
    digest = hashlib.sha256()
    last = max(0, size - SAMPLE_BYTES)
    for start in sorted({last * number // (SAMPLES - 1) for number in range(SAMPLES)}):
        file.seek(start)
        digest.update(file.read(min(SAMPLE_BYTES, size - start)))
    return digest.digest()


@dataclass(frozen=True)
class Document:
    """A text that can be read any number of times and is the same each time.

    Stdin and pipes are copied to a temporary file without a name, which is gone when
    `open_documents` ends. A file that grows is read up to the size that it had when it was opened.
    """

    name: str  # in messages
    path: Path
    spool: IO[bytes] | None = None  # the temporary copy of stdin or a pipe
    snapshot: Snapshot | None = None  # the file when it was opened; None skips the check of changes

    def read_bytes(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield bytes [start, stop) of the document, a few megabytes at a time.

        Raises:
            CorpusError: If the file cannot be read, or has changed in another way than by growing.
        """
        try:
            if self.spool is not None:
                yield from _chunks(self.spool, start, stop)
                return
            if self.snapshot is not None:
                size = self.snapshot.stat.st_size
                stop = size if stop is None else min(size, stop)
            with self.path.open("rb", buffering=0) as file:
                self._refuse_change(file)
                for chunk in _chunks(file, start, stop):
                    self._refuse_change(file)
                    yield chunk
                self._refuse_change(file)
        except OSError as error:
            raise CorpusError(f"{self.name} cannot be read: {error.strerror}") from None

    def _refuse_change(self, file: IO[bytes]) -> None:
        if self.snapshot is not None and not self.snapshot.is_kept_by(file):
            raise CorpusError(f"{self.name} changed while it was read", hint="read a copy of it")

    def read_text(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Yield the text in bytes [start, stop) in chunks, without a byte order mark.

        Line ends stay as they are.

        Raises:
            CorpusError: If the bytes are not UTF-8. The message names the type of the file, or the
                offset of the first wrong byte.
        """
        return self.decode(self.read_bytes(start, stop), start)

    def decode(self, chunks: Iterable[bytes], start: int = 0) -> Iterator[str]:
        """Yield the text of bytes that were read from `start` on, as `read_text` does."""
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        offset, head = start, b""
        may_have_mark = start == 0
        for chunk in chunks:
            if start == 0 and offset < HEAD_SIZE:
                head += chunk[:HEAD_SIZE]
                refuse_other_formats(self.name, head)
            offset += len(chunk)
            text = self._decode(decoder, chunk, offset, final=False)
            if text and may_have_mark:
                text, may_have_mark = text.removeprefix("\ufeff"), False
            yield text
        yield self._decode(decoder, b"", offset, final=True)

    def _decode(
        self, decoder: codecs.IncrementalDecoder, chunk: bytes, end: int, *, final: bool
    ) -> str:
        try:
            return decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            # `error.object` is the rest of earlier chunks, then this chunk.
            sample = error.object[error.start : error.start + HEAD_SIZE]
            is_western = sum(byte >= 0x80 for byte in sample) < WESTERN_SHARE * len(sample)
            offset = end - len(error.object) + error.start
            raise CorpusError(
                f"{self.name} is not UTF-8: byte 0x{error.object[error.start]:02x} "
                f"at offset {offset:,}",
                hint=f"convert it, for example: iconv -f {WESTERN if is_western else EASTERN} "
                "-t UTF-8 FILE > NEW",
            ) from None


@dataclass(frozen=True, kw_only=True)
class DocumentInfo:
    """The size and the hash of a document."""

    name: str
    characters: int  # without the byte order mark
    bytes: int  # of the text, without the byte order mark
    sha256: str  # of the file, with the byte order mark
    has_byte_order_mark: bool
    kind: TextKind


def examine(document: Document) -> DocumentInfo:
    """Read the whole document once: check its encoding, count and hash it."""
    digest, size, head = hashlib.sha256(), 0, b""

    def measured() -> Iterator[bytes]:
        nonlocal size, head
        for chunk in document.read_bytes():
            digest.update(chunk)
            size += len(chunk)
            if len(head) < len(codecs.BOM_UTF8):
                head += chunk[: len(codecs.BOM_UTF8)]
            yield chunk

    characters, kind = 0, TextKind()
    for chunk in document.decode(measured()):
        characters += len(chunk)
        kind.add(chunk)
    has_mark = head.startswith(codecs.BOM_UTF8)
    return DocumentInfo(
        name=Path(document.name).name,
        characters=characters,
        bytes=size - len(codecs.BOM_UTF8) * has_mark,
        sha256=digest.hexdigest(),
        has_byte_order_mark=has_mark,
        kind=kind,
    )


@contextlib.contextmanager
def open_documents(
    names: Sequence[str], group: ProcessGroup = SINGLE_PROCESS
) -> Iterator[list[Document]]:
    """Open the documents of a command line: files, directories of .txt files, `-` for stdin.

    The first process reads stdin and pipes for all processes.

    Raises:
        ConfigError: If stdin is closed or a terminal.
        CorpusError: If a path is missing or a directory holds no .txt file.
        TrainingError: If another process finds other files.
    """
    paths = paths_of(names)
    are_files = [path is not None and path.is_file() for path in paths]
    group.require_same(
        bytes(are_files),
        "list of files",
        hint="give each process the same files; name standard input -",
    )
    with contextlib.ExitStack() as spools:
        yield [_open(path, spools, group) for path in paths]


def _chunks(file: IO[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    """Yield bytes [start, stop); others may read from the same file in between."""
    while stop is None or start < stop:
        file.seek(start)
        chunk = file.read(CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - start))
        if not chunk:
            return
        start += len(chunk)
        yield chunk


def _open(path: Path | None, spools: contextlib.ExitStack, group: ProcessGroup) -> Document:
    name = "stdin" if path is None else str(path)
    try:
        if path is None:
            return _spool(name, _from_stdin(), spools, group)
        refuse_device(path)
        if not path.is_file():
            return _spool(name, _from_pipe(path), spools, group)  # <(zcat text.gz)
        snapshot = Snapshot.of(path)
        if snapshot.stat.st_size == 0:  # as a file of /proc, which has a text all the same
            return _spool(name, _from_pipe(path), spools, SINGLE_PROCESS)
        return Document(name, path, snapshot=snapshot)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None


def _spool(
    name: str, chunks: Iterator[bytes], spools: contextlib.ExitStack, group: ProcessGroup
) -> Document:
    """Copy a text that can be read only once to a temporary file."""
    spool = spools.enter_context(open_temporary())
    for chunk in group.read_once(chunks):
        write_temporary(spool, chunk, what=f"the text of {name}")
    return Document(name, Path(name), spool)


def _from_stdin() -> Iterator[bytes]:
    source = standard_input()
    yield from iter(lambda: source.read(CHUNK_BYTES), b"")


def _from_pipe(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")
