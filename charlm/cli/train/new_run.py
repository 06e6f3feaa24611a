"""The settings of a new run: from random weights, from word vectors, or from a model (--from).

The model of --from fixes size, tokenizer and task; no option may contradict it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import typer

from charlm.cli.options import command_line_options, json_options
from charlm.config import (
    DEFAULT_HELD_OUT_EXAMPLES,
    CorpusConfig,
    Encoder,
    ModelConfig,
    Task,
    TrainingConfig,
)
from charlm.errors import CheckpointError, ConfigError
from charlm.formatting import count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.corpus.encoding import Corpus
    from charlm.display.training import TrainingDisplay
    from charlm.tokenizers import Tokenizer
    from charlm.training.embeddings import Embeddings
    from charlm.training.plan import Plan
    from charlm.training.state import TrainingState

TASK_OPTIONS: tuple[Task, ...] = ("lines", "pairs", "labels", "tags")  # names of their options
# Options about a network before its first step, which are no part of a model's config.
WITHOUT_MEANING = ("vocab_size", "embeddings", "initialisation", "forget_bias", "separator")
BYTE_SHARE_SHOWN = 0.01  # of the training text's tokens


@dataclass(frozen=True, kw_only=True)
class TrainingStart:
    """The plan of a run and what its network starts from: arguments of `training.loop.train`."""

    plan: "Plan"
    embeddings: "Embeddings | None" = None
    start: "Checkpoint | None" = None
    state: "TrainingState | None" = None


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """The settings of a new run.

    Attributes:
        corpus: How texts become ids.
        model: Size of the network.
        config: How to train.
        options: The options of the command line, as JSON.
        embeddings: A file of word vectors to start from.
        start: A model to start from.
        may_resize: Whether the plan may choose the hidden size.
    """

    corpus: CorpusConfig
    model: ModelConfig
    config: TrainingConfig
    options: Mapping[str, Any]
    embeddings: Path | None
    start: "Checkpoint | None"
    may_resize: bool
    state: ClassVar[None] = None

    @property
    def tokenizer(self) -> "Tokenizer | None":
        """The tokenizer of the model to start from; None trains one on the text."""
        return None if self.start is None else self.start.tokenizer

    def prepare(
        self, corpus: "Corpus", display: "TrainingDisplay", group: ProcessGroup = SINGLE_PROCESS
    ) -> TrainingStart:
        """Plan the run and read the word vectors."""
        from charlm.training.plan import make_plan

        if self.start is not None and (share := _byte_share(corpus)) >= BYTE_SHARE_SHOWN:
            display.note(
                f"{100 * share:.0f} % of the text's tokens are bytes: the model's vocabulary lacks "
                "their characters"
            )
        model, embeddings = self.model, None
        if self.embeddings is not None:
            embeddings = _read_embeddings(self.embeddings, corpus, display)
            digest = hashlib.sha256(embeddings.vectors.tobytes()).digest()
            group.require_same(digest, str(self.embeddings))
            model = replace(model, embedding_size=embeddings.vectors.shape[1])
        plan = make_plan(corpus, model, self.config, may_resize=self.may_resize, group=group)
        return TrainingStart(plan=plan, embeddings=embeddings, start=self.start)


def load_new_run(context: typer.Context, group: ProcessGroup) -> NewRun:
    """Return the settings of the command line.

    Raises:
        CheckpointError: If there is no model where --from names one.
        TrainingError: If another process has another model there.
        ConfigError: If a setting is out of its range, or two contradict each other.
    """
    options = context.params
    start = None
    if options["start"] is not None:
        start = _load_start(context, Path(options["start"]), group)
        model, tokenizer = start.config, start.tokenizer.kind
    else:
        model, tokenizer = _model_config(options), options["tokenizer"]
    corpus = CorpusConfig(
        tokenizer=tokenizer,
        vocab_size=options["vocab_size"],
        task=model.task,
        document_separator=model.document_separator,
        mask=model.mask,
        columns=model.columns,
        separator=options["separator"],
        begins_after=None if start is None else model.begins_after,
        predicts_end=None if start is None else model.predicts_end,
        validation_from=options["validation_from"],
    )
    if model.has_encoder:
        corpus = replace(corpus, validation_fraction=DEFAULT_HELD_OUT_EXAMPLES)
    if options["validation_fraction"] is not None:
        corpus = replace(
            corpus,
            validation_fraction=options["validation_fraction"],
            max_validation_characters=None,
        )
    return NewRun(
        corpus=corpus,
        model=model,
        config=TrainingConfig.for_model(
            model, tokenizer, **_settings_among(options, TrainingConfig)
        ),
        options=json_options(context),
        embeddings=None if options["embeddings"] is None else Path(options["embeddings"]),
        start=start,
        may_resize=options["hidden_size"] is None and start is None and not model.has_encoder,
    )


def _model_config(options: Mapping[str, Any]) -> ModelConfig:
    if options["embeddings"] is not None and options["embedding_size"] is not None:
        raise ConfigError("--embeddings sets the embedding size; leave out --embedding-size")
    settings = _settings_among(options, ModelConfig)
    task = next(filter(options.get, TASK_OPTIONS), "text")
    if options["attention"] is not None and task != "pairs":
        raise ConfigError("--attention needs --pairs: it looks at the source of an answer")
    encoder: Encoder = "none"
    if task == "pairs":
        encoder = "context" if options["attention"] is False else "attention"
    return ModelConfig.for_tokenizer(options["tokenizer"], task=task, encoder=encoder, **settings)


def _settings_among(options: Mapping[str, Any], config: type[Any]) -> dict[str, Any]:
    """Return the options that are fields of a config class."""
    return {field.name: options[field.name] for field in fields(config) if field.name in options}


def _load_start(context: typer.Context, path: Path, group: ProcessGroup) -> "Checkpoint":
    """Return the model of --from.

    Raises:
        CheckpointError: If there is none at `path`.
        TrainingError: If another process has another model there.
        ConfigError: If an option contradicts the model, or has no meaning beside it.
    """
    from charlm.checkpoint import Checkpoint

    try:
        start = Checkpoint.load(path)
    except CheckpointError as error:
        raise CheckpointError(
            error.message, hint="name a model with --from, or leave it out to train a new one"
        ) from None
    group.require_same(start.weights_sha256.encode(), str(path))
    task = start.config.task
    fixed = {**start.config.to_json(), "tokenizer": start.tokenizer.kind}
    for name, flag, value in command_line_options(context):
        if name in WITHOUT_MEANING:
            raise ConfigError(
                f"{flag} has no meaning with --from: the model is trained already",
                hint=f"leave out {flag}",
            )
        if name in TASK_OPTIONS and task != name:
            raise ConfigError(
                f"the model of --from is one of {task}, not of {name}",
                hint=f"leave out {flag}, or train a new model without --from",
            )
        if name in fixed and fixed[name] != value:
            raise ConfigError(
                f"{flag} {value} is not what the model of --from has: {fixed[name]}",
                hint=f"leave out {flag}, or train a new model without --from",
            )
    return start


def _byte_share(corpus: "Corpus") -> float:
    """Return the share of the training text's tokens that are bytes."""
    counts, pieces = corpus.train.token_counts, corpus.tokenizer.pieces
    byte_count = sum(
        int(number) for number, piece in zip(counts, pieces, strict=False) if type(piece) is int
    )
    return byte_count / max(1, int(counts.sum()))


def _read_embeddings(path: Path, corpus: "Corpus", display: "TrainingDisplay") -> "Embeddings":
    """Read word vectors and print how many words of the vocabulary they have."""
    from charlm.training.embeddings import read_embeddings

    embeddings = read_embeddings(path, corpus.tokenizer)
    repeated = (
        f"; {count(embeddings.repeated, 'line')} repeated a word and were left out"
        if embeddings.repeated
        else ""
    )
    display.line(
        f"{embeddings.name} has vectors of {embeddings.vectors.shape[1]} for "
        f"{embeddings.found:,} of {count(embeddings.words, 'word')} of the vocabulary{repeated}"
    )
    return embeddings
