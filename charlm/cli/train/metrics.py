"""The metrics file: JSON Lines of progress and scores."""

import contextlib
import errno
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from charlm.errors import CharlmError
from charlm.files.file_types import HEAD_SIZE, recognise

if TYPE_CHECKING:
    from charlm.training.events import Event


class Metrics:
    """A JSON Lines file with one line for each event, flushed at once; None writes nothing.

    Each line names its run, since several runs may append to one file.
    """

    def __init__(self, path: Path | None, *, run: str) -> None:
        self._path, self._run = path, run
        self._file: BinaryIO | None = None
        self._size, self._hash = 0, hashlib.sha256()  # of the whole file

    def __enter__(self) -> "Metrics":
        if self._path is not None:
            try:
                if self._path.is_file():
                    self._require_metrics(self._path)
                    content = self._path.read_bytes()
                    self._size, self._hash = len(content), hashlib.sha256(content)
                self._file = self._path.open("ab")
            except OSError as error:
                raise self._cannot_write(error) from None
        return self

    @staticmethod
    def _require_metrics(path: Path) -> None:
        """Raise CharlmError for a file that appending would spoil, such as a model or a text."""
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
        if head.lstrip()[:1] not in (b"", b"{"):
            raise CharlmError(
                f"{path} is {recognise(head) or 'not a file of metrics'}, so none are appended",
                hint="choose another --metrics file",
            )

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # `append` has raised it already
                self._file.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def position(self) -> dict[str, Any]:
        """Return the end of the file, for `rewind`, once the file has reached the disk.

        {} stands for no file, or one that cannot be rewound.
        """
        if self._file is None:
            return {}
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno != errno.EINVAL:  # a pipe or a device cannot be synced, nor rewound
                raise self._cannot_write(error) from None
            return {}
        return {"file": self._identity(), "bytes": self._size, "sha256": self._hash.hexdigest()}

    def rewind(self, position: Mapping[str, Any], step: int) -> bool:
        """Drop the lines of this run after a position of this file, which was saved at `step`.

        Returns:
            False, and drops nothing, if it is no position of this file, or another run has
            appended lines since.
        """
        end = position.get("bytes")
        if self._file is None or self._path is None or position.get("file") != self._identity():
            return False
        if not isinstance(end, int) or not 0 <= end <= self._size:
            return False
        content = self._path.read_bytes()
        hash_until_end = hashlib.sha256(content[:end])
        if hash_until_end.hexdigest() != position.get("sha256"):
            return False
        if any(_step_of(line) < step for line in content[end:].splitlines(keepends=True)):
            return False
        try:
            self._file.truncate(end)
        except OSError as error:
            raise self._cannot_write(error) from None
        self._size, self._hash = end, hash_until_end
        return True

    def append(self, event: "Event") -> None:
        """Write an event.

        Raises:
            CharlmError: If the file cannot be written.
        """
        record = None if self._file is None else _record(event)
        if self._file is None or record is None:
            return
        try:
            line = (json.dumps({"run": self._run, **record}, allow_nan=False) + "\n").encode()
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise self._cannot_write(error) from None
        self._size += len(line)
        self._hash.update(line)

    def _identity(self) -> list[int]:
        """Return the device and inode numbers, which identify the file under any name."""
        if self._file is None:
            return []
        status = os.fstat(self._file.fileno())
        return [status.st_dev, status.st_ino]

    def _cannot_write(self, error: OSError) -> CharlmError:
        return CharlmError(f"{self._path} cannot be written: {error.strerror}")


def _step_of(line: bytes) -> float:
    """Return the step in a line of metrics; infinity in a cut line, −1 in any other."""
    if not line.endswith(b"\n"):
        return math.inf  # the run was killed while it wrote
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1.0


def _record(event: "Event") -> dict[str, Any] | None:
    """Return the JSON object of an event; None if the metrics file leaves it out."""
    from charlm.training.events import Progress, Validation

    if isinstance(event, Progress):
        return {"split": "train", **asdict(event)}
    if isinstance(event, Validation):
        scalars = asdict(replace(event, best=None))
        scalars.pop("sample")
        return {"split": "validation", **scalars, "best": event.best is not None}
    return None
