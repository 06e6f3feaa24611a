"""One run of `charlm train`: encode, learn, show what happens, save each better model."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlm.cli.metrics import Metrics
from charlm.cli.signals import stop_signals
from charlm.config import DEFAULT_MODEL_PATH, CorpusConfig, ModelConfig, TrainingConfig
from charlm.errors import CheckpointError, TrainingError
from charlm.wording import count, quantity

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.corpus.encoding import Corpus
    from charlm.corpus.reading import Document
    from charlm.display import TrainingDisplay
    from charlm.training.embeddings import Embeddings
    from charlm.training.events import Finished, Progress, Validation
    from charlm.training.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a run's results go.

    Attributes:
        output: The file of the best model.
        overwrite: Whether a model there may be replaced.
        metrics: A file of JSON Lines to append to.
        quiet: Whether to say nothing but errors.
    """

    output: Path
    overwrite: bool
    metrics: Path | None
    quiet: bool


def run(
    texts: list[str],
    held_out: list[str],
    corpus_config: CorpusConfig,
    model: ModelConfig,
    config: TrainingConfig,
    destination: Destination,
    *,
    embeddings: Path | None,
    start: "Checkpoint | None",
    may_resize: bool,
) -> None:
    """Read, plan, learn and save; exit with 128 and the signal's number if one ended it.

    Args:
        texts: Names of files and directories to learn from; - is stdin.
        held_out: Names of those to validate on; none hold out a part of `texts`.
        corpus_config: How texts become ids.
        model: Size of the network.
        config: How to learn.
        destination: Where to save and to tell.
        embeddings: A file of word vectors to start from.
        start: A model to go on from.
        may_resize: Whether the plan may choose another number of units.
    """
    output, quiet = destination.output, destination.quiet
    _check_output(output, texts, overwrite=destination.overwrite)
    from charlm.corpus.reading import open_documents
    from charlm.display import TrainingDisplay, show_note

    # A long text is read while it is learnt from, so stdin's copy must live as long as that.
    with open_documents(texts) as documents, open_documents(held_out) as validation:
        corpus = _encode(
            documents, validation, corpus_config, start, note=_silent if quiet else show_note
        )
        with (
            TrainingDisplay(quiet=quiet) as display,
            Metrics(destination.metrics) as log,
            stop_signals() as stop,
        ):
            display.note(_what_was_read(corpus))  # at once, for PyTorch and the plan take seconds
            vectors = None
            if embeddings is not None:
                vectors = _read_embeddings(embeddings, corpus, display)
                model = replace(model, embedding_size=vectors.vectors.shape[1])
            from charlm.training.hardware import prepare
            from charlm.training.loop import train
            from charlm.training.plan import make_plan

            prepare(config.threads)
            plan = make_plan(corpus, model, config, may_resize=may_resize)
            if stop.is_wanted():
                display.note("stopped before training began; nothing is saved")
            else:
                display.planned(plan)
                events = train(
                    corpus, plan, embeddings=vectors, start=start, should_stop=stop.is_wanted
                )
                _follow(events, plan, display, log, output)
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)


def _silent(text: str) -> None:
    del text


def _check_output(output: Path, texts: list[str], *, overwrite: bool) -> None:
    """Find out now, not after an hour, that the model cannot be saved where it should be."""
    from charlm.atomic import check_writable

    if any(Path(name).exists() and output.exists() and output.samefile(name) for name in texts):
        raise CheckpointError(f"{output} is the text to learn from", hint="choose another --output")
    if output.is_file() and not overwrite:
        raise CheckpointError(
            f"there is a model at {output} already",
            hint="replace it with --overwrite, or name another file with --output",
        )
    check_writable(output)


def _encode(
    texts: list["Document"],
    validation_texts: list["Document"],
    config: CorpusConfig,
    start: "Checkpoint | None",
    *,
    note: Callable[[str], None],
) -> "Corpus":
    """Return the corpus; `note` is told what a user may want to know of it."""
    from charlm.corpus.encoding import encode_corpus
    from charlm.tokenizers.base import BYTES

    tokenizer = None if start is None else start.tokenizer
    corpus = encode_corpus(texts, config, validation_texts, tokenizer=tokenizer)
    for facts in corpus.facts:
        if facts.has_byte_order_mark:
            note(f"{facts.name} begins with a byte order mark, which was dropped")
    if start is not None and (share := _spelled_share(corpus)) >= 0.01:
        note(f"{100 * share:.0f} % of the text are bytes that spell what the model does not know")
    found = corpus.tokenizer.vocab_size - BYTES
    if config.vocab_size is not None and found < config.vocab_size:
        note(f"the text fills a vocabulary of {found:,}, not of {config.vocab_size:,}")
    if config.document_separator is not None and corpus.items == len(corpus.facts):
        note(f"the document separator {config.document_separator!r} stands nowhere in the text")
    return corpus


def _spelled_share(corpus: "Corpus") -> float:
    """Return the share of the training text's tokens that are bytes."""
    counts, pieces = corpus.train.token_counts, corpus.tokenizer.pieces
    spelled = sum(int(n) for n, piece in zip(counts, pieces, strict=False) if type(piece) is int)
    return spelled / max(1, int(counts.sum()))


def _follow(
    events: "Iterator[Progress | Validation | Finished]",
    plan: "Plan",
    display: "TrainingDisplay",
    log: Metrics,
    output: Path,
) -> None:
    """Show what happens, and save each model that is better than all before."""
    from charlm.training.events import Finished, Progress, Validation

    is_saved = False
    try:
        for event in events:
            log.append(event)
            match event:
                case Progress():
                    display.progressed(event)
                case Validation():
                    if event.best is not None:
                        event.best.save(output)
                        is_saved = True
                    display.validated(event)
                case Finished():
                    if event.best.best is not None:
                        event.best.best.save(output)
                    display.finished(event, output, _generate_line(output, plan.model))
    except TrainingError:
        if is_saved:
            display.note(f"{output} holds the best model until then")
        raise


def _read_embeddings(path: Path, corpus: "Corpus", display: "TrainingDisplay") -> "Embeddings":
    """Read word vectors and say how much of the vocabulary they cover."""
    from charlm.training.embeddings import read_embeddings

    found = read_embeddings(path, corpus.tokenizer)
    display.note(
        f"{found.name} has vectors of {found.vectors.shape[1]} for "
        f"{found.found:,} of {count(found.words, 'word')} of the vocabulary"
        + (
            f"; {count(found.repeated, 'line')} repeated a word and were left out"
            * bool(found.repeated)
        )
    )
    return found


def _what_was_read(corpus: "Corpus") -> str:
    facts = corpus.facts
    names = facts[0].name if len(facts) == 1 else count(len(facts), "document")
    read = f"read {quantity(sum(each.characters for each in facts))} characters from {names}"
    form = corpus.config.form
    items = "document" if form == "text" else form.removesuffix("s")
    return f"{read}: {count(corpus.items, items)}" if corpus.items else read


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
