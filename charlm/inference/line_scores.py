"""The scores of lines: in batches, one after another, and of the held-out text."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import MOST_LINE_SCORES, Checkpoint
from charlm.config import LARGE_VOCABULARIES, ModelConfig
from charlm.corpus.columns import LineLayout
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.examples import BOUNDARIES, scored_text
from charlm.corpus.masks import masked, masked_lines
from charlm.corpus.windows import CONTEXT_LENGTH, SEGMENT_LENGTH, Windows, prefix_of
from charlm.errors import ConfigError
from charlm.inference.combination import network_of
from charlm.inference.runtime import Network, State
from charlm.inference.scoring import (
    COLUMNS_HINT,
    LONGEST_BATCH,
    Nats,
    Score,
    check_context,
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
LONGEST_LINE_ENDS = 16  # that are one pre-token
MOST_DECODED = 1 << 20  # ids; of a longer running text, every n-th part is decoded
PART = 1 << 14  # ids of such a part


def batches_of(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield lines in batches of 1, 2, 4 … MOST_LINES: the first soon, all of them fast."""
    source, size = iter(lines), 1
    while batch := list(itertools.islice(source, size)):
        yield batch
        size = min(2 * size, MOST_LINES)


def score_batches(
    runtime: Network,
    tokenizer: Tokenizer,
    batches: Iterable[Sequence[str]],
    *,
    context: str = "",
    name: str,
) -> Iterator[list[Score]]:
    """Yield the scores of the lines of each batch. Each line is read alone; its end is predicted.

    A line of running text is scored as a text of one line. A blank line has score 0. The `context`
    is read before each line, whose end is then not predicted in running text.

    Raises:
        ConfigError: If the model cannot read a context before a line.
        CorpusError: If the model is of pairs and a line of `name` is not a pair. The scores of the
            lines before it are yielded first.
        ValueError: If a line holds a line end before its own.
    """
    task, layout = runtime.config.task, LineLayout.of(runtime.config)
    check_context(context, runtime.config)
    context = masked(context, runtime.config.mask)
    number = 1
    for batch in batches:
        lines = [line.removesuffix("\n") for line in batch]
        lines = [
            line.removesuffix("\r") if task != "text" or line == "\r" else line for line in lines
        ]
        if any("\n" in line for line in lines):
            raise ValueError("a line holds a line end before its own")
        valid = list(itertools.takewhile(layout.is_example, lines))
        # A blank line is no example. In running text only an empty line has nothing to score.
        are_scored = [bool(line if task == "text" else line.strip()) for line in valid]
        scored = [
            layout.example(line) if layout.has_columns else line
            for line, is_scored in zip(valid, are_scored, strict=True)
            if is_scored
        ]
        scored_lines = masked_lines(scored, runtime.config.mask)
        scores = iter(_scores(runtime, tokenizer, scored_lines, context))
        yield [next(scores) if is_scored else Score() for is_scored in are_scored]
        if len(valid) < len(lines):
            layout.check(lines, name, first=number, hint=COLUMNS_HINT)
        number += len(lines)


def _scores(
    runtime: Network, tokenizer: Tokenizer, lines: Sequence[str], context: str = ""
) -> list[Score]:
    """Return the scores of lines that are not empty, given without their ends."""
    config = runtime.config
    if context:
        windows = windows_of([context + line for line in lines], tokenizer, config)
        first = np.minimum(windows.first + len(tokenizer.encode(context)), windows.stop)
        return scores_of(runtime, replace(windows, first=first), lines)
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

    The scores add up to the score of the text, however it is cut into batches. A token belongs to
    the line that it begins in. Where line ends are one token that two batches share, the first line
    of the second batch gets what this token costs more than the line end before, or less.

    Raises:
        ConfigError: If the state of the model cannot be carried.
    """
    check_carry(runtime.config)
    stream = _Stream(runtime, tokenizer)
    return map(stream.score, batches)


class _Stream:
    """A text that is scored as it arrives."""

    def __init__(self, runtime: Network, tokenizer: Tokenizer) -> None:
        self._runtime, self._tokenizer = runtime, tokenizer
        boundary = np.array([tokenizer.boundary_id], tokenizer.id_dtype)
        prefix = prefix_of(tokenizer, runtime.config)
        self._prefix = prefix
        # The last ids that were read, and the state before the last of them; None if not computed.
        self._context = boundary if prefix is None else np.concatenate([boundary, prefix])
        self._state: State | None = None
        self._length, _ = lengths(tokenizer)
        # Line ends that may be one token with those that follow: their text, their nats and
        # tokens, and context and state before them.
        self._open_end = ""
        self._of_open_end = 0.0, 0
        self._before_open_end: tuple[Ids, State | None] = self._context, self._state

    def score(self, lines: Sequence[str]) -> list[Score]:
        """Return the scores of the next lines."""
        text = "".join(lines)
        again = self._open_end if text.startswith("\n") else ""
        if again:
            self._context, self._state = self._before_open_end
        text = again + text
        open_end = ""
        if self._tokenizer.kind in LARGE_VOCABULARIES:
            open_end = "\n" * ((len(text) - len(text.rstrip("\n"))) % LONGEST_LINE_ENDS)
        ids = self._tokenizer.encode(text.removesuffix(open_end))
        end_ids = self._tokenizer.encode(open_end)
        nats = self._read(ids)
        self._before_open_end = self._context, self._state
        end_nats = self._read(end_ids)
        ids, nats = np.concatenate([ids, end_ids]), np.concatenate([nats, end_nats])
        ends = len(again) + np.cumsum([len(line) for line in lines])
        # The later bytes of a character begin with it: one before the end of what is read.
        starts = self._length[ids].cumsum() - np.maximum(self._length[ids], 1)
        line = np.searchsorted(ends, starts, "right")
        sums, counts = np.bincount(line, nats, len(lines)), np.bincount(line, minlength=len(lines))
        if again:
            sums[0] -= self._of_open_end[0]
            counts[0] -= self._of_open_end[1]
        self._open_end, self._of_open_end = open_end, (float(end_nats.sum()), len(end_ids))
        return [
            Score(nats=line_nats, tokens=tokens, characters=len(text), bytes=len(utf8(text)))
            for line_nats, tokens, text in zip(sums.tolist(), counts.tolist(), lines, strict=True)
        ]

    def _read(self, ids: Ids) -> Nats:
        """Return −ln p of the next ids. A few are read one by one, many in windows."""
        if not len(ids):
            return np.zeros(0)
        context, state = self._context, self._state
        read = np.concatenate([context, ids])
        if len(ids) < 2 * SEGMENT_LENGTH:
            if state is None:
                before = context[:1]
                _, state = _read_on(self._runtime, before, context[1:], self._runtime.zero_state(1))
            nats, self._state = _read_on(self._runtime, context[-1:], ids, state)
        else:
            begin, first, stop = (np.array([bound]) for bound in (1, len(context), len(read)))
            head = None if self._prefix is None else self._prefix[:0]  # it is in the context
            windows = Windows(read, self._tokenizer.boundary_id, begin, first, stop, head)
            nats, self._state = nats_of_ids(self._runtime, windows)[len(context) :], None
        self._context = read[-CONTEXT_LENGTH - 1 :]
        return nats


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
    """Return the checkpoint with the scores of the lines of a held-out text; no text, no scores."""
    if checkpoint.config.is_of_classes:
        return checkpoint
    for_direction = checkpoint.for_direction(checkpoint.config.directions[0])
    network = network_of(for_direction)
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
