"""The score of a text: its negative log-likelihood under a model."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig
from charlm.corpus.columns import LineLayout
from charlm.corpus.examples import (
    BOUNDARIES,
    ids_of_lines,
    scored_text,
    separator_pattern,
)
from charlm.corpus.masks import masked_lines
from charlm.corpus.windows import MOST_LOGITS, Windows, prefix_of
from charlm.errors import ConfigError
from charlm.inference.runtime import Floats, Network, select_rows
from charlm.tokenizers import Ids, Tokenizer
from charlm.tokenizers.base import utf8

Nats = NDArray[np.float64]

LONGEST_BATCH = 32  # steps whose logits are computed in one product
COLUMNS_HINT = "`charlm info` shows the task of the model, and the columns that it needs"


@dataclass(frozen=True, kw_only=True)
class Surprisal:
    """A sum of −ln p over tokens."""

    nats: float = 0.0
    tokens: int = 0  # predictions made

    @property
    def bits(self) -> float:
        """The sum, in bits."""
        return self.nats / math.log(2)

    @property
    def nats_per_token(self) -> float:
        """The mean in nats per token; 0 without tokens."""
        return self.nats / self.tokens if self.tokens else 0.0

    @property
    def perplexity(self) -> float:
        """exp(nats per token); inf if that is too large for a float."""
        return math.exp(self.nats_per_token) if self.nats_per_token < 700 else math.inf


@dataclass(frozen=True, kw_only=True)
class Score(Surprisal):
    """The negative log-likelihood of a text, with its sizes.

    Sums are stored and averages are derived, so two scores can be added. Every token is predicted,
    the first included: a character model makes one prediction for each character.
    """

    characters: int = 0  # Unicode code points of the raw text
    bytes: int = 0  # of the raw text in UTF-8

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


def check_context(context: str, config: ModelConfig) -> None:
    """Raise ConfigError if a model cannot read a context before the texts that it scores."""
    if not context:
        return
    if config.task == "pairs":
        raise ConfigError("a model of pairs reads a source before a target, and no other context")
    if config.direction == "backward":
        raise ConfigError(
            "a model that reads backward reads no context first",
            hint="train one with --direction forward or both",
        )
    if config.task == "lines" and "\n" in context:
        raise ConfigError("the context contains a line end, which ends a line of this model")


def score_text(
    runtime: Network, tokenizer: Tokenizer, text: str, *, name: str = "the text"
) -> Score:
    """Return the score of `text`, read as the task of the model requires.

    Each example starts from the zero state: the whole text or a document, a line, or a pair. The
    ends of lines and pairs are predicted. Of a pair only the target is scored. Empty lines and
    documents are left out.

    Raises:
        CorpusError: If the model is of pairs and a line of `name` is not a pair.
    """
    return score_with(
        lambda windows: score_windows(runtime, windows), runtime.config, tokenizer, text, name=name
    )


def score_with(
    nats_of: Callable[[Windows], Iterable[float]],
    config: ModelConfig,
    tokenizer: Tokenizer,
    text: str,
    *,
    name: str,
) -> Score:
    """Return the score of `text`, as `score_text` does, for a network of one direction.

    `nats_of` returns −ln p of the scored tokens of all windows, in parts that are summed.
    """
    examples = examples_of(text, config, name)
    windows = windows_of(examples, tokenizer, config)
    scored_texts = [scored_text(example, config.task) for example in examples]
    return Score(
        nats=math.fsum(nats_of(windows)),
        tokens=int((windows.stop - windows.first).sum()),
        characters=sum(map(len, scored_texts)),
        bytes=sum(len(utf8(text)) for text in scored_texts),
    )


def index_of_best(scores: Sequence[Score]) -> int | None:
    """Return the index of the lowest score in bits per character; of equals, the first.

    A text without tokens has no score; None stands for no score at all.
    """
    scored = [index for index, score in enumerate(scores) if score.tokens]
    return min(scored, key=lambda index: scores[index].bits_per_character, default=None)


def scores_of(runtime: Network, windows: Windows, texts: Iterable[str]) -> list[Score]:
    """Return the score of each window, given the text that each window scores."""
    nats, tokens = score_windows(runtime, windows), windows.stop - windows.first
    return [
        Score(nats=window_nats, tokens=count, characters=len(text), bytes=len(utf8(text)))
        for window_nats, count, text in zip(nats.tolist(), tokens.tolist(), texts, strict=True)
    ]


def score_windows(runtime: Network, windows: Windows) -> Nats:
    """Return −ln p of the scored tokens of each window, in nats, shape (windows,)."""
    result = np.zeros(len(windows.begin))
    cut, owners = segments_of(windows, runtime.config)
    for numbers, features, positions in predict_windows(runtime, cut):
        surprisal = negative_log_softmax(runtime.logits(features), cut.ids[positions])
        begins = np.diff(numbers, prepend=-1) != 0  # the tokens of a window stand together
        sums = np.bincount(begins.cumsum() - 1, surprisal)
        np.add.at(result, owners[numbers[begins]], sums)
    return result


def segments_of(windows: Windows, config: ModelConfig) -> tuple[Windows, NDArray[np.int64]]:
    """Return windows as a network reads them, and the numbers of those that they were cut from.

    Long windows are cut, unless an encoder reads their sources.
    """
    return (windows, np.arange(len(windows.begin))) if config.has_encoder else windows.cut()


def nats_of_ids(runtime: Network, windows: Windows) -> Nats:
    """Return −ln p of each scored id, and 0 for all other ids, shape (ids,)."""
    result = np.zeros(len(windows.ids))
    for _, features, positions in predict_windows(runtime, segments_of(windows, runtime.config)[0]):
        targets = windows.ids[positions]
        result[positions] = negative_log_softmax(runtime.logits(features), targets)
    return result


def predict_windows(
    runtime: Network, windows: Windows
) -> Iterator[tuple[NDArray[np.int64], Floats, NDArray[np.int64]]]:
    """Yield the features before each scored token, in batches whose logits fit in memory.

    Windows are read side by side, the longest first. Within a batch the tokens of a window are
    adjacent and in order.

    Yields:
        The number of the window of each token, shape (N,); the features before it, shape (N, H);
        and its position among the ids, shape (N,).
    """
    for numbers in windows.groups():
        group = windows.select(numbers)
        state = runtime.zero_state(len(numbers))
        start = 0
        for batch in group.batches(LONGEST_BATCH):
            count, length = batch.inputs.shape
            state = select_rows(state, slice(count))
            features = np.empty((count, length, runtime.feature_size), np.float32)
            for time, column in enumerate(batch.inputs.T):
                features[:, time], state = runtime.step(column, state)
            rows, columns = np.nonzero(batch.is_scored)
            scored = features.reshape(-1, features.shape[-1])
            if len(rows) < len(scored):  # if all are scored, this would copy for nothing
                scored = features[batch.is_scored]
            positions = (group.begin - group.prefix_lengths)[rows] + start + columns
            start += length
            for part in batched_rows(len(scored), windows.boundary_id):
                yield numbers[rows[part]], scored[part], positions[part]


def batched_rows(count: int, vocab_size: int) -> Iterator[slice]:
    """Yield slices of `count` rows, each with at most MOST_LOGITS logits."""
    most = max(1, MOST_LOGITS // vocab_size)
    return (slice(start, start + most) for start in range(0, count, most))


def examples_of(text: str, config: ModelConfig, name: str) -> Sequence[str]:
    """Return the documents, lines or pairs of a text as they are read, without blank ones.

    Raises:
        ConfigError: If the mask of the model takes too long.
        CorpusError: If the model is of pairs and a line of `name` is not a pair.
    """
    return masked_lines([part for _, part in located_examples(text, config, name)], config.mask)


def located_examples(text: str, config: ModelConfig, name: str) -> list[tuple[int, str]]:
    """Return the examples of a text without masks, and where each begins.

    Raises:
        CorpusError: If the model is of pairs and a line of `name` is not a pair.
    """
    separator = "\n" if config.task != "text" else config.document_separator
    pattern = None if separator is None else separator_pattern(separator)
    spans = [] if pattern is None else [match.span() for match in re.finditer(pattern, text)]
    begins = [0, *(stop for _, stop in spans)]
    stops = [*(start for start, _ in spans), len(text)]
    parts = [text[begin:stop] for begin, stop in zip(begins, stops, strict=True)]
    if config.task != "text":
        parts[-1] = parts[-1].removesuffix("\r")  # a last line may have no line end
    layout = LineLayout.of(config)
    if layout.has_columns:
        layout.check(parts, name, first=1, hint=COLUMNS_HINT)
    if separator is None:
        return [(0, text)] if text else []
    return [
        (begin, layout.example(part) if layout.has_columns else part)
        for begin, part in zip(begins, parts, strict=True)
        if part.strip()
    ]


def windows_of(examples: Sequence[str], tokenizer: Tokenizer, config: ModelConfig) -> Windows:
    """Return one window for each document, line or pair, in their order."""
    ids = ids_of_examples(examples, tokenizer, config)
    bounds = np.flatnonzero(ids == tokenizer.boundary_id)
    step = BOUNDARIES.get(config.task, 1)
    begin, first = bounds[:-1:step] + 1, bounds[step - 1 : -1 : step] + 1
    stop = bounds[step::step] + config.predicts_boundary
    prefix = prefix_of(tokenizer, config)
    windows = Windows(ids, tokenizer.boundary_id, begin, first, stop, prefix)
    if config.direction == "backward":
        return windows.select(np.arange(len(begin))[::-1])
    return windows


def ids_of_examples(examples: Sequence[str], tokenizer: Tokenizer, config: ModelConfig) -> Ids:
    """Return ids in reading order: a boundary first, and one after each example."""
    boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
    if config.task == "text":
        parts = [part for example in examples for part in (tokenizer.encode(example), boundary)]
    else:
        parts = [ids_of_lines(examples, tokenizer, config.task)]
    ids = np.concatenate([boundary, *parts])
    return ids[::-1] if config.direction == "backward" else ids


def negative_log_softmax(logits: Floats, targets: NDArray[np.integer[Any]]) -> Floats:
    """Return −ln softmax(logits)[target], shape of `targets`. `logits` is overwritten."""
    logits -= logits.max(axis=-1, keepdims=True)
    target_logits = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    np.exp(logits, out=logits)
    result: Floats = np.log(logits.sum(axis=-1)) - target_logits
    return result
