"""Text on disk → chunks of str, strictly UTF-8 and byte for byte."""

import codecs
import contextlib
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charlm.errors import ConfigError, CorpusError
from charlm.filetypes import GIT_LFS_POINTER, HEAD_SIZE, is_text, recognise

CHUNK_BYTES = 1 << 22
STDIN = "-"


@dataclass(frozen=True)
class Document:
    """A text that can be read any number of times.

    Stdin and pipes are copied to a temporary file without a name, which is gone when
    `open_documents` ends.
    """

    name: str
    path: Path
    spooled: IO[bytes] | None = None

    def read_bytes(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield bytes [start, stop) of the document, a few megabytes at a time.

        Raises:
            CorpusError: If the file cannot be read.
        """
        try:
            if self.spooled is not None:
                yield from _chunks(self.spooled, start, stop)
                return
            with self.path.open("rb") as file:
                yield from _chunks(file, start, stop)
        except OSError as error:
            raise CorpusError(f"{self.name} cannot be read: {error.strerror}") from None

    def read_text(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Yield the text in bytes [start, stop) in chunks, without a byte order mark.

        Line ends stay as they are.

        Raises:
            CorpusError: If the bytes are not UTF-8; the message says what they seem to be, or
                where the first wrong byte stands.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        offset = start
        for chunk in self.read_bytes(start, stop):
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
class DocumentFacts:
    """What one pass over a document tells."""

    name: str
    characters: int  # without the byte order mark
    bytes: int  # of the text, without the byte order mark
    sha256: str  # of the file as it is
    has_byte_order_mark: bool


@contextlib.contextmanager
def open_documents(paths: Sequence[str]) -> Iterator[list[Document]]:
    """Open the documents that `paths` name: files, directories of .txt files, `-` for stdin.

    Raises:
        ConfigError: If stdin is a terminal, on which nobody would know that text is awaited.
        CorpusError: If a path is missing or a directory holds no .txt file.
    """
    documents: list[Document] = []
    with contextlib.ExitStack() as spools:
        for name in paths:
            if name == STDIN:
                documents.append(_spool("stdin", standard_input(), spools))
                continue
            for path in named_files(name):
                if path.is_file():
                    documents.append(Document(str(path), path))
                    continue
                with path.open("rb") as file:  # a pipe, such as <(zcat text.gz)
                    documents.append(_spool(str(path), file, spools))
        yield documents


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
        raise CorpusError(f"{name} does not exist")
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


def examine(document: Document) -> DocumentFacts:
    """Read the whole document once: check its encoding, count and hash it."""
    characters = sum(map(len, document.read_text()))
    digest, size, mark = hashlib.sha256(), 0, False
    for chunk in document.read_bytes():
        mark = mark or (size == 0 and chunk.startswith(codecs.BOM_UTF8))
        digest.update(chunk)
        size += len(chunk)
    return DocumentFacts(
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


def _spool(name: str, source: IO[bytes], spools: contextlib.ExitStack) -> Document:
    spooled = spools.enter_context(tempfile.TemporaryFile())
    try:
        shutil.copyfileobj(source, spooled, CHUNK_BYTES)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None
    return Document(name, Path(name), spooled)
