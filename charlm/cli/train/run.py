"""One run of `charlm train`: read, plan, train, print what happens, save models and states."""

import math
import shlex
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlm.cli.signals import Stop, stop_signals
from charlm.cli.train.destination import Destination
from charlm.cli.train.metrics import Metrics
from charlm.cli.train.new_run import NewRun, TrainingStart
from charlm.cli.train.resume import ResumedRun, nats_of_later_model
from charlm.cli.train.torchrun import launch_command
from charlm.config import CLASS_TASKS, DEFAULT_MODEL_PATH, CorpusConfig, ModelConfig
from charlm.errors import CheckpointError, TrainingError
from charlm.formatting import count, quantity, visible
from charlm.process_group import ProcessGroup

if TYPE_CHECKING:
    from charlm.corpus.encoding import Corpus
    from charlm.display.training import TrainingDisplay
    from charlm.training.events import Event, Validation
    from charlm.training.state import TrainingState

FEW_CHARACTERS = 10_000  # of a text that is too short for a good model
# Characters. The 25 that are held out of 48 names came to 3.3 bits each, 1,000 other names to 4.0.
FEW_HELD_OUT = 500


def run(
    corpus_names: list[str],
    validation_names: list[str],
    destination: Destination,
    load_settings: Callable[[], NewRun | ResumedRun],
    group: ProcessGroup,
) -> None:
    """Train and save; exit with 128 plus the signal's number if a signal stopped the run.

    Args:
        corpus_names: Files and directories to train on; - is stdin.
        validation_names: Files to validate on. If empty, a part of the corpus is held out.
        destination: Where to save.
        load_settings: Returns the settings. Called after the output is locked.
        group: The processes that train; the first prints and writes.
    """
    from charlm.corpus.folders import paths_of
    from charlm.corpus.reading import open_documents
    from charlm.display.training import TrainingDisplay

    paths_of([*corpus_names, *validation_names])  # a missing text is the first error
    if not group.process.is_first:
        destination = destination.without_writing()
    with (
        _stoppable(destination) as stop,
        destination.lock([*corpus_names, *validation_names]),
        TrainingDisplay(quiet=destination.quiet) as display,
    ):
        settings = load_settings()
        # Long texts are read again during training, so the copy of stdin lives until its end.
        with (
            open_documents(corpus_names, group) as documents,
            open_documents(validation_names, group) as validation,
        ):
            from charlm.corpus.encoding import encode_corpus

            corpus = encode_corpus(
                documents, settings.corpus, validation, tokenizer=settings.tokenizer, group=group
            )
            with Metrics(destination.metrics, run=str(destination.output)) as metrics:
                _print_left_out(corpus_names, display)
                _print_corpus(corpus, settings.corpus, display)
                start = _prepare(settings, corpus, display, group)
                if start is None:
                    return
                message = f"stopped at once; to go on from the last save: {_resume_command(group)}"
                stop.defer("" if destination.quiet else message)
                _rewind(metrics, settings, display)
                display.planned(start.plan)
                from charlm.training.loop import train

                events = train(
                    corpus,
                    start.plan,
                    embeddings=start.embeddings,
                    start=start.start,
                    state=start.state,
                    save_every=destination.save_every,
                    should_stop=stop.is_requested,
                    group=group,
                )
                if destination.is_writer:
                    results = _Results(destination, settings, metrics)
                    _print_and_save(events, start.plan.model, results, display, stop, group)
                else:
                    deque(events, maxlen=0)


@contextmanager
def _stoppable(destination: Destination) -> Iterator[Stop]:
    """Let signals stop the run, and exit with 128 plus the signal's number."""
    from charlm.display import show_line

    with stop_signals() as stop:
        if not destination.quiet:
            stop.exit_message = (
                f"stopped before training went on; the run is still saved in {destination.state}"
                if destination.resumes
                else "stopped before training began; nothing is saved"
            )
        try:
            yield stop
        except KeyboardInterrupt:
            if stop.exit_message:
                show_line(stop.exit_message)
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)


