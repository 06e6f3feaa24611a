"""A safetensors file of charlm: tensors, metadata in JSON, and one SHA-256 over all of it.

The metadata is one JSON object, in one entry of the safetensors header. (safetensors writes
several entries in any order.) The key of the entry is the kind of file. Every kind has `format`, a
whole number; `version`, the charlm that wrote it; and `sha256`, a hash of all other metadata and
of every tensor's name, shape and bytes.

A file is data. Reading executes nothing of it, and follows no name in it to another file. A damaged
file is one CheckpointError. No array is larger than the file: safetensors compares them.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from charlm.errors import CheckpointError, ConfigError
from charlm.files.atomic import write_atomically
from charlm.files.file_types import HEAD_SIZE, is_text, recognise

# Bytes. A million words take some 14 million; parsed, JSON takes up to 25 times the memory.
LARGEST_HEADER = 16 << 20
DTYPES = ("F32", "U8", "U16", "U32", "U64")  # of tensors in a file, as safetensors names them
MOST_LEVELS = 32  # of nested JSON; written files have 4, and Python's json fails at some 1,000

Metadata = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """A kind of file, and its name and hints in errors."""

    key: str  # the name of its entry in the header
    name: str  # in a sentence: "a charlm model"
    format: int  # the one that this charlm reads and writes
    cure: str  # the hint if there is no file of this kind
    repair: str  # the hint if the file is damaged


class TensorFile:
    """An open file: its metadata, not to be trusted, and tensors that are read on demand."""

    def __init__(self, path: Path, file: Any, metadata: Metadata, prefix: str = "") -> None:
        self.path, self.metadata = path, metadata
        self._file, self._prefix = file, prefix
        names = (name for name in file.keys() if name.startswith(prefix))
        self.names = frozenset(name.removeprefix(prefix) for name in names)

    def within(self, prefix: str, metadata: object) -> "TensorFile":
        """Return the tensors whose names begin with `prefix`, with their own metadata."""
        if not isinstance(metadata, dict):
            raise ConfigError(f"its entry {prefix.rstrip('.')!r} is not a JSON object")
        return TensorFile(self.path, self._file, metadata, self._prefix + prefix)

    def kind(self, name: str) -> tuple[str, tuple[int, ...]]:
        """Return the type and the shape of a tensor, as the header claims them."""
        tensor = self._file.get_slice(self._prefix + name)
        return tensor.get_dtype(), tuple(tensor.get_shape())

    def array(self, name: str) -> NDArray[Any]:
        """Read a tensor.

        Raises:
            ConfigError: If its type is never written, or NumPy cannot have its shape.
        """
        dtype, _ = self.kind(name)
        if dtype not in DTYPES:
            raise ConfigError(f"{name[:60]} is {dtype}, not one of {', '.join(DTYPES)}")
        try:
            array: NDArray[Any] = self._file.get_tensor(self._prefix + name)
        except ValueError:
            raise ConfigError(f"{name[:60]} has an impossible shape") from None
        return array

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Read all tensors."""
        return {name: self.array(name) for name in sorted(self.names)}

    def bytes(self, name: str) -> NDArray[np.uint8]:
        """Read a tensor of bytes, shape (bytes,); empty if the file lacks it.

        Raises:
            ConfigError: If it has another type or number of dimensions.
        """
        if name not in self.names:
            return np.empty(0, np.uint8)
        dtype, shape = self.kind(name)
        if dtype != "U8" or len(shape) != 1:
            raise ConfigError(f"{name[:60]} is not a sequence of bytes")
        return self.array(name)

    def check_digest(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raise ConfigError unless metadata and arrays match the hash in the file."""
        if digest(self.metadata, arrays) != self.metadata.get("sha256"):
            raise ConfigError("its contents do not match their SHA-256")


def save(
    path: Path, kind: FileKind, metadata: Metadata, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a file so that `path` holds the previous or the new one at every instant.

    Raises:
        CheckpointError: If it cannot be written; the previous one is untouched.
    """
    version = importlib.metadata.version("charlm")
    written = {"format": kind.format, "version": version, **metadata}
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    written["sha256"] = digest(written, contiguous)
    data = to_safetensors(contiguous, {kind.key: _to_json(written)})
    if _header_size(data) > LARGEST_HEADER:
        raise CheckpointError(
            f"the vocabulary is too large for {path}: the header takes {_header_size(data):,} "
            f"bytes, more than {LARGEST_HEADER:,}",
            hint="lower --vocab-size",
        )
    write_atomically(path, data)


@contextmanager
def open_tensor_file(path: Path, kind: FileKind) -> Iterator[TensorFile]:
    """Open a file that `save` wrote.

    A ConfigError inside the `with` block means that the file is damaged. It becomes a
    CheckpointError that names the file.

    Raises:
        CheckpointError: If the file is missing, damaged, of another kind or of another format.
    """
    _check_file_type(path, kind)
    try:
        with safe_open(path, framework="np") as file:
            yield TensorFile(path, file, _metadata(path, file, kind))
    except ConfigError as error:
        raise CheckpointError(f"{path} is damaged: {error.message}", hint=kind.repair) from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged: {str(error).splitlines()[0][:200]}", hint=kind.repair
        ) from None


