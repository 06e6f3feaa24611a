"""A text, token by token: how surprising each one is, and what was expected instead."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig
from charlm.errors import CorpusError
from charlm.inference.runtime import Floats, Network
from charlm.inference.scoring import Nats, examples_of, predict_windows, windows_of
from charlm.tokenizers import Ids, Tokenizer
from charlm.tokenizers.base import lengths

Places = NDArray[np.int64]

# Characters of a text whose tokens are told; each takes some 120 bytes of memory.
LONGEST_TEXT = 1 << 25

_WORD = re.compile(r"\s*\n|[^\S\n]*\S+|\s+$")


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """What a model makes of each token of a text, N tokens that are scored, in their order.

    Attributes:
        text: The raw text.
        pieces: What the ids stand for: texts, bytes, and None for the end of an item.
        ids: Which token each is, shape (N,).
        start: Where in the text it begins, in characters, shape (N,). The bytes that spell a
            character all begin with it.
        stop: Where it ends, exclusive, shape (N,).
        nats: −ln p of each, shape (N,); their sum is the score of the text.
        entropy: What that was expected to be, in nats, shape (N,).
        rank: One more than there were likelier tokens: 1 is the likeliest, shape (N,).
        choices: The ids of the likeliest tokens, the likeliest first, shape (N, K).
        choice_nats: −ln p of these, shape (N, K).
    """

    text: str
    pieces: Sequence[str | int | None] = field(repr=False)
    ids: Places
    start: Places
    stop: Places
    nats: Nats
    entropy: Nats
    rank: Places
    choices: Places
    choice_nats: Floats

    def character_nats(self) -> list[float]:
        """Return −ln p of each character of the text; 0 where nothing is scored.

        The characters of a token have equal parts.
        """
        sizes = self.stop - self.start
        place = np.repeat(self.start - (sizes.cumsum() - sizes), sizes) + np.arange(sizes.sum())
        parts = np.repeat(self.nats / np.maximum(sizes, 1), sizes)
        result: list[float] = np.bincount(place, parts, minlength=len(self.text)).tolist()
        return result

    def by_character(self) -> "TokenScores":
        """Return the same with the bytes that spell one character taken together."""
        is_byte = np.array([isinstance(piece, int) for piece in self.pieces])[self.ids]
        begins = np.ones(len(self.ids), np.bool_)
        goes_on = is_byte[1:] & is_byte[:-1] & (self.start[1:] == self.start[:-1])
        begins[1:] = ~goes_on
        return self._grouped(np.flatnonzero(begins))

    def by_word(self) -> "TokenScores":
        """Return the same with the tokens of each word, and of the white space before it, together.

        A word is what stands between white space. Line ends stay by themselves, and so do the end
        of an item and the white space after the last word.
        """
        words = np.array([match.start() for match in _WORD.finditer(self.text)], np.int64)
        of_word = np.searchsorted(words, self.start, side="right")
        is_end = np.array([piece is None for piece in self.pieces])[self.ids]
        begins = np.ones(len(self.ids), np.bool_)
        begins[1:] = (of_word[1:] != of_word[:-1]) | is_end[1:] | is_end[:-1]
        return self._grouped(np.flatnonzero(begins))

    def _grouped(self, first: Places) -> "TokenScores":
        """Return one row for each group, given where it begins.

        Surprisal and entropy are sums; id, rank and choices are those of the token of the group
        that surprises most.
        """
        if len(first) in (0, len(self.ids)):
            return self
        group = np.repeat(np.arange(len(first)), np.diff(first, append=len(self.ids)))
        by_nats = np.lexsort((-self.nats, group))
        most = by_nats[first]
        return replace(
            self,
            ids=self.ids[most],
            start=self.start[first],
            stop=np.maximum.reduceat(self.stop, first),
            nats=np.add.reduceat(self.nats, first),
            entropy=np.add.reduceat(self.entropy, first),
            rank=self.rank[most],
            choices=self.choices[most],
            choice_nats=self.choice_nats[most],
        )


def score_tokens(
    runtime: Network, tokenizer: Tokenizer, text: str, *, choices: int, name: str
) -> TokenScores:
    """Return the score of each token of `text`, which is read as for its whole score.

    Args:
        runtime: The network.
        tokenizer: Its tokenizer.
        text: To score.
        choices: How many of the likeliest tokens to tell, K.
        name: What error messages call the text.

    Raises:
        CorpusError: If pairs are wanted and a line is none, or the text is too long.
    """
    if len(text) > LONGEST_TEXT:
        raise CorpusError(
            f"{name} has {len(text):,} characters, but tokens are told of {LONGEST_TEXT:,} at most",
            hint="cut it: split -C 32m FILE",
        )
    config = runtime.config
    located = examples_of(text, config, name)
    windows = windows_of([item for _, item in located], tokenizer, config)
    ids, size = windows.ids, len(windows.ids)
    outputs = config.outputs(tokenizer.vocab_size)
    shape = (size, min(choices, outputs))
    nats, entropy, rank = np.zeros(size), np.zeros(size), np.zeros(size, np.int64)
    likeliest, their_nats = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    cut, _ = windows.cut()
    for chosen in cut.groups():
        for _, features, places in predict_windows(runtime, cut.select(chosen)):
            logits = runtime.logits(features)
            of_target = np.take_along_axis(logits, ids[places][:, None].astype(np.int64), axis=-1)
            rank[places] = 1 + (logits > of_target).sum(axis=-1)
            likeliest[places] = found = _likeliest(logits, shape[1])
            top = np.take_along_axis(logits, found[:, :1], axis=-1)
            shifted = logits - top
            probabilities = np.exp(shifted)
            total = probabilities.sum(axis=-1)
            log_total = np.log(total)
            nats[places] = log_total - (of_target - top)[:, 0]
            shifted *= probabilities
            entropy[places] = log_total - shifted.sum(axis=-1) / total
            their_nats[places] = log_total[:, None] - (
                np.take_along_axis(logits, found, axis=-1) - top
            )
    order = np.flatnonzero(rank)
    is_mirrored = config.direction == "backward"
    start, stop = _spans(located, ids[::-1] if is_mirrored else ids, tokenizer, config)
    if is_mirrored:
        order, start, stop = order[::-1], start[::-1], stop[::-1]
    return TokenScores(
        text=text,
        pieces=(*tokenizer.pieces, None),
        ids=ids[order].astype(np.int64),
        start=start[order],
        stop=np.minimum(stop[order], len(text)),  # a last line may have no line end
        nats=nats[order],
        entropy=entropy[order],
        rank=rank[order],
        choices=likeliest[order],
        choice_nats=their_nats[order],
    )


def _likeliest(logits: Floats, number: int) -> Places:
    """Return the ids of so many largest logits, the largest first, shape (N, number)."""
    if number == 1:
        best: Places = logits.argmax(axis=-1)[:, None]
        return best
    found = np.argpartition(logits, -number, axis=-1)[:, -number:]
    order = np.argsort(-np.take_along_axis(logits, found, axis=-1), axis=-1, kind="stable")
    likeliest: Places = np.take_along_axis(found, order, axis=-1)
    return likeliest


def _spans(
    located: Sequence[tuple[int, str]], ids: Ids, tokenizer: Tokenizer, config: ModelConfig
) -> tuple[Places, Places]:
    """Return where in the text each id begins and ends, given the items and where they begin.

    An item's end has the place of the line end after it; of a text that is read from its end, it
    is the place before the item.
    """
    end = len("\n") if config.task != "text" else 0
    length, goes_on = lengths(tokenizer)
    length = np.append(length, end)[ids]
    length[:1] = 0  # the boundary before everything
    after = length.cumsum()
    start = np.where(np.append(goes_on, False)[ids], after - 1, after - length)
    begins = np.array([begin for begin, _ in located], np.int64)
    sizes = np.array([len(item) + end for _, item in located], np.int64)
    joined = sizes.cumsum() - sizes  # where each item would begin if all stood side by side
    if not len(begins):
        return start, after
    item = np.maximum(np.searchsorted(joined, start, side="right") - 1, 0)
    moved = begins[item] - joined[item]
    start, stop = start + moved, after + moved
    if config.direction == "backward" and config.task != "text":
        is_end = np.flatnonzero(ids == tokenizer.boundary_id)[:-1]
        start[is_end] = stop[is_end] = begins
    return start, stop
