"""What can go wrong in a way that a user can mend.

    CharlmError          one line of what is wrong, and a hint with the cure
    ├── ConfigError      a setting out of its range, or two that exclude each other
    ├── CorpusError      a text that cannot be read or learnt from
    ├── CheckpointError  a model file that is missing, damaged, foreign or not writable
    └── TrainingError    a training run that cannot go on

Misuse by code raises Python's own exceptions instead.
"""


class CharlmError(Exception):
    """Something a user can mend: `message` says what is wrong, `hint` how to mend it.

    Where it came up in one of several processes, `rank` is its number.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.rank: int | None = None


class ConfigError(CharlmError):
    """A setting is out of its range, or two settings exclude each other."""


class CorpusError(CharlmError):
    """A text cannot be read, or not be learnt from."""


class CheckpointError(CharlmError):
    """A model file is missing, damaged, foreign or cannot be written."""


class TrainingError(CharlmError):
    """A training run cannot go on, for example because its loss is no longer finite."""
