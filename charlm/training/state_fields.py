"""The JSON of a state file, read without trust.

A missing field takes its default: files were written before the field existed. An unknown field is
an error that names the version of charlm that wrote it.
"""

import re
from collections.abc import Collection
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from charlm.errors import CheckpointError, ConfigError
from charlm.files.tensor_file import TensorFile

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMER_NAMES = {"expectation": "estimate", "place": "progress", "form": "task"}  # of charlm 0.1.0
FILE_FIELDS = {"format", "version", "sha256"}  # of every charlm file
# JSON types of an annotation. A dataclass checks the fields of other annotations itself.
JSON_TYPES: dict[Any, set[type]] = {
    bool: {bool},
    int: {int},
    float: {int, float},
    int | None: {int, type(None)},
    float | None: {int, float, type(None)},
    str | None: {str, type(None)},
}
Record = TypeVar("Record", bound="DataclassInstance")


class StateFields:
    """The fields of a state file."""

    def __init__(self, file: TensorFile, names: Collection[str]) -> None:
        """Take an open file and the names of its fields.

        Raises:
            CheckpointError: If the file has a field of another name.
        """
        self._file = file
        self._values = self._known(file.metadata, {*names, *FILE_FIELDS}, "state")

    def record(self, name: str, kind: type[Record]) -> Record:
        """Return a field as a dataclass.

        Raises:
            CheckpointError: If it has a field that the dataclass lacks.
            ConfigError: If a field is missing, has the wrong type or is out of range.
        """
        annotations = {field.name: field.type for field in fields(kind)}
        values = self._known(self._values.get(name), annotations, name)
        for field in fields(kind):
            if field.name not in values and field.default is MISSING:
                raise ConfigError(f"its {name} lacks {field.name}")
        for key, value in values.items():
            annotation = annotations[key]
            if type(value) not in JSON_TYPES.get(annotation, {type(value)}):
                raise ConfigError(f"the {key} of its {name} has the wrong type")
            if annotation in (float, float | None) and value is not None:
                try:
                    values[key] = float(value)
                except OverflowError:
                    raise ConfigError(f"the {key} of its {name} is not a number") from None
        return kind(**values)

    def optional_record(self, name: str, kind: type[Record]) -> Record | None:
        """Return a field as a dataclass, or None."""
        return None if self._values.get(name) is None else self.record(name, kind)

    def strings(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; a missing one is empty."""
        strings = self._values.get(name, [])
        if not isinstance(strings, list) or not all(isinstance(item, str) for item in strings):
            raise ConfigError(f"its {name} is not a list of strings")
        return tuple(strings)

    def digests(self, name: str) -> tuple[str, ...]:
        """Return a list of two SHA-256 or more."""
        digests = self.strings(name)
        if len(digests) < 2 or not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests):
            raise ConfigError(f"its {name} is not a list of SHA-256")
        return digests

    def json_object(self, name: str) -> dict[str, Any]:
        """Return a JSON object; a missing one is empty."""
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise ConfigError(f"its {name} is not a JSON object")
        return value

    def _known(self, value: object, names: Collection[str], owner: str) -> dict[str, Any]:
        """Return a JSON object under today's names, all of which are known."""
        if not isinstance(value, dict):
            raise ConfigError(f"its {owner} is not a JSON object")
        values: dict[str, Any] = {}
        for name, field in value.items():
            values[FORMER_NAMES.get(str(name), str(name))] = field
        if unknown := sorted(values.keys() - names):
            version = self._file.metadata.get("version")
            raise CheckpointError(
                f"{self._file.path} was written by charlm {str(version)[:20]!r}: "
                f"its {owner} has the unknown field {unknown[0][:60]!r}",
                hint="upgrade charlm, or begin a new run with --overwrite instead of --resume",
            )
        return values
