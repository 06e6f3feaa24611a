"""Text → sums that add up: how much information a text is under a model."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig
from charlm.corpus.ids import count_predictions
from charlm.corpus.items import check_pairs, ids_of_lines, scored_text, split_lines
from charlm.corpus.layout import MOST_LOGITS, Passages
from charlm.inference.runtime import Floats, Network
from charlm.tokenizers import Ids, Tokenizer
from charlm.tokenizers.base import utf8

Nats = NDArray[np.float64]

LONGEST_WINDOW = 32  # steps whose logits are computed in one product


@dataclass(frozen=True, kw_only=True)
class Surprisal:
    """A sum of −ln p over tokens.

    Attributes:
        nats: The sum.
        tokens: Predictions made.
    """

    nats: float = 0.0
    tokens: int = 0

    @property
    def nats_per_token(self) -> float:
        """The mean, in nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token): as uncertain as a choice among so many; inf if too large."""
        return math.exp(self.nats_per_token) if self.nats_per_token < 700 else math.inf


@dataclass(frozen=True, kw_only=True)
class Score(Surprisal):
    """The negative log-likelihood of a text, and what it is divided by.

    Sums are stored and averages derived, so two scores can be added. Every token is predicted,
    the first included, so a character model makes as many predictions as there are characters.

    Attributes:
        nats: −ln p(text), summed over all tokens.
        tokens: Predictions made.
        characters: Unicode code points of the raw text.
        bytes: Bytes of the raw text in UTF-8.
    """

    characters: int = 0
    bytes: int = 0

    def __add__(self, other: "Score") -> "Score":
        if not isinstance(other, Score):
            return NotImplemented
        return Score(
            nats=self.nats + other.nats,
            tokens=self.tokens + other.tokens,
            characters=self.characters + other.characters,
            bytes=self.bytes + other.bytes,
        )

    @property
    def bits_per_character(self) -> float:
        """Information per character of the raw text; comparable across tokenizers."""
        return self.nats / math.log(2) / self.characters

    @property
    def bits_per_byte(self) -> float:
        """Information per byte of the raw text; comparable across tokenizers and compressors."""
        return self.nats / math.log(2) / self.bytes


def score_text(
    runtime: Network, tokenizer: Tokenizer, text: str, *, name: str = "the text"
) -> Score:
    """Return the score of `text`, in the form that the model was trained on.

    A running text is read from nothing, and so is each document between separators. Lines and
    pairs are read from nothing each; their ends are predicted, and of pairs only the targets are.
    Empty lines are left out.

    Raises:
        CorpusError: If pairs are wanted and a line of `name` is none.
    """
    config, boundary_id = runtime.config, tokenizer.boundary_id
    items = items_of(text, config, name)
    if not items:
        return Score()
    ids = ids_of_items(items, tokenizer, config)
    scored = [scored_text(item, config.form) for item in items]
    boundaries = np.flatnonzero(ids == boundary_id)
    nats = score_passages(runtime, Passages.of(config.form, ids, boundaries, boundary_id))
    return Score(
        nats=math.fsum(nats),
        tokens=count_predictions(config.form, len(ids), boundaries),
        characters=sum(map(len, scored)),
        bytes=sum(len(utf8(each)) for each in scored),
    )


def nats_of_items(runtime: Network, tokenizer: Tokenizer, items: Sequence[str]) -> Nats:
    """Return −ln p of each text or line, shape (items,), each read from nothing."""
    ids = ids_of_items(items, tokenizer, runtime.config)
    bounds = np.flatnonzero(ids == tokenizer.boundary_id)
    begin, stop = bounds[:-1] + 1, bounds[1:] + runtime.config.predicts_boundary
    nats = score_passages(runtime, Passages(ids, tokenizer.boundary_id, begin, begin, stop))
    return nats[::-1] if runtime.config.direction == "backward" else nats


def score_passages(runtime: Network, passages: Passages) -> Nats:
    """Return −ln p of what is scored in each passage, in nats, shape (passages,)."""
    result = np.zeros(len(passages.begin))
    for chosen in passages.batches():
        for rows, features, targets in read_passages(runtime, passages.select(chosen)):
            surprisal = negative_log_softmax(runtime.logits(features), targets)
            result[chosen] += np.bincount(rows, surprisal, minlength=len(chosen))
    return result


def read_passages(
    runtime: Network, batch: Passages
) -> Iterator[tuple[NDArray[np.int64], Floats, NDArray[np.int64]]]:
    """Yield what predicts the targets that count, as many at once as logits may be held.

    Returns:
        Which passage each belongs to, shape (N,); the features before it, shape (N, H); and the
        target, shape (N,). Of each passage, in order.
    """
    state = runtime.zero_state(len(batch.begin))
    for window in batch.windows(LONGEST_WINDOW):
        count = len(window.inputs)
        state = [tuple(vector[:count] for vector in layer) for layer in state]
        features = []
        for column in window.inputs.T:
            last, state = runtime.step(column, state)
            features.append(last)
        counted = np.stack(features, axis=1)[window.counts]
        targets = window.targets[window.counts]
        rows = np.nonzero(window.counts)[0]
        for some in batched_rows(len(counted), batch.boundary_id):
            yield rows[some], counted[some], targets[some]


def batched_rows(count: int, vocab_size: int) -> Iterator[slice]:
    """Yield slices of `count` rows, each of as many as logits may be held."""
    most = max(1, MOST_LOGITS // vocab_size)
    return (slice(place, place + most) for place in range(0, count, most))


def items_of(text: str, config: ModelConfig, name: str) -> list[str]:
    """Return the documents, lines or pairs in a text, but for empty ones.

    Raises:
        CorpusError: If pairs are wanted and a line of `name` is none.
    """
    if config.form != "text":
        lines = list(chain.from_iterable(split_lines([text])))
        if config.form == "pairs":
            check_pairs(lines, name, first=1, hint="the model is one of pairs")
        return [line for line in lines if line]
    separator = config.document_separator
    return [each for each in ([text] if separator is None else text.split(separator)) if each]


def ids_of_items(items: Sequence[str], tokenizer: Tokenizer, config: ModelConfig) -> Ids:
    """Return ids in the order in which they are read: a boundary first, and one after each."""
    boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
    if config.form == "text":
        parts = [part for item in items for part in (tokenizer.encode(item), boundary)]
    else:
        parts = [ids_of_lines(items, tokenizer, config.form)]
    ids = np.concatenate([boundary, *parts])
    return ids[::-1] if config.direction == "backward" else ids


def negative_log_softmax(logits: Floats, targets: NDArray[np.int64]) -> Floats:
    """Return −ln softmax(logits)[target], shape of `targets`; `logits` is overwritten."""
    logits -= logits.max(axis=-1, keepdims=True)
    of_target = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    np.exp(logits, out=logits)
    result: Floats = np.log(logits.sum(axis=-1)) - of_target
    return result
