"""Lines, scored as they come."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import MOST_LINE_SCORES, Checkpoint
from charlm.config import ModelConfig
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.examples import BOUNDARIES, check_pairs, is_pair, scored_text
from charlm.corpus.windows import CONTEXT_LENGTH, SEGMENT_LENGTH, Windows
from charlm.inference.runtime import Network, Runtime, State
from charlm.inference.scoring import (
    LONGEST_WINDOW,
    Nats,
    Score,
    nats_of_ids,
    negative_log_softmax,
    scores_of,
    windows_of,
)
from charlm.tokenizers import Ids, Tokenizer
from charlm.tokenizers.base import lengths, utf8

MOST_LINES = 4096  # of a lot that is made of single lines
# Of the held-out lines; more tell a percentile little better, and take longer than half a second.
MOST_CHARACTERS = 1 << 15
MOST_DECODED = 1 << 20  # ids; of a longer running text, parts of so many are taken
PART = 1 << 14


def batches_of(lines: Iterable[str], *, carry: bool = False) -> Iterator[list[str]]:
    """Yield lines in lots of 1, 2, 4 … MOST_LINES: the first soon, all of them fast.

    Those that carry on are not parted before an empty line, for line ends may be one token.
    """
    batch: list[str] = []
    size = 1
    for line in lines:
        if len(batch) >= size and not (carry and line.startswith("\n")):
            yield batch
            batch, size = [], min(2 * size, MOST_LINES)
        batch.append(line)
        if len(batch) == size and not carry:
            yield batch
            batch, size = [], min(2 * size, MOST_LINES)
    if batch:
        yield batch


def score_batches(
    runtime: Network, tokenizer: Tokenizer, batches: Iterable[Sequence[str]], *, name: str
) -> Iterator[list[Score]]:
    """Yield the scores of each lot's lines, each for itself, and its end predicted.

    A line of a running text is read after a line end, as lines are. An empty line has score 0.

    Raises:
        CorpusError: If pairs are wanted and a line of `name` is none; the scores of the lines
            before it are yielded first.
        ValueError: If a line holds a line end before its own.
    """
    task = runtime.config.task
    number = 1
    for lines in batches:
        items = [line.removesuffix("\n") for line in lines]
        items = [
            item.removesuffix("\r") if task != "text" or item == "\r" else item for item in items
        ]
        if any("\n" in item for item in items):
            raise ValueError("a line holds a line end before its own")
        good = list(itertools.takewhile(is_pair, items)) if task == "pairs" else items
        scores = iter(_scores(runtime, tokenizer, [item for item in good if item]))
        yield [next(scores) if item else Score() for item in good]
        if len(good) < len(items):
            check_pairs(items, name, first=number, hint="the model is one of pairs")
        number += len(items)


def _scores(runtime: Network, tokenizer: Tokenizer, items: Sequence[str]) -> list[Score]:
    """Return the scores of lines that are not empty, without their ends."""
    config = runtime.config
    if config.task != "text":
        windows = windows_of(items, tokenizer, config)
        return scores_of(runtime, windows, (scored_text(item, config.task) for item in items))
    texts = [f"{item}\n" for item in items]
    windows = windows_of([f"\n{text}" for text in texts], tokenizer, config)
    return scores_of(runtime, replace(windows, first=windows.begin + 1), texts)


def score_stream(
    runtime: Network, tokenizer: Tokenizer, batches: Iterable[Sequence[str]]
) -> Iterator[list[Score]]:
    """Yield the scores of each lot's lines, which are read on from one another.

    A few lines are read one token after another. Many are cut into passages like a long text. A
    token belongs to the line that it begins in. If a lot begins with an empty line, what would be
    one token with the line end before it is two, so the sum is a little larger than the text's.
    """
    length, _ = lengths(tokenizer)
    boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
    read = boundary[:0]  # the last ids
    state: State | None = runtime.zero_state(1)  # before the last of them; None if not known
    for lines in batches:
        new = tokenizer.encode("".join(lines))
        ids = np.concatenate([read, new])
        if len(new) < 2 * SEGMENT_LENGTH:
            if state is None:
                _, state = _read_on(runtime, boundary, read, runtime.zero_state(1))
            last = read[-1:] if len(read) else boundary
            nats, state = _read_on(runtime, last, new, state)
        else:
            begin, first, stop = (np.array([place]) for place in (0, len(read), len(ids)))
            windows = Windows(ids, tokenizer.boundary_id, begin, first, stop)
            nats, state = nats_of_ids(runtime, windows)[len(read) :], None
        ends = np.cumsum([len(line) for line in lines])
        # A byte that goes on with a character begins where the next one would, less one.
        line = np.searchsorted(ends, length[new].cumsum() - np.maximum(length[new], 1), "right")
        sums, counts = np.bincount(line, nats, len(lines)), np.bincount(line, minlength=len(lines))
        yield [
            Score(nats=each, tokens=tokens, characters=len(text), bytes=len(utf8(text)))
            for each, tokens, text in zip(sums.tolist(), counts.tolist(), lines, strict=True)
        ]
        read = ids[-CONTEXT_LENGTH:]


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
    for_direction = checkpoint.for_direction(checkpoint.config.directions[0])
    network = Runtime(for_direction.config, for_direction.arrays)
    return replace(checkpoint, line_scores=line_scores(network, checkpoint.tokenizer, held_out))


def line_scores(
    runtime: Network, tokenizer: Tokenizer, held_out: EncodedText
) -> NDArray[np.float32]:
    """Return how held-out lines score: quantiles in bits per character, ascending.

    They are evenly spaced, from the smallest score to the largest; each line's own where there are
    fewer than MOST_LINE_SCORES; none where there are not two lines. Of a long text some lines stand
    for all.
    """
    held = _lines_of(held_out, tokenizer, runtime.config)
    lines = [line for line in held if 0 < len(line) <= MOST_CHARACTERS]
    lines = lines[:: -(-sum(map(len, lines)) // MOST_CHARACTERS) or 1]
    [found] = score_batches(runtime, tokenizer, [lines], name="the held-out text")
    scores = [each.bits_per_character for each in found]
    if len(scores) < 2:
        return np.empty(0, np.float32)
    shares = np.linspace(0, 1, min(len(scores), MOST_LINE_SCORES))
    return np.quantile(scores, shares).astype(np.float32)


def _lines_of(text: EncodedText, tokenizer: Tokenizer, config: ModelConfig) -> Iterator[str]:
    """Yield the lines of a text that has been encoded; of a very long one, some."""
    step = -(-len(text.ids) // MOST_DECODED)
    if config.task == "text" and step > 1:
        for place in range(0, len(text.ids), PART * step):
            part = text.ids[place : place + PART]
            yield from tokenizer.decode(part[part != tokenizer.boundary_id]).split("\n")[1:-1]
        return
    bounds = text.boundaries[:: BOUNDARIES.get(config.task, 1)]
    for number in range(0, len(bounds) - 1, step):
        ids = text.ids[int(bounds[number]) + 1 : int(bounds[number + 1])]
        if config.task == "pairs":
            source, target = np.split(ids, np.flatnonzero(ids == tokenizer.boundary_id))
            yield f"{tokenizer.decode(source)}\t{tokenizer.decode(target[1:])}"
        else:
            yield from tokenizer.decode(ids).split("\n")
