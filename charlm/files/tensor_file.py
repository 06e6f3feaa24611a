"""A safetensors file of charlm's: facts in JSON, arrays, and one SHA-256 of them all.

The facts are one entry of the file's metadata, a JSON object; its key says what the file is. (One
entry, because safetensors writes several in any order.) Among them are `format`, a number,
`version` (of the charlm that wrote it) and `sha256`, a hash of all other facts and of every
tensor's name, shape and bytes.

Reading promises: nothing of the file is executed, and nothing in it names another file; a damaged
file is one CheckpointError. No array is larger than the file, for safetensors compares them.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
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

# Bytes. A million words make some 14; parsed, its JSON takes up to 25 times as much memory.
LARGEST_HEADER = 16 << 20
WRITTEN = ("F32", "U8")  # types of arrays, as the format names them
DEEPEST = 32  # facts in facts; what is written has 4, and Python's json fails at some 1,000

Metadata = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """What a file of charlm's is for.

    Attributes:
        key: Of its facts, in the metadata.
        name: What it is called, as in "a charlm model".
        format: The newest format that this charlm knows.
        cure: What to do when there is none.
        repair: What to do when it is damaged.
    """

    key: str
    name: str
    format: int
    cure: str
    repair: str


class TensorFile:
    """An open file: its facts, and arrays that are read when they are asked for.

    Attributes:
        path: Where it is.
        facts: What its JSON says; nothing of it can be trusted.
        names: Of its arrays.
    """

    def __init__(self, path: Path, file: Any, metadata: Metadata, prefix: str = "") -> None:
        self.path, self.metadata = path, metadata
        self._file, self._prefix = file, prefix
        self.names = frozenset(
            name.removeprefix(prefix) for name in file.keys() if name.startswith(prefix)
        )

    def within(self, prefix: str, metadata: object) -> "TensorFile":
        """Return the arrays whose names begin with `prefix`, with facts of their own."""
        if not isinstance(metadata, dict):
            raise ConfigError(f"what it says of {prefix.rstrip('.')} is no JSON object")
        return TensorFile(self.path, self._file, metadata, self._prefix + prefix)

    def kind(self, name: str) -> tuple[str, tuple[int, ...]]:
        """Return the type and the shape of an array, as the header has them."""
        tensor = self._file.get_slice(self._prefix + name)
        return tensor.get_dtype(), tuple(tensor.get_shape())

    def array(self, name: str) -> NDArray[Any]:
        """Read an array.

        Raises:
            ConfigError: If it is of a type that is never written, or of no shape that NumPy has.
        """
        dtype, _ = self.kind(name)
        if dtype not in WRITTEN:
            raise ConfigError(f"{name[:60]} is {dtype}, not one of {', '.join(WRITTEN)}")
        try:
            found: NDArray[Any] = self._file.get_tensor(self._prefix + name)
        except ValueError:
            raise ConfigError(f"{name[:60]} has no shape that an array can have") from None
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Read all arrays."""
        return {name: self.array(name) for name in sorted(self.names)}

    def bytes(self, name: str) -> NDArray[np.uint8]:
        """Read an array of bytes; where there is none, nothing.

        Raises:
            ConfigError: If it is of another type or shape.
        """
        if name not in self.names:
            return np.empty(0, np.uint8)
        dtype, shape = self.kind(name)
        if dtype != "U8" or len(shape) != 1:
            raise ConfigError(f"{name[:60]} is no sequence of bytes")
        return self.array(name)

    def check_digest(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raise ConfigError unless the facts and arrays are those that were written."""
        if digest(self.metadata, arrays) != self.metadata.get("sha256"):
            raise ConfigError("its contents do not match their SHA-256")


def save(
    path: Path, kind: FileKind, metadata: Metadata, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a file so that `path` holds the previous or the new one at every instant.

    Raises:
        CheckpointError: If it cannot be written; the previous one is untouched.
    """
    whole = {
        "format": kind.format,
        "version": importlib.metadata.version("charlm"),
        **metadata,
    }
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    whole["sha256"] = digest(whole, contiguous)
    data = to_safetensors(contiguous, {kind.key: _to_json(whole)})
    if _header_size(data) > LARGEST_HEADER:
        raise CheckpointError(
            f"the vocabulary is too large for {path}: its description takes "
            f"{_header_size(data):,} bytes, of at most {LARGEST_HEADER:,}",
            hint="lower --vocab-size",
        )
    write_atomically(path, data)


@contextmanager
def opened(path: Path, kind: FileKind) -> Iterator[TensorFile]:
    """Open a file that `save` wrote.

    A ConfigError that is raised while it is open tells of damage: a CheckpointError names the file.

    Raises:
        CheckpointError: If the file is missing, damaged, foreign, or of a newer format.
    """
    _refuse_what_is_none(path, kind)
    try:
        with safe_open(path, framework="np") as file:
            yield TensorFile(path, file, _facts(path, file, kind))
    except ConfigError as error:
        raise CheckpointError(f"{path} is damaged: {error.message}", hint=kind.repair) from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged: {str(error).splitlines()[0][:200]}", hint=kind.repair
        ) from None


