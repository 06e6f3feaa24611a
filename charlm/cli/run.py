"""One run of `charlm train`: encode, learn, show what happens, save better models and the state.

What differs between a run that begins and one that goes on is in `start.py` and `resume.py`.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlm.cli.metrics import Metrics
from charlm.cli.resume import ResumedRun
from charlm.cli.signals import Stop, stop_signals
from charlm.cli.start import NewRun
from charlm.config import DEFAULT_MODEL_PATH, CorpusConfig, ModelConfig
from charlm.distributed import Group
from charlm.errors import CheckpointError, TrainingError
from charlm.wording import count, quantity

if TYPE_CHECKING:
    from charlm.corpus.encoding import Corpus
    from charlm.display import TrainingDisplay
    from charlm.training.events import Event


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
        from charlm.atomic import target_of
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
        from charlm.atomic import check_writable
        from charlm.lock import only_writer

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
        with only_writer(self.output, self.state):
            self._refuse_what_was_not_named()
            yield

    def _refuse_what_was_not_named(self) -> None:
        """Raise CheckpointError for what is there and is not to be replaced."""
        from charlm import checkpoint
        from charlm.tensorfile import check_replaceable
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


def run(
    texts: list[str],
    held_out: list[str],
    destination: Destination,
    find: Callable[[], NewRun | ResumedRun],
    group: Group,
) -> None:
    """Read, plan, learn and save; exit with 128 and the signal's number if one ended it.

    Args:
        texts: Names of files and directories to learn from; - is stdin.
        held_out: Names of those to validate on; none hold out a part of `texts`.
        destination: Where to save and to tell.
        find: Returns the run, once nobody else can write where it saves.
        group: The processes that train; the first speaks and writes.
    """
    from charlm.corpus.reading import open_documents
    from charlm.display import TrainingDisplay, show_note

    if not group.process.is_first:
        destination = destination.of_another()
    note = _silent if destination.quiet else show_note
    with _stoppable(destination) as stop, destination.held([*texts, *held_out]):
        job = find()
        # A long text is read while it is learnt from, so stdin's copy must live as long as that.
        with (
            open_documents(texts, group) as documents,
            open_documents(held_out, group) as validation,
        ):
            from charlm.corpus.encoding import encode_corpus

            corpus = encode_corpus(
                documents, job.corpus, validation, tokenizer=job.tokenizer, group=group
            )
            _tell_of(corpus, job.corpus, note)
            with (
                TrainingDisplay(quiet=destination.quiet) as display,
                Metrics(destination.metrics) as log,
            ):
                display.note(_what_was_read(corpus))  # at once: PyTorch and the plan take seconds
                _learn(job, corpus, destination, display, log, stop, group)


def _learn(
    job: NewRun | ResumedRun,
    corpus: "Corpus",
    destination: Destination,
    display: "TrainingDisplay",
    log: Metrics,
    stop: Stop,
    group: Group,
) -> None:
    """Plan and train, and save what comes of it."""
    from charlm.training import check_room_for_pytorch

    check_room_for_pytorch()
    from charlm.training.hardware import prepare

    threads = prepare(job.config.threads, group.process)
    if group.size > 1:
        of_each = count(threads, "thread")
        display.note(f"{group.size} processes share the streams, {of_each} in each")
    plan = job.plan(corpus, display.note, group)
    if plan is None:
        return
    if job.metrics and destination.metrics is None:
        display.note("note: without --metrics, the metrics of the run are not gone on with")
    elif job.metrics and not log.rewind(job.metrics):
        display.note("note: this is not the metrics file of the run; its metrics are appended")
    stop.may_wait(
        ""
        if destination.quiet
        else f"left at once; to go on where the run was saved last: {_resume_line(group)}"
    )
    display.planned(plan)
    events = job.train(
        corpus,
        plan,
        save_every=destination.save_every,
        should_stop=stop.is_wanted,
        group=group,
    )
    if destination.is_ours:
        _follow(events, destination, display, log, job, plan.model, stop, group)
    else:
        for _ in events:
            pass


@contextmanager
def _stoppable(destination: Destination) -> Iterator[Stop]:
    """Let signals end a run in good order, and the process with 128 and their number."""
    from charlm.display import show_line

    with stop_signals() as stop:
        if not destination.quiet:
            stop.last_words = (
                f"stopped before training went on; the run is still saved in {destination.state}"
                if destination.has_state
                else "stopped before training began; nothing is saved"
            )
        try:
            yield stop
        except KeyboardInterrupt:
            if stop.last_words:
                show_line(stop.last_words)
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)


def _silent(text: str) -> None:
    del text


def _is_among(path: Path, names: list[str]) -> bool:
    """Tell whether a file is one of those named, or of the texts in a directory that is."""
    from charlm.corpus.sources import named_files

    if not path.exists():
        return False
    return any(
        path.samefile(file) for name in names if Path(name).exists() for file in named_files(name)
    )


def _tell_of(corpus: "Corpus", config: CorpusConfig, note: Callable[[str], None]) -> None:
    """Tell what a user may want to know of the texts."""
    from charlm.tokenizers.base import BYTES

    for facts in corpus.facts:
        if facts.has_byte_order_mark:
            note(f"{facts.name} begins with a byte order mark, which was dropped")
    found = corpus.tokenizer.vocab_size - BYTES
    if config.vocab_size is not None and found < config.vocab_size:
        note(f"the text fills a vocabulary of {found:,}, not of {config.vocab_size:,}")
    if config.document_separator is not None and corpus.items == len(corpus.facts):
        note(f"the document separator {config.document_separator!r} stands nowhere in the text")


def _follow(
    events: "Iterator[Event]",
    destination: Destination,
    display: "TrainingDisplay",
    log: Metrics,
    job: NewRun | ResumedRun,
    model: ModelConfig,
    stop: Stop,
    group: Group,
) -> None:
    """Show what happens; save each model that is better than all before, and the state."""
    from charlm.training.events import Finished, Progress, Validation
    from charlm.training.state import TrainingState

    output = destination.output
    best_there = job.best_at(output)  # nats of a model of this run that is not to be replaced
    is_saved = False

    def keep(state: TrainingState) -> None:
        found = {"metrics": log.mark(), "options": dict(job.options)}
        try:
            replace(state, command=found).save(destination.state)
        except CheckpointError as error:
            good = f"; {output} holds the best model until then" * is_saved
            raise CheckpointError(
                error.message, hint=f"make room, and go on with --resume{good}"
            ) from None

    try:
        for event in events:
            log.append(event)
            match event:
                case Progress():
                    display.progressed(event)
                case Validation():
                    if event.best is not None and event.nats <= best_there:
                        event.best.save(output)
                        is_saved = True
                    display.validated(event)
                case TrainingState():
                    keep(event)
                    if stop.is_wanted():
                        display.note(f"stopping: the run is saved in {destination.state}")
                case Finished():
                    best = event.best
                    if best is not None and best.best is not None and best.nats <= best_there:
                        best.best.save(output)
                    elif best is not None:
                        display.note(f"{output} keeps the better model that it had before")
                    if event.state is not None:
                        keep(event.state)
                    is_stopped = event.ending == "stopped"
                    command = _resume_line(group) if is_stopped else _generate_line(output, model)
                    display.finished(event, output, destination.state, command)
    except TrainingError as error:
        if is_saved:
            display.note(f"{output} holds the best model until then")
        raise TrainingError(
            error.message,
            hint=f"{error.hint}; --resume goes on from the last save, --overwrite begins anew",
        ) from None


def _what_was_read(corpus: "Corpus") -> str:
    facts = corpus.facts
    names = facts[0].name if len(facts) == 1 else count(len(facts), "document")
    read = f"read {quantity(sum(each.characters for each in facts))} characters from {names}"
    form = corpus.config.form
    items = "document" if form == "text" else form.removesuffix("s")
    return f"{read}: {count(corpus.items, items)}" if corpus.items else read


def _resume_line(group: Group) -> str:
    """Return the command line that goes on with the run of this one."""
    command, *words = sys.argv[1:]  # after which there may be a --
    words = [word for word in words if word not in ("--overwrite", "--resume")]
    program = ["charlm"]
    if group.size > 1:
        here = ["--standalone"] if group.size == group.process.local_size else []
        here += ["--nproc-per-node", str(group.process.local_size)]
        program = ["torchrun", *here, "-m", "charlm"]
    return shlex.join([*program, command, "--resume", *words])


def _generate_line(output: Path, model: ModelConfig) -> str:
    words = ["charlm", "generate"]
    words += {
        "text": ["--length", "300"],
        "lines": ["--count", "20"],
        "pairs": ["--seed", "a source"],
    }[model.form]
    if model.direction != "forward":
        words += ["--ending", "."]
    if output != Path(DEFAULT_MODEL_PATH):
        words += ["--model", str(output)]
    return shlex.join(words)
