"""Lines, scored as they come."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import MOST_LINE_SCORES
from charlm.config import ModelConfig
from charlm.corpus.ids import EncodedText
from charlm.corpus.items import BOUNDARIES, check_pairs
from charlm.corpus.layout import BURN_IN, Passages
from charlm.inference.runtime import Network
from charlm.inference.scoring import Score, nats_of_ids, score_items
from charlm.tokenizers import Tokenizer
from charlm.tokenizers.base import utf8

MOST_LINES = 256  # of a lot that is made of single lines
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
    """Yield the scores of each lot's lines, each read from nothing, and its end predicted.

    A line of a running text ends with a line end, whether it has one or not. Of lines and pairs
    an empty one is no item, and its score is 0.

    Raises:
        CorpusError: If pairs are wanted and a line is none.
    """
    config = runtime.config
    number = 1
    for lines in lots:
        items = [_item(line, config) for line in lines]
        if config.form == "pairs":
            check_pairs(items, "the text", first=number, hint="the model is one of pairs")
        number += len(items)
        scores = iter(score_items(runtime, tokenizer, [item for item in items if item]))
        yield [next(scores) if item else Score() for item in items]


def score_stream(
    runtime: Network, tokenizer: Tokenizer, lots: Iterable[Sequence[str]]
) -> Iterator[list[Score]]:
    """Yield the scores of each lot's lines, which are read on from one another.

    What was read before a lot is read again with it, as far as it counts.
    """
    read = np.empty(0, tokenizer.id_dtype)
    for lines in lots:
        encoded = [tokenizer.encode(line) for line in lines]
        ids = np.concatenate([read, *encoded])
        begin, first, stop = (np.array([place]) for place in (0, len(read), len(ids)))
        nats = nats_of_ids(runtime, Passages(ids, tokenizer.boundary_id, begin, first, stop))
        counts = [len(each) for each in encoded]
        line = np.repeat(np.arange(len(lines)), counts)
        sums = np.bincount(line, nats[len(read) :], minlength=len(lines))
        yield [
            Score(nats=each, tokens=tokens, characters=len(text), bytes=len(utf8(text)))
            for each, tokens, text in zip(sums.tolist(), counts, lines, strict=True)
        ]
        read = ids[-BURN_IN:]


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


def _item(line: str, config: ModelConfig) -> str:
    """Return what is scored of a line, with or without its end."""
    line = line.removesuffix("\n")
    return f"{line}\n" if config.form == "text" else line.removesuffix("\r")


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