def check_replaceable(path: Path, kind: FileKind) -> None:
    """Raise CheckpointError if the file at `path` is of another kind. It may be damaged."""
    _check_file_type(path, kind)
    with contextlib.suppress(SafetensorError, OSError), safe_open(path, framework="np") as file:
        if kind.key not in (file.metadata() or {}):
            raise CheckpointError(f"{path} is a safetensors file, but not {kind.name}")


def digest(metadata: Metadata, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of everything in the file but the hash itself."""
    hashed = {name: value for name, value in metadata.items() if name != "sha256"}
    sha256 = hashlib.sha256(_to_json(hashed).encode())
    for name in sorted(arrays):
        sha256.update(_to_json([name, list(arrays[name].shape)]).encode())
        sha256.update(np.ascontiguousarray(arrays[name]).data)
    return sha256.hexdigest()


def _metadata(path: Path, file: Any, kind: FileKind) -> Metadata:
    """Return the metadata of a file, after checking its kind and format."""
    entries = file.metadata() or {}
    if kind.key not in entries:
        raise CheckpointError(f"{path} is a safetensors file, but not {kind.name}", hint=kind.cure)
    metadata = _from_json(entries[kind.key])
    number = metadata.get("format")
    if type(number) is not int or number < 1:
        raise ConfigError(f"its format is {repr(number)[:20]}, not a whole number from 1")
    if number != kind.format:
        raise CheckpointError(
            f"{path} has format {repr(number)[:20]}; this charlm reads format {kind.format}",
            hint="upgrade charlm" if number > kind.format else _cure_of_age(metadata),
        )
    return metadata


def _cure_of_age(metadata: Metadata) -> str:
    """Return the hint for a file of an older format: the charlm that wrote it."""
    version = str(metadata.get("version"))
    if not re.fullmatch(r"\d[0-9a-z.+-]{,30}", version):  # a file is data, not advice
        return "train again"
    return f"use the charlm that wrote it, {version}, or train again"


def _check_file_type(path: Path, kind: FileKind) -> None:
    """Raise CheckpointError if the first bytes show another type of file, or a false header."""
    try:
        status = path.stat()  # is_file() hides errors from Python 3.14 on
        if not stat.S_ISREG(
            status.st_mode
        ):  # a directory; or a pipe or device, which may never end
            name = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise CheckpointError(f"{path} is {name}", hint=kind.cure)
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
    except (FileNotFoundError, NotADirectoryError):
        message = f"there is no {kind.name.split()[-1]} at {path}"
        raise CheckpointError(message, hint=kind.cure) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    file_type = recognise(head)
    if is_text(head):  # a safetensors file begins with a number of 8 bytes, some of them NUL
        file_type = file_type or ("text" if head else "empty")
    if file_type is not None and file_type != "a safetensors file":
        raise CheckpointError(f"{path} is {file_type}, not {kind.name}", hint=kind.cure)
    if _header_size(head) > LARGEST_HEADER:
        raise CheckpointError(
            f"{path} is damaged: its header claims {_header_size(head):,} bytes, "
            f"more than {LARGEST_HEADER:,}",
            hint=kind.repair,
        )
    # safetensors panics without memory. A sparse file may claim any size and take no room.
    if status.st_size > _memory():
        raise CheckpointError(
            f"{path} has {status.st_size:,} bytes, more than this machine's memory"
        )


def _memory() -> float:
    """Return the machine's memory in bytes; infinity if the system does not report it."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _header_size(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, sort_keys=True)


def _from_json(text: str) -> dict[str, Any]:
    """Parse a JSON object that is not deep, has no duplicate key and only finite numbers."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        json.dumps(value, allow_nan=False)  # refuses 1e999, which is JSON but not finite
    except (ValueError, RecursionError):
        raise ConfigError("its metadata is not JSON") from None
    if not isinstance(value, dict):
        raise ConfigError("its metadata is not a JSON object")
    if _is_deep(value):
        raise ConfigError(f"its metadata is nested more than {MOST_LEVELS} deep")
    return value


def _is_deep(value: dict[str, Any]) -> bool:
    """Return whether objects and lists are nested more than MOST_LEVELS deep."""
    level: list[Any] = [value]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return bool(level)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("duplicate key")
    return entries


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
