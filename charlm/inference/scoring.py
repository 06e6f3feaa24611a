"""Text → sums that add up: how much information a text is under a model."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig
from charlm.corpus.examples import BOUNDARIES, check_pairs, ids_of_lines, scored_text
from charlm.corpus.windows import MOST_LOGITS, Windows
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
    def bits(self) -> float:
        """The sum, in bits."""
        return self.nats / math.log(2)

    @property
    def nats_per_token(self) -> float:
        """The mean, in nats a token; 0 of a text without any."""
        return self.nats / self.tokens if self.tokens else 0.0

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
        return self.bits / self.characters if self.characters else 0.0

    @property
    def bits_per_byte(self) -> float:
        """Information per byte of the raw text; comparable across tokenizers and compressors."""
        return self.bits / self.bytes if self.bytes else 0.0


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
    return score_with(
        lambda windows: score_windows(runtime, windows),
        runtime.config,
        tokenizer,
        text,
        name=name,
    )


def score_with(
    nats_of: Callable[[Windows], Iterable[float]],
    config: ModelConfig,
    tokenizer: Tokenizer,
    text: str,
    *,
    name: str,
) -> Score:
    """Return the score of `text`, as `score_text` does, whatever computes it.

    Args:
        nats_of: Returns −ln p of what is scored in passages, in parts that are summed.
        config: Of a network that reads in one direction.
        tokenizer: Its tokenizer.
        text: To score.
        name: What error messages call it.

    Raises:
        CorpusError: If pairs are wanted and a line of `name` is none.
    """
    items = [item for _, item in examples_of(text, config, name)]
    windows = windows_of(items, tokenizer, config)
    scored = [scored_text(item, config.task) for item in items]
    return Score(
        nats=math.fsum(nats_of(windows)),
        tokens=int((windows.stop - windows.first).sum()),
        characters=sum(map(len, scored)),
        bytes=sum(len(utf8(each)) for each in scored),
    )


def best_of(scores: Sequence[Score]) -> int:
    """Return which of several models' scores of one text is the best, the first if several are."""
    scored = [place for place, score in enumerate(scores) if score.tokens]
    return min(scored, key=lambda place: scores[place].bits_per_character, default=0)


def scores_of(runtime: Network, windows: Windows, texts: Iterable[str]) -> list[Score]:
    """Return the score of each passage, given the texts that are scored in them."""
    nats, tokens = score_windows(runtime, windows), windows.stop - windows.first
    return [
        Score(nats=each, tokens=number, characters=len(text), bytes=len(utf8(text)))
        for each, number, text in zip(nats.tolist(), tokens.tolist(), texts, strict=True)
    ]


def score_windows(runtime: Network, windows: Windows) -> Nats:
    """Return −ln p of what is scored in each passage, in nats, shape (passages,)."""
    result = np.zeros(len(windows.begin))
    cut, owners = windows.cut()
    for chosen in cut.groups():
        batch = cut.select(chosen)
        for rows, features, targets in predict_windows(runtime, batch):
            surprisal = negative_log_softmax(runtime.logits(features), batch.ids[targets])
            nats = np.bincount(rows, surprisal, minlength=len(chosen))
            np.add.at(result, owners[chosen], nats)
    return result


def nats_of_ids(runtime: Network, windows: Windows) -> Nats:
    """Return −ln p of each id that is scored in a passage, and 0 for the others, shape (ids,)."""
    result = np.zeros(len(windows.ids))
    cut, _ = windows.cut()
    for chosen in cut.groups():
        for _, features, targets in predict_windows(runtime, cut.select(chosen)):
            result[targets] = negative_log_softmax(runtime.logits(features), windows.ids[targets])
    return result


def predict_windows(
    runtime: Network, batch: Windows
) -> Iterator[tuple[NDArray[np.int64], Floats, NDArray[np.int64]]]:
    """Yield what predicts the targets that count, as many at once as logits may be held.

    Returns:
        Which passage each belongs to, shape (N,); the features before it, shape (N, H); and where
        among the ids the target stands, shape (N,). Of each passage, in order.
    """
    state = runtime.zero_state(len(batch.begin))
    start = 0
    for window in batch.batches(LONGEST_WINDOW):
        count, length = window.inputs.shape
        state = [tuple(vector[:count] for vector in layer) for layer in state]
        features = np.empty((count, length, runtime.config.hidden_size), np.float32)
        for time, column in enumerate(window.inputs.T):
            features[:, time], state = runtime.step(column, state)
        rows, columns = np.nonzero(window.is_scored)
        counted = features.reshape(-1, features.shape[-1])
        if len(rows) < len(counted):  # else a copy for nothing
            counted = features[window.is_scored]
        targets = batch.begin[rows] + start + columns
        start += length
        for some in batched_rows(len(counted), batch.boundary_id):
            yield rows[some], counted[some], targets[some]


def batched_rows(count: int, vocab_size: int) -> Iterator[slice]:
    """Yield slices of `count` rows, each of as many as logits may be held."""
    most = max(1, MOST_LOGITS // vocab_size)
    return (slice(place, place + most) for place in range(0, count, most))


def examples_of(text: str, config: ModelConfig, name: str) -> list[tuple[int, str]]:
    """Return the documents, lines or pairs in a text, but for empty ones, and where each begins.

    Raises:
        CorpusError: If pairs are wanted and a line of `name` is none.
    """
    separator = "\n" if config.task != "text" else config.document_separator
    parts = [text] if separator is None else text.split(separator)
    begins = accumulate((len(part) + len(separator or "") for part in parts), initial=0)
    if config.task != "text":
        parts = [part.removesuffix("\r") for part in parts]
    if config.task == "pairs":
        check_pairs(parts, name, first=1, hint="the model is one of pairs")
    return [(begin, part) for begin, part in zip(begins, parts, strict=False) if part]


def windows_of(items: Sequence[str], tokenizer: Tokenizer, config: ModelConfig) -> Windows:
    """Return each document, line or pair as a passage, in their order, whatever is read first."""
    ids = ids_of_examples(items, tokenizer, config)
    bounds = np.flatnonzero(ids == tokenizer.boundary_id)
    each = BOUNDARIES.get(config.task, 1)
    begin, first = bounds[:-1:each] + 1, bounds[each - 1 : -1 : each] + 1
    stop = bounds[each::each] + config.predicts_boundary
    windows = Windows(ids, tokenizer.boundary_id, begin, first, stop)
    if config.direction == "backward":
        return windows.select(np.arange(len(begin))[::-1])
    return windows


def ids_of_examples(items: Sequence[str], tokenizer: Tokenizer, config: ModelConfig) -> Ids:
    """Return ids in the order in which they are read: a boundary first, and one after each."""
    boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
    if config.task == "text":
        parts = [part for item in items for part in (tokenizer.encode(item), boundary)]
    else:
        parts = [ids_of_lines(items, tokenizer, config.task)]
    ids = np.concatenate([boundary, *parts])
    return ids[::-1] if config.direction == "backward" else ids


def negative_log_softmax(logits: Floats, targets: NDArray[np.integer[Any]]) -> Floats:
    """Return −ln softmax(logits)[target], shape of `targets`; `logits` is overwritten."""
    logits -= logits.max(axis=-1, keepdims=True)
    of_target = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    np.exp(logits, out=logits)
    result: Floats = np.log(logits.sum(axis=-1)) - of_target
    return result