def check_replaceable(path: Path, kind: FileKind) -> None:
    """Raise CheckpointError if at `path` is something else; a damaged file may be replaced."""
    _refuse_what_is_none(path, kind)
    with contextlib.suppress(SafetensorError, OSError), safe_open(path, framework="np") as file:
        if kind.key not in (file.metadata() or {}):
            raise CheckpointError(f"{path} is a safetensors file, but not {kind.name}")


def digest(metadata: Metadata, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of everything in the file but the hash itself."""
    hashed = {name: value for name, value in metadata.items() if name != "sha256"}
    found = hashlib.sha256(_to_json(hashed).encode())
    for name in sorted(arrays):
        found.update(_to_json([name, list(arrays[name].shape)]).encode())
        found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()


def _facts(path: Path, file: Any, kind: FileKind) -> Metadata:
    """Return the facts of a file, if it is of the kind that is wanted."""
    metadata = file.metadata() or {}
    if kind.key not in metadata:
        raise CheckpointError(f"{path} is a safetensors file, but not {kind.name}", hint=kind.cure)
    metadata = _from_json(metadata[kind.key])
    if metadata.get("format") != kind.format:
        raise CheckpointError(
            f"{path} has checkpoint format {repr(metadata.get('format'))[:20]}; "
            f"this charlm reads {kind.format}",
            hint="upgrade charlm",
        )
    return metadata


def _refuse_what_is_none(path: Path, kind: FileKind) -> None:
    """Raise CheckpointError for what its first bytes show to be something else."""
    try:
        if not path.exists():
            raise CheckpointError(f"there is no {kind.name.split()[-1]} at {path}", hint=kind.cure)
        if not path.is_file():  # a directory, a pipe or a device, none of which ever ends well
            raise CheckpointError(f"{path} is not a regular file", hint=kind.cure)
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    found = recognise(head)
    if is_text(head):  # the first bytes of a safetensors file are a number, with NULs in it
        found = found or ("text" if head else "empty")
    if found is not None and found != "a safetensors file":
        raise CheckpointError(f"{path} is {found}, not {kind.name}", hint=kind.cure)
    if _header_size(head) > LARGEST_HEADER:
        raise CheckpointError(
            f"{path} is damaged: its header claims {_header_size(head):,} bytes, "
            f"of at most {LARGEST_HEADER:,}",
            hint=kind.repair,
        )
    # A file of holes takes no room, and may have any size; safetensors panics without memory.
    if size > _memory():
        raise CheckpointError(f"{path} has {size:,} bytes, more than this machine's memory")


def _memory() -> float:
    """Return the machine's memory in bytes, as far as the system tells."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _header_size(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, sort_keys=True)


def _from_json(text: str) -> dict[str, Any]:
    """Return a JSON object, not deep, in which no key is twice and every number is finite."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        json.dumps(value, allow_nan=False)  # 1e999 is JSON, and not a finite number
    except (ValueError, RecursionError):
        raise ConfigError("its metadata is not JSON") from None
    if not isinstance(value, dict):
        raise ConfigError("its metadata is no JSON object")
    if _is_deep(value):
        raise ConfigError(f"its metadata is nested more than {DEEPEST} deep")
    return value


def _is_deep(value: dict[str, Any]) -> bool:
    """Return whether there are more than DEEPEST objects and lists in one another."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return bool(level)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
