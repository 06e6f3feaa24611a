"""The score of each token of a text, with the tokens that were likelier."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig
from charlm.config.patterns import UserPattern, user_pattern
from charlm.corpus.masks import masked_lines, offsets_of_masked
from charlm.errors import CorpusError
from charlm.inference.runtime import Floats, Network
from charlm.inference.scoring import (
    Nats,
    check_context,
    located_examples,
    predict_windows,
    segments_of,
    windows_of,
)
from charlm.tokenizers import Ids, Tokenizer
from charlm.tokenizers.base import lengths

Integers = NDArray[np.int64]

LONGEST_TEXT = 1 << 25  # characters; each takes some 120 bytes of memory

_WORD = re.compile(r"\s*\n|[^\S\n]*\S+|\s+$")


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """The scores of the N scored tokens of a text, in their order.

    Attributes:
        text: The raw text.
        pieces: The token of each id: a text, a byte, or None for the end of an example.
        ids: Token ids, shape (N,).
        start: Where in the text each token begins, in characters, shape (N,). Tokens that are
            bytes of one character all begin with it.
        stop: Where each token ends, exclusive, shape (N,).
        nats: −ln p of each token, shape (N,). The sum is the score of the text.
        entropy: The expected value of `nats` before each token, shape (N,).
        rank: One more than the number of likelier tokens: 1 is the likeliest, shape (N,).
        top_tokens: The ids of the K likeliest tokens, the likeliest first, shape (N, K).
        top_nats: −ln p of these, shape (N, K).
        tokens: How many tokens an entry joins, shape (N,).
        bytes: How many of these are bytes of spelled characters, shape (N,).
    """

    text: str
    pieces: Sequence[str | int | None] = field(repr=False)
    ids: Integers
    start: Integers
    stop: Integers
    nats: Nats
    entropy: Nats
    rank: Integers
    top_tokens: Integers
    top_nats: Floats
    tokens: Integers
    bytes: Integers

    def after(self, offset: int) -> "TokenScores":
        """Return the scores of the tokens that begin at `offset` characters or later."""
        are_kept = self.start >= offset
        shortened = {
            name: getattr(self, name)[are_kept]
            for name in (
                "ids", "nats", "entropy", "rank", "top_tokens", "top_nats", "tokens", "bytes",
            )
        }  # fmt: skip
        return replace(
            self,
            text=self.text[offset:],
            start=self.start[are_kept] - offset,
            stop=self.stop[are_kept] - offset,
            **shortened,
        )

    def character_nats(self) -> list[float]:
        """Return −ln p of each character of the text; 0 where nothing is scored.

        The characters of a token have equal shares of its score.
        """
        sizes = self.stop - self.start
        offsets = np.repeat(self.start - (sizes.cumsum() - sizes), sizes) + np.arange(sizes.sum())
        shares = np.repeat(self.nats / np.maximum(sizes, 1), sizes)
        result: list[float] = np.bincount(offsets, shares, minlength=len(self.text)).tolist()
        return result

    def by_character(self) -> "TokenScores":
        """Return the scores with the bytes of each character joined into one entry."""
        is_byte = np.array([isinstance(piece, int) for piece in self.pieces])[self.ids]
        continues = is_byte[1:] & is_byte[:-1] & (self.start[1:] == self.start[:-1])
        return self._grouped(~continues)

    def by_word(self, pattern: UserPattern | str | None = None) -> "TokenScores":
        """Return the scores with the tokens of each word joined into one entry.

        A word is the text between white space, or a match of the regular expression `pattern`,
        which leaves other words between its matches. It includes the white space before it. Line
        ends, the end of an example and the white space after the last word are entries of their
        own.
        """
        if isinstance(pattern, str):
            pattern = user_pattern("words", pattern)
        words = np.array(_word_starts(self.text, pattern), np.int64)
        of_word = np.searchsorted(words, self.start, side="right")
        is_end = np.array([piece is None for piece in self.pieces])[self.ids]
        return self._grouped((of_word[1:] != of_word[:-1]) | is_end[1:] | is_end[:-1])

    def _grouped(self, begins: NDArray[np.bool_]) -> "TokenScores":
        """Return one entry for each group of tokens.

        `begins` is whether a group begins with a token, for all but the first, shape (N − 1,).
        Surprisal and entropy are sums. Id, rank and top tokens are those of the token with the
        highest surprisal in the group.
        """
        if begins.all():
            return self
        first = np.flatnonzero(np.append(True, begins))
        group = np.repeat(np.arange(len(first)), np.diff(first, append=len(self.ids)))
        highest = np.lexsort((-self.nats, group))[first]
        return replace(
            self,
            ids=self.ids[highest],
            start=self.start[first],
            stop=np.maximum.reduceat(self.stop, first),
            nats=np.add.reduceat(self.nats, first),
            entropy=np.add.reduceat(self.entropy, first),
            rank=self.rank[highest],
            top_tokens=self.top_tokens[highest],
            top_nats=self.top_nats[highest],
            tokens=np.add.reduceat(self.tokens, first),
            bytes=np.add.reduceat(self.bytes, first),
        )


def _word_starts(text: str, pattern: UserPattern | None) -> list[int]:
    """Return where words begin, the white space before each included."""
    starts = [match.start() for match in _WORD.finditer(text)]
    if pattern is None:
        return starts
    [spans] = pattern.spans([text])
    inside = np.zeros(len(text) + 1, np.bool_)
    for start, stop in spans:
        inside[start + 1 : stop] = True
    starts = [start for start in starts if not inside[start]]
    for start, stop in spans:
        while start > 0 and text[start - 1] in " \t":
            start -= 1
        starts += [start, stop]
    return sorted(set(starts))


def score_tokens(
    runtime: Network,
    tokenizer: Tokenizer,
    text: str,
    *,
    top_tokens: int,
    context: str = "",
    name: str,
) -> TokenScores:
    """Return the score of each token of `text`, read as `score_text` reads it.

    The `top_tokens` likeliest tokens of each position are returned too. The `context` is read
    before the text and not scored.

    Raises:
        ConfigError: If the model cannot read a context before the text.
        CorpusError: If the model is of pairs and a line is not a pair, or the text is too long.
    """
    if len(text) > LONGEST_TEXT:
        raise CorpusError(
            f"{name} has {len(text):,} characters; the scores of tokens are for texts of at most "
            f"{LONGEST_TEXT:,}",
            hint="cut it: split -C 32m FILE",
        )
    config = runtime.config
    check_context(context, config)
    text = context + text
    located = located_examples(text, config, name)
    if config.columns is not None:  # in the order of source, features and target
        text = "".join(f"{example}\n" for _, example in located)
        located = located_examples(text, replace(config, columns=None), name)
    examples = masked_lines([example for _, example in located], config.mask)
    windows = windows_of(examples, tokenizer, config)
    ids, size = windows.ids, len(windows.ids)
    shape = (size, min(top_tokens, config.outputs(tokenizer.vocab_size)))
    nats, entropy, rank = np.zeros(size), np.zeros(size), np.zeros(size, np.int64)
    likeliest, likeliest_nats = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    for _, features, positions in predict_windows(runtime, segments_of(windows, config)[0]):
        logits = runtime.logits(features)
        targets = ids[positions][:, None].astype(np.int64)
        target_logits = np.take_along_axis(logits, targets, axis=-1)
        top = _likeliest(logits, shape[1])
        top_logits = np.take_along_axis(logits, top, axis=-1)
        highest = top_logits[:, :1]
        shifted = logits - highest
        probabilities = np.exp(shifted)
        total = probabilities.sum(axis=-1)
        log_total = np.log(total)
        shifted *= probabilities
        rank[positions] = 1 + (logits > target_logits).sum(axis=-1)
        nats[positions] = log_total - (target_logits - highest)[:, 0]
        entropy[positions] = log_total - shifted.sum(axis=-1) / total
        likeliest[positions] = top
        likeliest_nats[positions] = log_total[:, None] - (top_logits - highest)
    order = np.flatnonzero(rank)
    is_mirrored = config.direction == "backward"
    start, stop = _spans(located, ids[::-1] if is_mirrored else ids, tokenizer, config)
    if is_mirrored:
        order, start, stop = order[::-1], start[::-1], stop[::-1]
    pieces = (*tokenizer.pieces, None)
    is_byte = np.array([isinstance(piece, int) for piece in pieces], np.int64)
    scores = TokenScores(
        text=text,
        pieces=pieces,
        ids=ids[order].astype(np.int64),
        start=start[order],
        stop=np.minimum(stop[order], len(text)),  # a last line may have no line end
        nats=nats[order],
        entropy=entropy[order],
        rank=rank[order],
        top_tokens=likeliest[order],
        top_nats=likeliest_nats[order],
        tokens=np.ones(len(order), np.int64),
        bytes=is_byte[ids[order]],
    )
    return scores.after(len(context)) if context else scores


def _likeliest(logits: Floats, count: int) -> Integers:
    """Return the ids of the `count` largest logits, the largest first, shape (N, count)."""
    if count == 1:
        best: Integers = logits.argmax(axis=-1)[:, None]
        return best
    largest = np.argpartition(logits, -count, axis=-1)[:, -count:]
    order = np.argsort(-np.take_along_axis(logits, largest, axis=-1), axis=-1, kind="stable")
    result: Integers = np.take_along_axis(largest, order, axis=-1)
    return result


def _spans(
    located: Sequence[tuple[int, str]], ids: Ids, tokenizer: Tokenizer, config: ModelConfig
) -> tuple[Integers, Integers]:
    """Return where in the text each id begins and ends.

    `located` has the examples and where each begins; `ids` are in the order of the text, with
    boundaries. The end of an example is at the line end after it. In a text that is read from its
    end, it is an empty span before the example.
    """
    end = len("\n") if config.task != "text" else 0
    if config.predicts_end:
        end = len(config.document_separator or "")
    length, goes_on = lengths(tokenizer)
    length = np.append(length, end)[ids]
    length[:1] = 0  # the boundary before everything
    after = length.cumsum()
    start = np.where(np.append(goes_on, False)[ids], after - 1, after - length)
    begins = np.array([begin for begin, _ in located], np.int64)
    if not len(begins):
        return start, after
    if config.mask is None:
        sizes = np.array([len(example) + end for _, example in located], np.int64)
    else:
        lines = [example for _, example in located]
        offsets = [
            begin + np.append(line_offsets, line_offsets[-1] + end)
            for begin, line_offsets in zip(
                begins, offsets_of_masked(lines, config.mask), strict=True
            )
        ]
        sizes = np.array([len(line_offsets) - 1 for line_offsets in offsets], np.int64)
    joined = sizes.cumsum() - sizes  # where each example would begin without gaps between them
    example = np.maximum(np.searchsorted(joined, start, side="right") - 1, 0)
    if config.mask is None:
        shift = begins[example] - joined[example]
        start, stop = start + shift, after + shift
    else:  # an example has one offset more than it has characters
        in_text = np.concatenate(offsets)
        start, stop = in_text[start + example], in_text[after + example]
    if config.direction == "backward" and config.predicts_boundary:
        is_end = np.flatnonzero(ids == tokenizer.boundary_id)[:-1]
        start[is_end] = stop[is_end] = begins
    return start, stop
