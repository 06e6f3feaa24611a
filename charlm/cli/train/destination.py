"""Where a run's results go, and what must not be lost there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from charlm.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a run's results go.

    Attributes:
        output: The file of the best model.
        overwrite: Whether a model there may be replaced.
        resume: Whether a run may go on that was begun there.
        save_every: Seconds after which the state of the run is saved.
        metrics: A file of JSON Lines to append to.
        quiet: Whether to say nothing but errors.
        is_ours: Whether it is this process that writes there, not another of its run.
    """

    output: Path
    overwrite: bool
    resume: bool
    save_every: float
    metrics: Path | None
    quiet: bool
    is_ours: bool = True

    def of_another(self) -> "Destination":
        """Return the same destination for a process that neither writes nor speaks."""
        return replace(self, metrics=None, quiet=True, is_ours=False)

    @property
    def state(self) -> Path:
        """The file of the run's state."""
        from charlm.files.atomic import target_of
        from charlm.training.state import state_path

        return state_path(target_of(self.output) if self.output.is_symlink() else self.output)

    @property
    def has_state(self) -> bool:
        """Whether there is a run to go on with, and that is wanted."""
        return self.resume and self.output.name != "" and self.state.exists()

    @contextmanager
    def held(self, reads: list[str]) -> Iterator[None]:
        """Find out now, not after an hour, what cannot be saved; let nobody else write there.

        Args:
            reads: Names of the texts, which are not to be overwritten.

        Raises:
            CheckpointError: If something cannot be written, or is there that was not named.
        """
        if not self.is_ours:
            yield
            return
        from charlm.files.atomic import check_writable
        from charlm.files.lock import single_writer

        check_writable(self.output)
        written = [self.output, self.state, *([self.metrics] if self.metrics else [])]
        for path in written:
            if _is_among(path, reads):
                raise CheckpointError(
                    f"{path} is the text to learn from",
                    hint="choose another --output, or another --metrics file",
                )
        if self.metrics in (self.output, self.state):
            raise CheckpointError(f"{self.metrics} is the model", hint="choose another --metrics")
        check_writable(self.state)
        with single_writer(self.output, self.state):
            self._refuse_what_was_not_named()
            yield

    def _refuse_what_was_not_named(self) -> None:
        """Raise CheckpointError for what is there and is not to be replaced."""
        from charlm import checkpoint
        from charlm.files.tensor_file import check_replaceable
        from charlm.training import state

        for path, kind in ((self.output, checkpoint.KIND), (self.state, state.KIND)):
            if path.exists() and not (path == self.state and self.has_state):
                try:
                    check_replaceable(path, kind)
                except CheckpointError as error:
                    raise CheckpointError(
                        f"{error.message}, so it is not replaced",
                        hint="remove it, or name another file with --output",
                    ) from None
        if self.overwrite or self.has_state:
            return
        if self.state.exists():
            raise CheckpointError(
                f"there is a run at {self.state} already",
                hint="go on with it with --resume, replace it with --overwrite, or name another "
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
                hint="replace it with --overwrite, or name another file with --output",
            )


def _is_among(path: Path, names: list[str]) -> bool:
    """Tell whether a file is one of those named, or of the texts in a directory that is."""
    from charlm.corpus.reading import named_files

    if not path.exists():
        return False
    return any(
        path.samefile(file) for name in names if Path(name).exists() for file in named_files(name)
    )
