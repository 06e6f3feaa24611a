"""Errors that a user can fix. Misuse by code raises Python's own exceptions instead."""


class CharlmError(Exception):
    """An error that a user can fix."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message  # what is wrong, with its numbers or its path
        self.hint = hint  # how to fix it
        self.rank: int | None = None  # of the process where it arose, in a run of several


class ConfigError(CharlmError):
    """A setting is out of its range, or two settings exclude each other."""


class CorpusError(CharlmError):
    """A text cannot be read or trained on."""


class CheckpointError(CharlmError):
    """A model file is missing, damaged, of another kind or cannot be written."""


class TrainingError(CharlmError):
    """A training run cannot go on, for example because its loss is no longer finite."""
