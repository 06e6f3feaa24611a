"""Where a run saves its results, and which files it must not replace."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from charlm.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a run saves its results.

    Attributes:
        output: The file of the best model.
        overwrite: Whether to replace a model there.
        resume: Whether to go on with a run that was saved there.
        save_every: Seconds after which the state of the run is saved.
        metrics: A JSON Lines file to append to.
        quiet: Whether to print nothing but errors.
        is_writer: Whether this process writes the files; one process of a run does.
    """

    output: Path
    overwrite: bool
    resume: bool
    save_every: float
    metrics: Path | None
    quiet: bool
    is_writer: bool = True

    def without_writing(self) -> "Destination":
        """Return the destination for a process that neither writes nor prints."""
        return replace(self, metrics=None, quiet=True, is_writer=False)

    @property
    def state(self) -> Path:
        """The file of the run's state, beside the model's."""
        from charlm.files.atomic import target_of
        from charlm.training.state import state_path

        return state_path(target_of(self.output) if self.output.is_symlink() else self.output)

    @property
    def resumes(self) -> bool:
        """Whether there is a run to resume and --resume was given."""
        return self.resume and self.output.name != "" and self.state.exists()

    @contextmanager
    def lock(self, texts: list[str]) -> Iterator[None]:
        """Let no other process write here; check before training that everything can be saved.

        Args:
            texts: Names of the texts, which must not be overwritten.

        Raises:
            CheckpointError: If a file cannot be written, or must not be replaced.
        """
        if not self.is_writer:
            yield
            return
        from charlm.files.atomic import check_writable
        from charlm.files.lock import single_writer

        check_writable(self.output)
        for path in (self.output, self.state, self.metrics):
            if path is not None and _is_among(path, texts):
                raise CheckpointError(
                    f"{path} is the text to learn from",
                    hint="choose another --output, or another --metrics file",
                )
        if ".state" in self.output.suffixes:
            raise CheckpointError(
                f"{self.output} is a name for the state of a run",
                hint="choose another --output, without .state",
            )
        outputs = {path.resolve() for path in (self.output, self.state)}
        if self.metrics is not None and self.metrics.resolve() in outputs:
            raise CheckpointError(
                f"{self.metrics} is the model", hint="choose another --metrics file"
            )
        check_writable(self.state)
        with single_writer(self.output, self.state):
            self._check_file_types()
            if not self.overwrite and not self.resumes:
                self._require_overwrite()
            yield

    def _check_file_types(self) -> None:
        """Raise CheckpointError for a file that is no model or state: it is never replaced."""
        from charlm import checkpoint
        from charlm.files.tensor_file import check_replaceable
        from charlm.training import state

        for path, kind in ((self.output, checkpoint.KIND), (self.state, state.KIND)):
            if path.exists() and not (path == self.state and self.resumes):
                try:
                    check_replaceable(path, kind)
                except CheckpointError as error:
                    raise CheckpointError(
                        f"{error.message}, so it is not replaced",
                        hint="remove it, or choose another file with --output",
                    ) from None

    def _require_overwrite(self) -> None:
        """Raise CheckpointError if there is a model or a state, which --overwrite would replace."""
        if self.state.exists():
            raise CheckpointError(
                f"there is a run at {self.state} already",
                hint="go on with it with --resume, replace it with --overwrite, or choose another "
                "file with --output",
            )
        if self.output.exists() and self.resume:
            raise CheckpointError(
                f"there is a model at {self.output}, but not the state of its run, {self.state}",
                hint=f"go on from the model with --from {self.output} and another --output, "
                "or replace it with --overwrite instead of --resume",
            )
        if self.output.exists():
            raise CheckpointError(
                f"there is a model at {self.output} already",
                hint="replace it with --overwrite, or choose another file with --output",
            )


def _is_among(path: Path, names: list[str]) -> bool:
    """Return whether a file is one of the named ones, or a text in a named directory."""
    from charlm.corpus.folders import named_files

    if not path.exists():
        return False
    return any(
        path.samefile(file) for name in names if Path(name).exists() for file in named_files(name)
    )
