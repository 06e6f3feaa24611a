"""Text → stretches: what word and subword tokenizers have in common.

A stretch is a word, a mark or a run of white space, a word and a mark with the space before it.
What a stretch is depends on at most LONGEST characters, so a text of any length is split in
pieces, and where the pieces were cut does not show.
"""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import ClassVar

import numpy as np

from charlm.tokenizers.base import BYTES, Ids, Tokenizer, utf8

# Scripts that put no space between words: Thai and Lao, Burmese, Khmer, kana, bopomofo, Han.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Control characters, punctuation and symbols, but not the joiners U+200C and U+200D.
MARKS = (
    "\x00-\x08\x0e-\x1b!-/:-@\\[-^`{-\x84\x86-\x9f\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    "\u200b\u200e-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u206f\u2190-\u2bff\u3001-\u303f"
    "\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\U0001f000-\U0001faff"
)
LETTERS = f"[^\\s{MARKS}{UNSPACED}]{{1,40}}"
LONGEST = 256  # more characters than one stretch and what follows it have a say in

MOST_COUNTED = 1 << 18  # different stretches that are counted at once
MOST_REMEMBERED = 1 << 16  # stretches whose ids are kept


def stretch_pattern(unspaced: str) -> re.Pattern[str]:
    """Return the pattern of a stretch, every character of a text being in one.

    Args:
        unspaced: How many characters of UNSPACED make a stretch, as a quantifier.
    """
    return re.compile(
        f" ?{LETTERS}(?:['’]{LETTERS}){{0,3}}"  # a word: "the", " don't"
        f"| ?[{MARKS}]"
        f"| ?[{UNSPACED}]{unspaced}"
        "| {1,16}(?= )"  # spaces but for the last, which goes with what follows
        "|\n{1,16}|\t{1,16}"
        "|[\\s\\S]"
    )


class SplitTokenizer(Tokenizer):
    """Ids 0 to 255 are bytes, then come texts; each stretch becomes ids for itself."""

    pattern: ClassVar[re.Pattern[str]]

    def __init__(self, texts: Sequence[str]) -> None:
        """Take the vocabulary.

        Raises:
            ValueError: If a text is empty, or there twice.
        """
        if "" in texts or len(set(texts)) < len(texts):
            raise ValueError("pieces must be different and not empty")
        self.pieces = (*range(BYTES), *texts)
        self.id_of_text = {text: BYTES + place for place, text in enumerate(texts)}
        self._ids_of = _Memory(self)

    @abstractmethod
    def ids_of_stretch(self, stretch: str) -> tuple[int, ...]:
        """Return the ids of one stretch, which decode to it."""

    def encode(self, text: str) -> Ids:
        """Return the ids of `text`, shape (tokens,); any str is accepted."""
        return self._ids(self.pattern.findall(text))

    def _ids(self, stretches: list[str]) -> Ids:
        ids = chain.from_iterable(map(self._ids_of.__getitem__, stretches))
        return np.fromiter(ids, self.id_dtype)


class _Memory(dict[str, tuple[int, ...]]):
    """The ids of stretches that were met before; as many as MOST_REMEMBERED."""

    def __init__(self, tokenizer: SplitTokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, stretch: str) -> tuple[int, ...]:
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        ids = self[stretch] = self._tokenizer.ids_of_stretch(stretch)
        return ids


def split(pattern: re.Pattern[str], chunks: Iterable[str]) -> Iterator[list[str]]:
    """Yield the stretches of the text that `chunks` make up, a list a chunk."""
    rest = ""
    for chunk in chunks:
        stretches = pattern.findall(rest + chunk)
        held_back: list[str] = []
        held_characters = 0
        while stretches and held_characters < LONGEST:
            held_back.append(stretches.pop())
            held_characters += len(held_back[-1])
        rest = "".join(reversed(held_back))
        yield stretches
    yield pattern.findall(rest)


def count_stretches(pattern: re.Pattern[str], chunks: Iterable[str]) -> Counter[str]:
    """Return how often each stretch occurs, in bounded memory.

    Whenever there are more than MOST_COUNTED different ones, the rare are forgotten, so that a
    stretch may be counted too low, by as little as possible (lossy counting, Manku & Motwani
    2002, https://www.vldb.org/conf/2002/S10P03.pdf).
    """
    counts: Counter[str] = Counter()
    fewest = 1
    for stretches in split(pattern, chunks):
        counts.update(stretches)
        while len(counts) > MOST_COUNTED:
            fewest += 1
            counts = Counter({each: number for each, number in counts.items() if number >= fewest})
    return counts


def spelled(text: str) -> tuple[int, ...]:
    """Return the ids of the bytes that spell `text`."""
    return tuple(utf8(text))
