"""Pre-tokenization: split a text into words, marks and white space.

A pre-token is a word or a punctuation mark, with the space before it, or a run of white space. The
word and subword tokenizers encode each pre-token by itself, and cache its ids. A pre-token ends
within LONGEST characters, so a text of any length can be split chunk by chunk, with the same result
wherever it is cut.
"""

import re
import unicodedata
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import ClassVar

import numpy as np

from charlm.tokenizers.base import BYTES, Ids, Tokenizer, UnfinishedText, utf8

# Scripts that put no space between words: those of Unicode's Line_Break SA (Thai and Lao, Burmese,
# Khmer, Tai, Ahom), kana, bopomofo, Han, Yi, Tangut, Khitan and Nushu.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3040-\u30ff"
    "\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua9e0-\ua9ff\uaa60-\uaadf"
    "\uf900-\ufaff\uff66-\uff9d\U00011700-\U0001174f\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff"
    "\U00020000-\U0003ffff"
)
# Control characters, punctuation and symbols, but not the joiners U+200C and U+200D.
MARKS = (
    "\x00-\x08\x0e-\x1b!-/:-@\\[-^`{-\x84\x86-\x9f\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    "\u200b\u200e-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u206f\u2190-\u2bff\u3001-\u303f"
    "\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\U0001f000-\U0001faff"
)
# Punctuation of all other scripts: Unicode's general category P, without connectors (x_1). No
# character of Han or Hangul is one, so these blocks are left out, which would take 15 ms.
ALPHABETS = chain(range(0x2F, 0x3000), range(0xA000, 0xAC00), range(0xFB00, 0x12600))
MARKS += "".join(
    character
    for character in map(chr, ALPHABETS)
    if re.match("P[^c]", unicodedata.category(character)) and not re.match(f"[{MARKS}]", character)
)
TSHEG = "\u0f0b"  # after each syllable of Tibetan, whose words have no spaces between them
LETTERS = f"[^\\s{MARKS}{UNSPACED}]{{1,40}}"
LONGEST = 256  # more characters than the pattern ever looks at for one pre-token

MOST_COUNTED = 1 << 18  # different pre-tokens that are counted at once
MOST_CACHED = 1 << 16  # pre-tokens whose ids are kept


def pre_token_pattern(unspaced: str) -> re.Pattern[str]:
    """Return the pattern of a pre-token. Its matches cover every character of a text.

    `unspaced` is the number of UNSPACED characters in one pre-token, as a quantifier.
    """
    return re.compile(
        f" ?{LETTERS}(?:['’]{LETTERS}){{0,3}}{TSHEG}?"  # a word: "the", " don't"
        f"| ?[{MARKS}]"
        f"| ?[{UNSPACED}]{unspaced}"
        "| {1,16}(?= )"  # all spaces but the last, which belongs to the next pre-token
        "|\n{1,16}|\t{1,16}"
        "|[\\s\\S]"
    )


def words_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, without white space."""
    matches = pre_token_pattern(unspaced="{1}").finditer(text)
    return [word for match in matches if (word := match[0].strip())]


class SplitTokenizer(Tokenizer):
    """A tokenizer that encodes each pre-token by itself. Ids 0 to 255 are bytes, then texts."""

    pattern: ClassVar[re.Pattern[str]]
    splits_words: ClassVar[bool]  # whether a pre-token may be several texts of the vocabulary

    def __init__(self, texts: Sequence[str]) -> None:
        """Build a tokenizer whose vocabulary is 256 bytes and these texts.

        Raises:
            ValueError: If a text is empty or repeated.
        """
        if "" in texts or len(set(texts)) < len(texts):
            raise ValueError("pieces must be different and not empty")
        self.pieces = (*range(BYTES), *texts)
        self.id_of_text = {text: BYTES + index for index, text in enumerate(texts)}
        self._ids_of = _Cache(self)

    @abstractmethod
    def ids_of_pre_token(self, pre_token: str) -> tuple[int, ...]:
        """Return the ids of one pre-token."""

    def encode_unfinished(self, text: str) -> UnfinishedText:
        """Return the ids of a text without its last token, if longer tokens begin with that one.

        A last word that was encoded in several tokens is taken back as far as a token allows.
        """
        *pre_tokens, last = self.pattern.findall(text) or [""]
        before = list(chain.from_iterable(map(self._ids_of.__getitem__, pre_tokens)))
        ids = self._ids_of[last] if last else ()
        for number in range(len(ids)) if self.splits_words else range(min(1, len(ids))):
            typed = last if number == 0 else self.decode(ids[number:])
            is_text = number == 0 or min(ids[number:]) >= BYTES  # bytes stay bytes
            tokens = self._tokens_that_begin_with(typed) if is_text else ()
            if any(self.pieces[token] != typed for token in tokens):
                kept = np.array([*before, *ids[:number]], self.id_dtype)
                return UnfinishedText(kept, typed, tokens)
        return UnfinishedText(np.array([*before, *ids], self.id_dtype), "", ())

    def _tokens_that_begin_with(self, prefix: str) -> Sequence[int]:
        texts, ids = self._sorted_texts
        first = bisect_left(texts, prefix)
        stop = bisect_right(texts, prefix, first, key=lambda text: text[: len(prefix)])
        return ids[first:stop]

    @cached_property
    def _sorted_texts(self) -> tuple[Sequence[str], Sequence[int]]:
        texts = sorted(self.id_of_text)
        return texts, [self.id_of_text[text] for text in texts]

    def encode(self, text: str) -> Ids:
        """Return the ids of any `text`, shape (tokens,)."""
        ids = chain.from_iterable(map(self._ids_of.__getitem__, self.pattern.findall(text)))
        return np.fromiter(ids, self.id_dtype)


class _Cache(dict[str, tuple[int, ...]]):
    """A cache of the ids of pre-tokens, emptied whenever it holds MOST_CACHED."""

    def __init__(self, tokenizer: SplitTokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, pre_token: str) -> tuple[int, ...]:
        if len(self) >= MOST_CACHED:
            self.clear()
        ids = self[pre_token] = self._tokenizer.ids_of_pre_token(pre_token)
        return ids


def split(pattern: re.Pattern[str], chunks: Iterable[str]) -> Iterator[list[str]]:
    """Yield the pre-tokens of the text in `chunks`, one list for each chunk and a last one."""
    rest = ""
    for chunk in chunks:
        pre_tokens = pattern.findall(rest + chunk)
        held_back: list[str] = []
        held_characters = 0
        while pre_tokens and held_characters < LONGEST:
            held_back.append(pre_tokens.pop())
            held_characters += len(held_back[-1])
        rest = "".join(reversed(held_back))
        yield pre_tokens
    yield pattern.findall(rest)


def count_pre_tokens(pattern: re.Pattern[str], chunks: Iterable[str]) -> Counter[str]:
    """Count how often each pre-token occurs, in bounded memory.

    Whenever there are more than MOST_COUNTED different ones, the rarest are dropped, so a count may
    be slightly too low (lossy counting, Manku & Motwani 2002,
    https://www.vldb.org/conf/2002/S10P03.pdf).
    """
    counts: Counter[str] = Counter()
    fewest = 1
    for pre_tokens in split(pattern, chunks):
        counts.update(pre_tokens)
        while len(counts) > MOST_COUNTED:
            fewest += 1
            counts = Counter({text: count for text, count in counts.items() if count >= fewest})
    return counts


def byte_fallback(text: str) -> tuple[int, ...]:
    """Return the ids of the bytes of `text`."""
    return tuple(utf8(text))
