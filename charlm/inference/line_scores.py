"""The scores of lines: in batches, one after another, and of the held-out text."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import MOST_LINE_SCORES, Checkpoint
from charlm.config import ModelConfig
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.examples import BOUNDARIES, check_pairs, is_pair, scored_text
from charlm.corpus.masks import masked_lines
from charlm.corpus.windows import CONTEXT_LENGTH, SEGMENT_LENGTH, Windows, prefix_of
from charlm.errors import ConfigError
from charlm.inference.runtime import Network, Runtime, State
from charlm.inference.scoring import (
    LONGEST_BATCH,
    PAIRS_HINT,
    Nats,
    Score,
    nats_of_ids,
    negative_log_softmax,
    scores_of,
    windows_of,
)
from charlm.tokenizers import Ids, Tokenizer
from charlm.tokenizers.base import lengths, utf8

MOST_LINES = 4096  # of a batch
# Of the held-out lines. More would hardly change a percentile and take longer than half a second.
MOST_CHARACTERS = 1 << 15
ROUNDING = 1e-4  # bits per character, by which the score of a line may vary with those beside it
MOST_DECODED = 1 << 20  # ids; of a longer running text, every n-th part is decoded
PART = 1 << 14  # ids of such a part


def batches_of(lines: Iterable[str], *, carry: bool = False) -> Iterator[list[str]]:
    """Yield lines in batches of 1, 2, 4 … MOST_LINES: the first soon, all of them fast.

    With `carry` no batch begins with an empty line, because several line ends may be one token.
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
    """Yield the scores of the lines of each batch. Each line is read alone; its end is predicted.

    A line of running text is scored as a text of one line. A blank line has score 0.

    Raises:
        CorpusError: If the model is of pairs and a line of `name` is not a pair. The scores of the
            lines before it are yielded first.
        ValueError: If a line holds a line end before its own.
    """
    task = runtime.config.task
    number = 1
    for batch in batches:
        lines = [line.removesuffix("\n") for line in batch]
        lines = [
            line.removesuffix("\r") if task != "text" or line == "\r" else line for line in lines
        ]
        if any("\n" in line for line in lines):
            raise ValueError("a line holds a line end before its own")
        valid = list(itertools.takewhile(is_pair, lines)) if task == "pairs" else lines
        # A blank line is no example. In running text only an empty line has nothing to score.
        are_scored = [bool(line if task == "text" else line.strip()) for line in valid]
        scored = [line for line, is_scored in zip(valid, are_scored, strict=True) if is_scored]
        scored_lines = masked_lines(scored, runtime.config.mask)
        scores = iter(_scores(runtime, tokenizer, scored_lines))
        yield [next(scores) if is_scored else Score() for is_scored in are_scored]
        if len(valid) < len(lines):
            check_pairs(lines, name, first=number, hint=PAIRS_HINT)
        number += len(lines)


def _scores(runtime: Network, tokenizer: Tokenizer, lines: Sequence[str]) -> list[Score]:
    """Return the scores of lines that are not empty, given without their ends."""
    config = runtime.config
    if config.task != "text":
        windows = windows_of(lines, tokenizer, config)
        return scores_of(runtime, windows, (scored_text(line, config.task) for line in lines))
    texts = [f"{line}\n" for line in lines]
    return scores_of(runtime, windows_of(texts, tokenizer, config), texts)


def check_carry(config: ModelConfig) -> None:
    """Raise ConfigError if the state of a model cannot be carried from line to line."""
    if config.task != "text" or config.document_separator is not None:
        task = "documents" if config.task == "text" else config.task
        raise ConfigError(
            f"a model of {task} starts each one from the zero state, so it cannot carry its state",
            hint="leave out --carry",
        )
    if config.direction == "backward":
        raise ConfigError(
            "--carry reads forward, and this model reads backward", hint="leave out --carry"
        )


