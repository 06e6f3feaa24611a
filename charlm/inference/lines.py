"""Lines, scored as they come."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import MOST_LINE_SCORES, Checkpoint
from charlm.config import ModelConfig
from charlm.corpus.ids import EncodedText
from charlm.corpus.items import BOUNDARIES, check_pairs, scored_text
from charlm.corpus.layout import BURN_IN, SEGMENT_LENGTH, Passages
from charlm.inference.runtime import Network, Runtime, State
from charlm.inference.scoring import (
    LONGEST_WINDOW,
    Nats,
    Score,
    nats_of_ids,
    negative_log_softmax,
    passages_of,
    scores_of,
)
from charlm.tokenizers import Ids, Tokenizer
from charlm.tokenizers.base import utf8

MOST_LINES = 4096  # of a lot that is made of single lines
# Of the held-out lines; more would not tell a percentile better, and take longer than a second.
MOST_CHARACTERS = 1 << 16


def lots_of(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield lines in lots of 1, 2, 4 … MOST_LINES: the first soon, all of them fast."""
    lot: list[str] = []
    size = 1
    for line in lines:
        lot.append(line)
        if len(lot) == size:
            yield lot
            lot, size = [], min(2 * size, MOST_LINES)
    if lot:
        yield lot


def score_lots(
    runtime: Network, tokenizer: Tokenizer, lots: Iterable[Sequence[str]]
) -> Iterator[list[Score]]:
    """Yield the scores of each lot's lines, each for itself, and its end predicted.

    A line of a running text is read after a line end, as lines are. An empty line has score 0.

    Raises:
        CorpusError: If pairs are wanted and a line is none.
    """
    form = runtime.config.form
    number = 1
    for lines in lots:
        items = [line.removesuffix("\n") for line in lines]
        if form != "text":
            items = [item.removesuffix("\r") for item in items]
        if form == "pairs":
            check_pairs(items, "the text", first=number, hint="the model is one of pairs")
        number += len(items)
        found = [item for item in items if item]
        scores = iter(_scores(runtime, tokenizer, found))
        yield [next(scores) if item else Score() for item in items]


def _scores(runtime: Network, tokenizer: Tokenizer, items: Sequence[str]) -> list[Score]:
    """Return the scores of lines that are not empty, without their ends."""
    config = runtime.config
    if config.form != "text":
        passages = passages_of(items, tokenizer, config)
        return scores_of(runtime, passages, (scored_text(item, config.form) for item in items))
    texts = [f"{item}\n" for item in items]
    passages = passages_of([f"\n{text}" for text in texts], tokenizer, config)
    return scores_of(runtime, replace(passages, first=passages.begin + 1), texts)


def score_stream(
    runtime: Network, tokenizer: Tokenizer, lots: Iterable[Sequence[str]]
) -> Iterator[list[Score]]:
    """Yield the scores of each lot's lines, which are read on from one another.

    A few lines are read one token after another. Many are cut into passages like a long text.
    """
    boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
    read = boundary[:0]  # the last ids
    state: State | None = runtime.zero_state(1)  # before the last of them; None if not known
    for lines in lots:
        encoded = [tokenizer.encode(line) for line in lines]
        counts = [len(each) for each in encoded]
        ids = np.concatenate([read, *encoded])
        if sum(counts) < 2 * SEGMENT_LENGTH:
            if state is None:
                _, state = _read_on(runtime, boundary, read, runtime.zero_state(1))
            last = read[-1:] if len(read) else boundary
            nats, state = _read_on(runtime, last, ids[len(read) :], state)
        else:
            begin, first, stop = (np.array([place]) for place in (0, len(read), len(ids)))
            passages = Passages(ids, tokenizer.boundary_id, begin, first, stop)
            nats, state = nats_of_ids(runtime, passages)[len(read) :], None
        sums = np.bincount(np.repeat(np.arange(len(lines)), counts), nats, minlength=len(lines))
        yield [
            Score(nats=each, tokens=tokens, characters=len(text), bytes=len(utf8(text)))
            for each, tokens, text in zip(sums.tolist(), counts, lines, strict=True)
        ]
        read = ids[-BURN_IN:]


def _read_on(runtime: Network, before: Ids, ids: Ids, state: State) -> tuple[Nats, State]:
    """Return −ln p of ids, given the one before them, and the state before the last of them."""
    nats = np.zeros(len(ids))
    inputs = np.concatenate([before, ids])[:-1]
    for place in range(0, len(ids), LONGEST_WINDOW):
        some = slice(place, place + LONGEST_WINDOW)
        features = []
        for each in inputs[some]:
            last, state = runtime.step(each[None], state)
            features.append(last)
        logits = runtime.logits(np.concatenate(features))
        nats[some] = negative_log_softmax(logits, ids[some])
    return nats, state


def with_line_scores(checkpoint: Checkpoint, held_out: EncodedText) -> Checkpoint:
    """Return a checkpoint that holds how lines of a held-out text score under it."""
    one_way = checkpoint.one_way(checkpoint.config.directions[0])
    network = Runtime(one_way.config, one_way.arrays)
    return replace(checkpoint, line_scores=line_scores(network, checkpoint.tokenizer, held_out))


def line_scores(
    runtime: Network, tokenizer: Tokenizer, held_out: EncodedText
) -> NDArray[np.float32]:
    """Return how held-out lines score: quantiles in bits per character, ascending.

    They are evenly spaced, from the smallest score to the largest; each line's own where there are
    fewer than MOST_LINE_SCORES; none where there are no lines. Of a long text some lines stand for
    all.
    """
    lines = [line for line in _lines_of(held_out, tokenizer, runtime.config) if line]
    lines = lines[:: -(-sum(map(len, lines)) // MOST_CHARACTERS) or 1]
    lots = [[line for line in lines if len(line) <= MOST_CHARACTERS]]
    scores = [
        each.bits_per_character for lot in score_lots(runtime, tokenizer, lots) for each in lot
    ]
    if not scores:
        return np.empty(0, np.float32)
    shares = np.linspace(0, 1, min(len(scores), MOST_LINE_SCORES))
    return np.quantile(scores, shares).astype(np.float32)


def _lines_of(text: EncodedText, tokenizer: Tokenizer, config: ModelConfig) -> Iterator[str]:
    """Yield the lines of a text that has been encoded."""
    bounds = text.boundaries[:: BOUNDARIES.get(config.form, 1)].tolist()
    for before, after in pairwise(bounds):
        ids = text.ids[before + 1 : after]
        if config.form == "pairs":
            source, target = np.split(ids, np.flatnonzero(ids == tokenizer.boundary_id))
            yield f"{tokenizer.decode(source)}\t{tokenizer.decode(target[1:])}"
        else:
            yield from tokenizer.decode(ids).split("\n")