def _print_left_out(names: list[str], display: "TrainingDisplay") -> None:
    """Print what directories hold that is no text."""
    from charlm.corpus.folders import STDIN, Folder

    for name in names:
        if name != STDIN and Path(name).is_dir():
            folder = Folder.of(Path(name))
            if left_out := folder.left_out():
                texts = count(len(folder.texts), ".txt file")
                display.note(f"{name} holds {texts}; left out: {left_out}")


def _print_corpus(corpus: "Corpus", config: CorpusConfig, display: "TrainingDisplay") -> None:
    """Print what was read, and notes about it. PyTorch and the plan take seconds after that."""
    from charlm.tokenizers.base import BYTES

    for document in corpus.documents:
        if document.has_byte_order_mark:
            display.note(f"{document.name} begins with a byte order mark, which was dropped")
    named: dict[str, list[str]] = {}
    for document in corpus.documents:
        for text in document.kind.notes(config.task):
            named.setdefault(text, []).append(document.name)
    for text, names_of_kind in named.items():
        others = f" (and {len(names_of_kind) - 1:,} more)" if len(names_of_kind) > 1 else ""
        display.note(f"{names_of_kind[0]}{others} {text}")
    if corpus.blank_lines:
        display.note(f"{count(corpus.blank_lines, 'line')} of white space were left out")
    task = corpus.config.task
    if task in CLASS_TASKS:
        for part, name in ((corpus.train, "training"), (corpus.validation, "held-out")):
            if unknown := part.characters - part.predictions:
                display.note(
                    f"{unknown:,} of {part.characters:,} {name} {task} are none that the model "
                    "predicts; they are left out"
                )
    size = corpus.tokenizer.vocab_size - BYTES
    total = sum(document.characters for document in corpus.documents)
    if total < FEW_CHARACTERS:
        display.note(
            f"{count(total, 'character')} are little to learn from; from some 50,000 on "
            "a model gets interesting. --from starts from a model of a longer text of this kind"
        )
    if corpus.validation.characters < FEW_HELD_OUT:
        what = task.removesuffix("s") if task in CLASS_TASKS else "character"
        display.note(
            f"{count(corpus.validation.characters, f'held-out {what}')} can hardly judge "
            "a model: its score may be far off"
        )
    if config.vocab_size is not None and size < config.vocab_size:
        display.note(f"the text fills a vocabulary of {size:,}, not of {config.vocab_size:,}")
    if config.document_separator is not None and not corpus.separators:
        display.note(
            f"the document separator was taken for “{visible(config.document_separator)}”, "
            r"which is not in the text; for a backslash write \\"
        )
    names = count(len(corpus.documents), "document")
    if len(corpus.documents) == 1:
        names = corpus.documents[0].name
    line = f"read {quantity(total)} characters from {names}"
    if corpus.examples:
        nouns = {"text": "document", "labels": "text", "tags": "sentence"}
        noun = nouns.get(task, task.removesuffix("s"))
        line += f": {count(corpus.examples, noun)}"
    display.line(line)


def _prepare(
    settings: NewRun | ResumedRun, corpus: "Corpus", display: "TrainingDisplay", group: ProcessGroup
) -> TrainingStart | None:
    """Set up PyTorch and plan the run; return None if a resumed run is over."""
    from charlm.training import check_room_for_pytorch

    check_room_for_pytorch()
    from charlm.training.hardware import prepare

    threads = prepare(settings.config.threads, group.process)
    start = settings.prepare(corpus, display, group)
    if start is not None and group.world_size > 1:
        display.line(
            f"{group.world_size} processes share each step, {count(threads, 'thread')} in each"
        )
    return start


