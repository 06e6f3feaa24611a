"""Sequences → text, token by token; many sequences are generated side by side.

A text does not depend on those beside it, except for the rounding of their common matrix products.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from charlm.corpus.windows import MOST_LOGITS
from charlm.inference.runtime import Floats, concatenate_states, log_softmax, select_rows
from charlm.inference.sampling import draw_next_tokens, next_token_probabilities
from charlm.inference.sequences import Continuation, GeneratedSequence, GeneratorSettings
from charlm.inference.stopping import FinishReason

MOST_SIDE_BY_SIDE = 64  # sequences; of a very large vocabulary fewer
MOST_ANSWERS = 256  # of a network with an encoder

AnySequence = TypeVar("AnySequence", bound=GeneratedSequence)


class Piece(NamedTuple):
    """A piece of a text."""

    text: str
    # −ln p of each character, without temperature and constraints; empty if not scored. The
    # characters of a token have equal shares.
    nats: Sequence[float]
    finish_reason: FinishReason | None  # why the text stops after the piece; None if it goes on


def generate(
    settings: GeneratorSettings, next_sequence: Callable[[bool], AnySequence | None]
) -> Iterator[tuple[AnySequence, str]]:
    """Generate sequences side by side; yield each with the characters to show next.

    The last characters of a sequence come when it has a finish reason. `next_sequence` is called
    while there is room for more, with whether no sequence is in progress. It returns a new one, or
    None if it has none now.
    """
    network = settings.network
    side_by_side = MOST_ANSWERS if network.config.has_encoder else MOST_SIDE_BY_SIDE
    most = max(1, min(side_by_side, MOST_LOGITS // settings.outputs))
    sequences: list[AnySequence] = []
    state = network.zero_state(0)
    while True:
        new: list[AnySequence] = []
        # An encoder reads many sources at once in the time of a few.
        has_room = not network.config.has_encoder or len(sequences) <= most // 2
        while has_room and len(sequences) + len(new) < most:
            sequence = next_sequence(not sequences and not new)
            if sequence is None:
                break
            if sequence.finish_reason is None:
                new.append(sequence)
            else:
                yield sequence, ""
        if new:
            sequences += new
            new_state, left = network.start([list(sequence.unread) for sequence in new])
            for sequence in new:
                sequence.unread = deque(list(sequence.unread)[-left:])
            state = concatenate_states(state, new_state)
        if not sequences:
            return
        ids = np.array([sequence.unread.popleft() for sequence in sequences])
        logits, state = network.predict(ids, state)
        ready = [row for row, sequence in enumerate(sequences) if not sequence.unread]
        if len(ready) < len(sequences):
            logits = logits[ready]
        yield from _append_tokens(settings, [sequences[row] for row in ready], logits)
        unfinished = [row for row, seq in enumerate(sequences) if seq.finish_reason is None]
        if len(unfinished) < len(sequences):
            sequences = [sequences[row] for row in unfinished]
            state = select_rows(state, unfinished)


def _append_tokens(
    settings: GeneratorSettings, sequences: list[AnySequence], logits: Floats
) -> Iterator[tuple[AnySequence, str]]:
    """Draw the next token of each sequence, shape of logits (sequences, outputs)."""
    if not sequences:
        return
    needs_processing = any(sequence.needs_processing for sequence in sequences)
    if needs_processing:
        for sequence, row in zip(sequences, logits, strict=True):
            sequence.require_given(row)
    unprocessed = logits.copy() if settings.is_scored else logits
    if needs_processing:
        for sequence, row in zip(sequences, logits, strict=True):
            sequence.process(row)
        has_token = np.isfinite(logits.max(axis=-1))
        for index in np.flatnonzero(~has_token):
            yield sequences[index], sequences[index].finish("dead end")
        sequences = [sequences[index] for index in np.flatnonzero(has_token)]
        if not sequences:
            return
        logits, unprocessed = logits[has_token], unprocessed[has_token]
    uniforms = np.zeros(len(sequences))
    if settings.config.temperature > 0:
        uniforms = np.array([sequence.uniform() for sequence in sequences])
    tokens = draw_next_tokens(logits, settings.config, uniforms)
    nats = [0.0] * len(sequences)
    if settings.is_scored:
        nats = (-log_softmax(unprocessed)[np.arange(len(sequences)), tokens]).tolist()
    for sequence, token, token_nats in zip(sequences, tokens.tolist(), nats, strict=True):
        shown = sequence.append(token, token_nats)
        if shown or sequence.finish_reason is not None:
            yield sequence, shown


def generate_all(settings: GeneratorSettings, sequences: Sequence[GeneratedSequence]) -> list[str]:
    """Return the complete texts of sequences, in their order."""
    waiting = deque(sequences)
    texts: dict[GeneratedSequence, list[str]] = {sequence: [] for sequence in sequences}
    for sequence, shown in generate(settings, lambda _: waiting.popleft() if waiting else None):
        texts[sequence].append(shown)
    return ["".join(texts[sequence]) for sequence in sequences]


def generate_pieces(settings: GeneratorSettings, continuation: Continuation) -> Iterator[Piece]:
    """Yield a text piece by piece, as soon as characters are certain."""
    waiting = [continuation]
    for _, text in generate(settings, lambda _: waiting.pop() if waiting else None):
        nats, continuation.shown_nats = continuation.shown_nats, []
        yield Piece(text, nats, continuation.finish_reason)


def top_tokens(settings: GeneratorSettings, seed: str) -> list[tuple[str | int | None, float]]:
    """Return all tokens after a seed text with their probabilities; see `Model.top_tokens`."""
    network, ends_in_space = settings.network, seed.endswith(" ")
    continuation = Continuation(settings, seed, (0,), may_continue_word=ends_in_space)
    state = network.zero_state(1)
    for token in continuation.unread:
        features, state = network.step(np.array([token]), state)
    logits = network.logits(features)[0]
    continuation.require_given(logits)
    continuation.process(logits)
    probabilities = next_token_probabilities(logits, settings.config)
    pieces = [*settings.tokenizer.pieces, None]
    order = np.argsort(-probabilities, kind="stable").tolist()
    return [(pieces[token], float(probabilities[token])) for token in order]
