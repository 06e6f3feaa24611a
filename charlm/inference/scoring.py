"""Text → sums that add up: how much information a text is under a model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.items import check_pairs, ids_of_lines, scored_ids, scored_text, split_lines
from charlm.corpus.layout import MOST_LOGITS, Passages
from charlm.inference.runtime import Runtime
from charlm.tokenizers import Tokenizer
from charlm.tokenizers.base import utf8

LONGEST_WINDOW = 32  # steps whose logits are computed in one product


@dataclass(frozen=True, kw_only=True)
class Score:
    """The negative log-likelihood of a text, and what it is divided by.

    Sums are stored and averages derived, so two scores can be added. Every token is predicted,
    the first included, so a character model makes as many predictions as there are characters.

    Attributes:
        nats: −ln p(text), summed over all tokens.
        tokens: Predictions made.
        characters: Unicode code points of the raw text.
        bytes: Bytes of the raw text in UTF-8.
    """

    nats: float = 0.0
    tokens: int = 0
    characters: int = 0
    bytes: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(
            nats=self.nats + other.nats,
            tokens=self.tokens + other.tokens,
            characters=self.characters + other.characters,
            bytes=self.bytes + other.bytes,
        )

    @property
    def nats_per_token(self) -> float:
        """Cross-entropy, in nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token): as uncertain as a choice among so many; inf if too large."""
        return math.exp(self.nats_per_token) if self.nats_per_token < 700 else math.inf

    @property
    def bits_per_character(self) -> float:
        """Information per character of the raw text; comparable across tokenizers."""
        return self.nats / math.log(2) / self.characters

    @property
    def bits_per_byte(self) -> float:
        """Information per byte of the raw text; comparable across tokenizers and compressors."""
        return self.nats / math.log(2) / self.bytes


def score_text(
    runtime: Runtime, tokenizer: Tokenizer, text: str, *, name: str = "the text"
) -> Score:
    """Return the score of `text`, in the form that the model was trained on.

    A running text is read from nothing, and so is each document between separators. Lines and
    pairs are read from nothing each; their ends are predicted, and of pairs only the targets are.
    Empty lines are left out.

    Raises:
        CorpusError: If pairs are wanted and a line of `name` is none.
    """
    config = runtime.config
    if config.form == "text":
        documents = (
            [text] if config.document_separator is None else text.split(config.document_separator)
        )
        scored = [document for document in documents if document]
        boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
        ids = np.concatenate(
            [part for each in scored for part in (tokenizer.encode(each), boundary)]
            or [boundary[:0]]
        )
        predictions = len(ids) - len(scored)
    else:
        lines = list(chain.from_iterable(split_lines([text])))
        if config.form == "pairs":
            check_pairs(lines, name, first=1, hint="the model is one of pairs")
        lines = [line for line in lines if line]  # as in training
        ids = ids_of_lines(lines, tokenizer, config.form)
        scored = [scored_text(line, config.form) for line in lines]
        predictions = scored_ids(ids, tokenizer.boundary_id, config.form)
    if not scored:
        return Score()
    boundaries = np.flatnonzero(ids == tokenizer.boundary_id)
    passages = Passages.of(config.form, ids, boundaries, tokenizer.boundary_id)
    return Score(
        nats=score_passages(runtime, passages),
        tokens=predictions,
        characters=sum(map(len, scored)),
        bytes=sum(len(utf8(each)) for each in scored),
    )


def score_passages(runtime: Runtime, passages: Passages) -> float:
    """Return −ln p of all that is scored in `passages`, in nats."""
    return math.fsum(
        float(surprisal.sum(dtype=np.float64))
        for batch in passages.batches()
        for surprisal in _surprisals(runtime, batch)
    )


def _surprisals(runtime: Runtime, batch: Passages) -> Iterator[NDArray[np.float32]]:
    """Yield −ln p of the targets that count, window by window, in nats."""
    state = runtime.zero_state(len(batch.begin))
    for window in batch.windows(LONGEST_WINDOW):
        rows = len(window.inputs)
        state = [tuple(vector[:rows] for vector in layer) for layer in state]
        features = []
        for column in window.inputs.T:
            last, state = runtime.step(column, state)
            features.append(last)
        counted = np.stack(features, axis=1)[window.counts]  # (targets that count, H)
        targets = window.targets[window.counts]
        rows = max(1, MOST_LOGITS // batch.boundary_id)  # whose logits are held at once
        for place in range(0, len(counted), rows):
            some = slice(place, place + rows)
            yield _negative_log_softmax(runtime.logits(counted[some]), targets[some])


def _negative_log_softmax(
    logits: NDArray[np.float32], targets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return −ln softmax(logits)[target], shape of `targets`; `logits` is overwritten."""
    logits -= logits.max(axis=-1, keepdims=True)
    of_target = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    np.exp(logits, out=logits)
    result: NDArray[np.float32] = np.log(logits.sum(axis=-1)) - of_target
    return result
