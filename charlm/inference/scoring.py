"""Text → sums that add up: how much information a text is under a model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.layout import Segments
from charlm.inference.runtime import Runtime
from charlm.tokenizers import Ids, Tokenizer
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


def score_text(runtime: Runtime, tokenizer: Tokenizer, text: str) -> Score:
    """Return the score of `text`, read from nothing as one stream."""
    ids = tokenizer.encode(text)
    return Score(
        nats=score_ids(runtime, ids, tokenizer.start_id),
        tokens=len(ids),
        characters=len(text),
        bytes=len(utf8(text)),
    )


def score_ids(
    runtime: Runtime, ids: Ids, start_id: int, *, segment_count: int | None = None
) -> float:
    """Return −ln p(ids) in nats, read from the zero state as one stream.

    The stream is cut into segments that are scored side by side, each after a burn-in that
    makes its score that of the uninterrupted stream (see `Segments`).

    Args:
        runtime: The network.
        ids: Token ids, shape (tokens,).
        start_id: The id read before the first token.
        segment_count: Number of segments; None chooses.
    """
    if len(ids) == 0:
        return 0.0
    segments = Segments(ids, start_id, segment_count)
    return math.fsum(
        float(surprisal[counts].sum(dtype=np.float64))
        for surprisal, counts in _surprisals(runtime, segments)
    )


def _surprisals(
    runtime: Runtime, segments: Segments
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield −ln p of every target of each window, in nats, and which of them count."""
    state = None
    for inputs, targets, counts in segments.windows(segments.window_length(LONGEST_WINDOW)):
        if state is None:
            state = runtime.zero_state(len(inputs))
        features = []
        for column in inputs.T:
            last, state = runtime.step(column, state)
            features.append(last)
        logits = runtime.logits(np.stack(features, axis=1))  # (S, T, V)
        yield _negative_log_softmax(logits, targets), counts


def _negative_log_softmax(
    logits: NDArray[np.float32], targets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return −ln softmax(logits)[target], shape of `targets`; `logits` is overwritten."""
    logits -= logits.max(axis=-1, keepdims=True)
    of_target = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    np.exp(logits, out=logits)
    result: NDArray[np.float32] = np.log(logits.sum(axis=-1)) - of_target
    return result
