"""How a new run begins: from nothing, from word vectors, or from a model with `--from`.

A model to go on from settles what it is; no option may say otherwise.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charlm.cli.options import given
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.errors import CheckpointError, ConfigError
from charlm.formatting import count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.corpus.encoding import Corpus
    from charlm.tokenizers import Tokenizer
    from charlm.training.embeddings import Embeddings
    from charlm.training.events import Event
    from charlm.training.plan import Plan

# What else describes a network before its first step.
WITHOUT_MEANING = ("vocab_size", "embeddings", "initialisation", "forget_bias")


def load_start(context: typer.Context, path: Path, group: ProcessGroup) -> "Checkpoint":
    """Return the model to start from.

    Raises:
        CheckpointError: If there is none at `path`.
        TrainingError: If there is another for another process.
        ConfigError: If an option says something else than the model, or has no meaning beside it.
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
    settled = {
        **start.config.to_json(),
        "tokenizer": start.tokenizer.kind,
    }
    for name, flag, value in given(context):
        if name in WITHOUT_MEANING:
            raise ConfigError(f"{flag} has no meaning with --from: the model is trained already")
        if name in ("lines", "pairs") and task != name:
            raise ConfigError(f"the model of --from is one of {task}, not of {name}")
        if name in settled and settled[name] != value:
            raise ConfigError(
                f"{flag} {value} is not what the model of --from has: {settled[name]}",
                hint=f"leave out {flag}, or train a new model without --from",
            )
    return start


@dataclass(kw_only=True)
class NewRun:
    """A run that begins.

    Attributes:
        corpus: How texts become ids.
        model: Size of the network.
        config: How to learn.
        options: Those of the command line, as JSON has them.
        embeddings: A file of word vectors to start from.
        start: A model to go on from.
        may_resize: Whether the plan may choose another number of units.
    """

    corpus: CorpusConfig
    model: ModelConfig
    config: TrainingConfig
    options: Mapping[str, Any]
    embeddings: Path | None
    start: "Checkpoint | None"
    may_resize: bool

    @property
    def tokenizer(self) -> "Tokenizer | None":
        """The tokenizer that is given; None lets one be learnt from the text."""
        return None if self.start is None else self.start.tokenizer

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Where in the metrics file the run stands: at its end, whatever that is."""
        return {}

    def best_at(self, path: Path) -> float:
        """Return the score of a model of this run that is there already; there is none."""
        del path
        return math.inf

    def plan(
        self, corpus: "Corpus", note: Callable[[str], None], group: ProcessGroup = SINGLE_PROCESS
    ) -> "Plan":
        """Return the plan; `note` is told what a user may want to know of it."""
        if self.start is not None and (share := _spelled_share(corpus)) >= 0.01:
            spelled = f"{100 * share:.0f} % of the text are bytes that spell"
            note(f"note: {spelled} what the model does not know")
        self._vectors = None
        if self.embeddings is not None:
            self._vectors = _read_embeddings(self.embeddings, corpus, note)
            digest = hashlib.sha256(self._vectors.vectors.tobytes()).digest()
            group.require_same(digest, str(self.embeddings))
            self.model = replace(self.model, embedding_size=self._vectors.vectors.shape[1])
        from charlm.training.plan import make_plan

        return make_plan(corpus, self.model, self.config, may_resize=self.may_resize, group=group)

    def train(
        self,
        corpus: "Corpus",
        plan: "Plan",
        *,
        save_every: float,
        should_stop: Callable[[], bool],
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> "Iterator[Event]":
        """Begin, and yield what happens."""
        from charlm.training.loop import train

        return train(
            corpus,
            plan,
            embeddings=self._vectors,
            start=self.start,
            save_every=save_every,
            should_stop=should_stop,
            group=group,
        )


def _spelled_share(corpus: "Corpus") -> float:
    """Return the share of the training text's tokens that are bytes."""
    counts, pieces = corpus.train.token_counts, corpus.tokenizer.pieces
    spelled = sum(int(n) for n, piece in zip(counts, pieces, strict=False) if type(piece) is int)
    return spelled / max(1, int(counts.sum()))


def _read_embeddings(path: Path, corpus: "Corpus", note: Callable[[str], None]) -> "Embeddings":
    """Read word vectors and say how much of the vocabulary they cover."""
    from charlm.training.embeddings import read_embeddings

    found = read_embeddings(path, corpus.tokenizer)
    note(
        f"{found.name} has vectors of {found.vectors.shape[1]} for "
        f"{found.found:,} of {count(found.words, 'word')} of the vocabulary"
        + (
            f"; {count(found.repeated, 'line')} repeated a word and were left out"
            * bool(found.repeated)
        )
    )
    return found
