"""The metrics file: JSON Lines of progress and scores."""

import contextlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from charlm.errors import CharlmError

if TYPE_CHECKING:
    from charlm.training.events import Finished, Progress, Validation


class Metrics:
    """A file of JSON Lines, one a report, each written at once."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> "Metrics":
        if self._path is not None:
            try:
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise CharlmError(f"{self._path} cannot be written: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # `append` has told
                self._file.close()

    def append(self, event: "Progress | Validation | Finished") -> None:
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
            raise CharlmError(f"{self._path} cannot be written: {error.strerror}") from None


def _record(event: "Progress | Validation | Finished") -> dict[str, Any] | None:
    """Return what the metrics file says of an event."""
    from charlm.training.events import Progress, Validation

    if isinstance(event, Progress):
        return {"split": "train", **asdict(event)}
    if isinstance(event, Validation):
        scalars = asdict(replace(event, best=None))
        scalars.pop("sample")
        return {"split": "validation", **scalars, "best": event.best is not None}
    return None
