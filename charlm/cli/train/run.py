"""One run of `charlm train`: encode, learn, show what happens, save better models and the state.

What differs between a run that begins and one that goes on is in `start.py` and `resume.py`.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlm.cli.signals import Stop, stop_signals
from charlm.cli.train.destination import Destination
from charlm.cli.train.metrics import Metrics
from charlm.cli.train.new_run import NewRun
from charlm.cli.train.processes import command_line
from charlm.cli.train.resume import ResumedRun
from charlm.config import DEFAULT_MODEL_PATH, CorpusConfig, ModelConfig
from charlm.errors import CheckpointError, TrainingError
from charlm.formatting import count, quantity
from charlm.process_group import ProcessGroup

if TYPE_CHECKING:
    from charlm.corpus.encoding import Corpus
    from charlm.display import TrainingDisplay
    from charlm.training.events import Event
    from charlm.training.state import TrainingState


def run(
    texts: list[str],
    held_out: list[str],
    destination: Destination,
    find: Callable[[], NewRun | ResumedRun],
    group: ProcessGroup,
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
                _Run(job, destination, display, log, stop, group).learn(corpus)


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


def _tell_of(corpus: "Corpus", config: CorpusConfig, note: Callable[[str], None]) -> None:
    """Tell what a user may want to know of the texts."""
    from charlm.tokenizers.base import BYTES

    for facts in corpus.documents:
        if facts.has_byte_order_mark:
            note(f"{facts.name} begins with a byte order mark, which was dropped")
    found = corpus.tokenizer.vocab_size - BYTES
    if config.vocab_size is not None and found < config.vocab_size:
        note(f"the text fills a vocabulary of {found:,}, not of {config.vocab_size:,}")
    if config.document_separator is not None and not corpus.separators:
        note(f"the document separator {config.document_separator!r} stands nowhere in the text")


class _Run:
    """A run, where its results go, and who is told of them."""

    def __init__(
        self,
        job: NewRun | ResumedRun,
        destination: Destination,
        display: "TrainingDisplay",
        log: Metrics,
        stop: Stop,
        group: ProcessGroup,
    ) -> None:
        self._job, self._destination, self._display = job, destination, display
        self._log, self._stop, self._group = log, stop, group
        self._has_saved = False  # a model

    def learn(self, corpus: "Corpus") -> None:
        """Plan and train, and save what comes of it."""
        from charlm.training import check_room_for_pytorch

        check_room_for_pytorch()
        from charlm.training.hardware import prepare

        note, group, destination = self._display.note, self._group, self._destination
        threads = prepare(self._job.config.threads, group.process)
        plan = self._job.plan(corpus, note, group)
        if plan is None:
            return
        if group.world_size > 1:
            note(
                f"{group.world_size} processes share each step, {count(threads, 'thread')} in each"
            )
        last_words = f"left at once; to go on where the run was saved last: {_resume_line(group)}"
        self._stop.may_wait("" if destination.quiet else last_words)
        mark = self._job.metrics
        if mark and destination.metrics is None:
            note("note: without --metrics, the metrics of the run are not gone on with")
        elif mark and not self._log.rewind(mark):
            note("note: this is not the metrics file of the run; its metrics are appended")
        self._display.planned(plan)
        events = self._job.train(
            corpus,
            plan,
            save_every=destination.save_every,
            should_stop=self._stop.is_wanted,
            group=group,
        )
        if not destination.is_ours:
            for _ in events:
                pass
            return
        try:
            self._follow(events, plan.model)
        except TrainingError as error:
            if self._has_saved:
                note(f"{destination.output} holds the best model until then")
            hint = f"{error.hint}; --resume goes on from the last save, --overwrite begins anew"
            raise TrainingError(error.message, hint=hint) from None

    def _follow(self, events: "Iterator[Event]", model: ModelConfig) -> None:
        """Show what happens; save each model that is better than all before, and the state."""
        from charlm.training.events import Finished, Progress, Validation
        from charlm.training.state import TrainingState

        output, state, display = self._destination.output, self._destination.state, self._display
        best_there = self._job.best_at(output)  # nats of a model of this run, which stays
        for event in events:
            self._log.append(event)
            match event:
                case Progress():
                    display.progressed(event)
                case Validation():
                    if event.best is not None and event.nats <= best_there:
                        event.best.save(output)
                        self._has_saved = True
                    display.validated(event)
                case TrainingState():
                    self._keep(event)
                    if self._stop.is_wanted():
                        display.note(f"stopping: the run is saved in {state}")
                case Finished():
                    best = event.best
                    if best is not None and best.best is not None and best.nats <= best_there:
                        best.best.save(output)
                    elif best is not None:
                        display.note(f"{output} keeps the better model that it had before")
                    if event.state is not None:
                        self._keep(event.state)
                    command = _generate_line(output, model)
                    if event.ending == "stopped":
                        command = _resume_line(self._group)
                    display.finished(event, output, state, command)

    def _keep(self, state: "TrainingState") -> None:
        """Save the state, with what the command wants to find again."""
        found = {"metrics": self._log.mark(), "options": dict(self._job.options)}
        try:
            replace(state, command=found).save(self._destination.state)
        except CheckpointError as error:
            good = f"; {self._destination.output} holds the best model until then"
            hint = f"make room, and go on with --resume{good * self._has_saved}"
            raise CheckpointError(error.message, hint=hint) from None


def _what_was_read(corpus: "Corpus") -> str:
    facts = corpus.documents
    names = facts[0].name if len(facts) == 1 else count(len(facts), "document")
    read = f"read {quantity(sum(each.characters for each in facts))} characters from {names}"
    task = corpus.config.task
    items = "document" if task == "text" else task.removesuffix("s")
    return f"{read}: {count(corpus.examples, items)}" if corpus.examples else read


def _resume_line(group: ProcessGroup) -> str:
    """Return the command line that goes on with the run of this one."""
    command, *words = sys.argv[1:]  # after which there may be a --
    words = [word for word in words if word not in ("--overwrite", "--resume")]
    return f"{command_line(group.process)} {shlex.join([command, '--resume', *words])}"


def _generate_line(output: Path, model: ModelConfig) -> str:
    words = ["charlm", "generate"]
    words += {
        "text": ["--length", "300"],
        "lines": ["--count", "20"],
        "pairs": ["--seed", "a source"],
    }[model.task]
    if model.direction != "forward":
        words += ["--ending", "."]
    if output != Path(DEFAULT_MODEL_PATH):
        words += ["--model", str(output)]
    return shlex.join(words)
