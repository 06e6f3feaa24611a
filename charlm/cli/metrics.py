"""The metrics file: JSON Lines of progress and scores."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from charlm.errors import CharlmError
from charlm.filetypes import HEAD_SIZE, is_text, recognise

if TYPE_CHECKING:
    from charlm.training.events import Event


HASHED_BYTES = 4096  # before a mark, by which a file is known again


class Metrics:
    """A file of JSON Lines, one a report, each written at once."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> "Metrics":
        if self._path is not None:
            try:
                self._refuse_what_is_none()
                self._file = self._path.open("a", encoding="utf-8")
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
        if self._file is None or self._path is None:
            return {}
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno != errno.EINVAL:  # a pipe or a device, which keeps nothing
                raise self._cannot_write(error) from None
            return {}
        return {"bytes": self._file.tell(), "sha256": _hash_of_end(self._path, self._file.tell())}

    def rewind(self, mark: Mapping[str, Any]) -> bool:
        """Drop what was written after a mark, if it is in this file, and return whether it is."""
        end = mark.get("bytes")
        if self._file is None or self._path is None or not isinstance(end, int):
            return False
        if not 0 <= end <= self._file.tell() or _hash_of_end(self._path, end) != mark.get("sha256"):
            return False
        try:
            self._file.truncate(end)
            self._file.seek(end)  # where the next mark is looked for
        except OSError as error:
            raise self._cannot_write(error) from None
        return True

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
            self._file.write(json.dumps(record, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise self._cannot_write(error) from None


def _hash_of_end(path: Path, end: int) -> str:
    """Return the SHA-256 of what stands right before a place in a file."""
    with path.open("rb") as file:
        file.seek(max(0, end - HASHED_BYTES))
        return hashlib.sha256(file.read(min(end, HASHED_BYTES))).hexdigest()


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