def _rewind(metrics: Metrics, settings: NewRun | ResumedRun, display: "TrainingDisplay") -> None:
    """Cut a resumed run's metrics file where its state was saved."""
    if settings.state is None:
        return
    position = settings.state.command.get("metrics")
    if not position or not isinstance(position, dict):
        return
    if not metrics.is_open:
        display.note("without --metrics, no more metrics of this run are written")
    elif not metrics.rewind(position, settings.state.progress.step):
        display.note(
            "this is not the metrics file of the run, or another run has written to it since; "
            "metrics are appended"
        )


class _Results:
    """Saves models to `output` and states to `state`."""

    def __init__(
        self, destination: Destination, settings: NewRun | ResumedRun, metrics: Metrics
    ) -> None:
        self.output, self.state = destination.output, destination.state
        self.metrics, self._options = metrics, settings.options
        self._nats_of_later_model = (
            math.inf if settings.state is None else nats_of_later_model(self.output, settings.state)
        )
        self.has_model = False  # whether this process saved one

    def save_model(self, validation: "Validation") -> bool:
        """Save the model of a validation, unless the file holds a better one of the same run."""
        if validation.best is None or validation.nats > self._nats_of_later_model:
            return False
        validation.best.save(self.output)
        self.has_model = True
        return True

    def save_state(self, state: "TrainingState") -> None:
        """Save a state, with the command's options and the end of the metrics file."""
        command = {"metrics": self.metrics.position(), "options": dict(self._options)}
        try:
            replace(state, command=command).save(self.state)
        except CheckpointError as error:
            hint = "free some space, and go on with --resume"
            if self.has_model:
                hint += f"; {self.output} holds the best model so far"
            raise CheckpointError(error.message, hint=hint) from None


def _print_and_save(
    events: "Iterator[Event]",
    model: ModelConfig,
    results: _Results,
    display: "TrainingDisplay",
    stop: Stop,
    group: ProcessGroup,
) -> None:
    """Print each event, and save each better model and each state.

    Raises:
        TrainingError: If the run cannot go on; its hint names the options to go on with.
    """
    from charlm.training.events import Finished, Progress, Validation
    from charlm.training.state import TrainingState

    try:
        for event in events:
            results.metrics.append(event)
            match event:
                case Progress():
                    display.progressed(event)
                case Validation():
                    results.save_model(event)
                    display.validated(event)
                case TrainingState():
                    results.save_state(event)
                    if stop.is_requested():
                        display.line(f"stopping: the run is saved in {results.state}")
                case Finished():
                    if event.best is not None and not results.save_model(event.best):
                        display.note(f"{results.output} keeps the better model that it had before")
                    if event.state is not None:
                        results.save_state(event.state)
                    command = (
                        _resume_command(group)
                        if event.ending == "stopped"
                        else _generate_command(results.output, model)
                    )
                    display.finished(event, results.output, results.state, command)
    except TrainingError as error:
        if results.has_model:
            display.note(f"{results.output} holds the best model so far")
        hints = [error.hint, "--resume goes on from the last save, --overwrite begins a new run"]
        raise TrainingError(error.message, hint="; ".join(filter(None, hints))) from None


def _resume_command(group: ProcessGroup) -> str:
    """Return the command line that resumes this run."""
    command, *words = sys.argv[1:]
    # --resume comes first: a -- among the words would end the options.
    words = [word for word in words if word not in ("--overwrite", "--resume")]
    return f"{launch_command(group.process)} {shlex.join([command, '--resume', *words])}"


def _generate_command(output: Path, model: ModelConfig) -> str:
    """Return a command line that generates text with the model."""
    words = ["charlm", "generate"]
    words += {
        "text": [] if model.is_of_documents else ["--length", "300"],
        "lines": ["--count", "20"],
        "pairs": ["--seed", "a source"],
        "labels": ["--seed", "a text"],
        "tags": ["--seed", "Some words of a sentence ."],
    }[model.task]
    if model.direction != "forward":
        words += ["--ending", "."]
    if output != Path(DEFAULT_MODEL_PATH):
        words += ["--model", str(output)]
    return shlex.join(words)