def score_stream(
    runtime: Network, tokenizer: Tokenizer, batches: Iterable[Sequence[str]]
) -> Iterator[list[Score]]:
    """Yield the scores of the lines of each batch, all read as one stream.

    A short batch is read token by token. A long one is cut into windows like a long text. A token
    belongs to the line that it begins in. If a batch begins with an empty line, its line end and
    the one before cannot share a token, so the sum is a little larger than the text's score.
    """
    length, _ = lengths(tokenizer)
    boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
    prefix = prefix_of(tokenizer, runtime.config)
    # The last ids that were read.
    context = boundary if prefix is None else np.concatenate([boundary, prefix])
    state: State | None = None  # before the last of them; None if not computed
    for lines in batches:
        new = tokenizer.encode("".join(lines))
        ids = np.concatenate([context, new])
        if len(new) < 2 * SEGMENT_LENGTH:
            if state is None:
                before = boundary if prefix is None else context[:1]
                _, state = _read_on(runtime, before, context[1:], runtime.zero_state(1))
            nats, state = _read_on(runtime, context[-1:], new, state)
        else:
            begin, first, stop = (np.array([bound]) for bound in (1, len(context), len(ids)))
            head = None if prefix is None else prefix[:0]  # the prefix is in the context
            windows = Windows(ids, tokenizer.boundary_id, begin, first, stop, head)
            nats, state = nats_of_ids(runtime, windows)[len(context) :], None
        ends = np.cumsum([len(line) for line in lines])
        # The later bytes of a character begin with it: one before the end of what is read.
        starts = length[new].cumsum() - np.maximum(length[new], 1)
        line = np.searchsorted(ends, starts, "right")
        sums, counts = np.bincount(line, nats, len(lines)), np.bincount(line, minlength=len(lines))
        yield [
            Score(nats=line_nats, tokens=tokens, characters=len(text), bytes=len(utf8(text)))
            for line_nats, tokens, text in zip(sums.tolist(), counts.tolist(), lines, strict=True)
        ]
        context = ids[-CONTEXT_LENGTH - 1 :]


def _read_on(runtime: Network, before: Ids, ids: Ids, state: State) -> tuple[Nats, State]:
    """Return −ln p of each of `ids`, and the state before the last of them.

    `before` is the id before the first, shape (1,); `state` is the state before it is read.
    """
    nats = np.zeros(len(ids))
    inputs = np.concatenate([before, ids])[:-1]
    for start in range(0, len(ids), LONGEST_BATCH):
        part = slice(start, start + LONGEST_BATCH)
        rows = []
        for token in inputs[part]:
            features, state = runtime.step(token[None], state)
            rows.append(features)
        logits = runtime.logits(np.concatenate(rows))
        nats[part] = negative_log_softmax(logits, ids[part])
    return nats, state


def with_line_scores(checkpoint: Checkpoint, held_out: EncodedText) -> Checkpoint:
    """Return the checkpoint with the scores of the lines of a held-out text."""
    for_direction = checkpoint.for_direction(checkpoint.config.directions[0])
    network = Runtime(for_direction.config, for_direction.arrays)
    return replace(checkpoint, line_scores=line_scores(network, checkpoint.tokenizer, held_out))


def line_scores(
    runtime: Network, tokenizer: Tokenizer, held_out: EncodedText
) -> NDArray[np.float32]:
    """Return quantiles of the scores of held-out lines, in bits per character, ascending.

    The quantiles are evenly spaced from the smallest score to the largest. Fewer than
    MOST_LINE_SCORES lines have one each; fewer than two lines have none. In a long text some lines
    stand for all.
    """
    all_lines = _lines_of(held_out, tokenizer, runtime.config)
    lines = [line for line in all_lines if line.strip("\r") and len(line) <= MOST_CHARACTERS]
    lines = lines[:: -(-sum(map(len, lines)) // MOST_CHARACTERS) or 1]
    if len(lines) < 2:
        return np.empty(0, np.float32)
    scores = _scores(runtime, tokenizer, lines)  # their masks are marks already
    shares = np.linspace(0, 1, min(len(scores), MOST_LINE_SCORES))
    return np.quantile([score.bits_per_character for score in scores], shares).astype(np.float32)


def percentile(line_scores: NDArray[np.float32], bits_per_character: float) -> float:
    """Return the percentage of held-out lines with a lower score, interpolated, in [0, 100].

    Scores that differ by less than ROUNDING are equal, so that a common line is never above itself.

    Raises:
        ConfigError: If there are no line scores.
    """
    if not len(line_scores):
        raise ConfigError(
            "the model holds no scores of held-out lines, so it cannot compute percentiles",
            hint="train again with two or more held-out lines: --validation-fraction",
        )
    shares = np.linspace(0, 100, len(line_scores))
    return float(np.interp(bits_per_character - ROUNDING, line_scores, shares))


def _lines_of(text: EncodedText, tokenizer: Tokenizer, config: ModelConfig) -> Iterator[str]:
    """Yield the lines of an encoded text; of a very long one, an evenly spread share."""
    step = -(-len(text.ids) // MOST_DECODED)
    if config.task == "text" and step > 1:
        for start in range(0, len(text.ids), PART * step):
            part = text.ids[start : start + PART]
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
