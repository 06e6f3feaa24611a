"""The metrics file: JSON Lines of progress and scores."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from charlm.errors import CharlmError
from charlm.files.file_types import HEAD_SIZE, is_text, recognise

if TYPE_CHECKING:
    from charlm.training.events import Event


class Metrics:
    """A file of JSON Lines, one a report, each written at once."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._bytes, self._hash = 0, hashlib.sha256()  # of all that stands in the file

    def __enter__(self) -> "Metrics":
        if self._path is not None:
            try:
                self._refuse_what_is_none()
                if self._path.is_file():
                    data = self._path.read_bytes()
                    self._bytes, self._hash = len(data), hashlib.sha256(data)
                self._file = self._path.open("ab")
            except OSError as error:
                raise self._cannot_write(error) from None
        return self

    def _refuse_what_is_none(self) -> None:
        """Raise CharlmError for a file that appending would destroy, such as a model."""
        if self._path is None or not self._path.is_file():
            return
        with self._path.open("rb") as file:
            head = file.read(HEAD_SIZE)
        if not is_text(head):
            found = recognise(head) or "no text"
            raise CharlmError(
                f"{self._path} is {found}, to which no metrics are appended",
                hint="choose another --metrics file",
            )

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # `append` has told
                self._file.close()

    def mark(self) -> dict[str, Any]:
        """Return where the file ends, once that has reached the disk, to find it again."""
        if self._file is None:
            return {}
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno != errno.EINVAL:  # a pipe or a device, which keeps nothing
                raise self._cannot_write(error) from None
            return {}
        return {"file": self._identity(), "bytes": self._bytes, "sha256": self._hash.hexdigest()}

    def rewind(self, mark: Mapping[str, Any]) -> bool:
        """Drop what was written after a mark, if it is in this file, and return whether it is."""
        end = mark.get("bytes")
        if self._file is None or self._path is None or mark.get("file") != self._identity():
            return False
        if not isinstance(end, int) or not 0 <= end <= self._bytes:
            return False
        found = hashlib.sha256(self._path.read_bytes()[:end])
        if found.hexdigest() != mark.get("sha256"):
            return False
        try:
            self._file.truncate(end)
        except OSError as error:
            raise self._cannot_write(error) from None
        self._bytes, self._hash = end, found
        return True

    def _identity(self) -> list[int]:
        """Return what tells this file from all others, whatever their names."""
        found = os.fstat(self._file.fileno()) if self._file is not None else None
        return [] if found is None else [found.st_dev, found.st_ino]

    def _cannot_write(self, error: OSError) -> CharlmError:
        return CharlmError(f"{self._path} cannot be written: {error.strerror}")

    def append(self, event: "Event") -> None:
        """Write what the event says, at once; without a file, nothing.

        Raises:
            CharlmError: If the file cannot be written.
        """
        if self._file is None:
            return
        record = _record(event)
        if record is None:
            return
        try:
            line = (json.dumps(record, allow_nan=False) + "\n").encode()
            self._file.write(line)
            self._file.flush()
            self._bytes += len(line)
            self._hash.update(line)
        except OSError as error:
            raise self._cannot_write(error) from None


def _record(event: "Event") -> dict[str, Any] | None:
    """Return what the metrics file says of an event."""
    from charlm.training.events import Progress, Validation

    if isinstance(event, Progress):
        return {"split": "train", **asdict(event)}
    if isinstance(event, Validation):
        scalars = asdict(replace(event, best=None))
        scalars.pop("sample")
        return {"split": "validation", **scalars, "best": event.best is not None}
    return None
